//! The control socket in JSON-RPC, with and without netkitctl.

use crate::harness::pair::pair;
use crate::harness::{Control, Node, Peer, Running, command, eventually, has_program, may_skip};
use serde_json::{Value, json};

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

/// Section 7 of the JSON-RPC 2.0 specification, asked of netkit's own methods; the daemon's unit tests answer the
/// same examples from the specification's own table of methods.
#[test]
fn the_examples_of_the_specification_are_answered() {
    let node = Node::new();
    let mut session = node.session();
    // Positional parameters are JSON-RPC, but netkit's are by name.
    let answer = session.ask(r#"{"jsonrpc": "2.0", "method": "node.status", "params": [42, 23], "id": 1}"#);
    assert_eq!((code(&answer), &answer["id"]), (-32602, &json!(1)));
    // Named parameters, in any order; an id of any kind comes back as it was.
    let answer = session
        .ask(r#"{"jsonrpc": "2.0", "method": "events.read", "params": {"limit": 1, "since": 0}, "id": "a"}"#);
    assert_eq!((&answer["result"]["head"], &answer["id"]), (&json!(0), &json!("a")));
    for id in ["-1", "1.5", "null", "18446744073709551615"] {
        let answer = session.ask(&format!(r#"{{"jsonrpc":"2.0","method":"node.status","id":{id}}}"#));
        assert_eq!(answer["id"].to_string(), id);
        assert_eq!(answer["result"]["name"], "box");
    }
    // Notifications are not answered, whatever they ask: the next answer is that of the next request.
    session.send(b"{\"jsonrpc\": \"2.0\", \"method\": \"node.status\"}\n{\"jsonrpc\": \"2.0\", \"method\": \"foobar\"}\n");
    let answer = session.ask(r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#);
    assert_eq!((code(&answer), &answer["id"]), (-32601, &json!("1")));
    for (line, expected) in [
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, -32700),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, -32600),
        (
            r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
            -32700,
        ),
        ("[]", -32600),
        (r#"{"jsonrpc": "1.0", "method": "node.status", "id": 1}"#, -32600),
        ("\u{0}", -32700),
    ] {
        let answer = session.ask(line);
        assert_eq!(code(&answer), expected, "{line}");
    }
    for (line, expected) in [("[1]", 1), ("[1,2,3]", 3), (r#"[["2.0",1,"node.status",{}]]"#, 1)] {
        let answer = session.ask(line);
        let codes: Vec<i64> = answer.as_array().unwrap().iter().map(code).collect();
        assert_eq!(codes, vec![-32600; expected], "{line}");
    }
    let answer = session.ask(
        r#"[{"jsonrpc":"2.0","method":"node.status","id":"1"},{"jsonrpc":"2.0","method":"notify_hello","params":[7]},{"jsonrpc":"2.0","method":"node.status","params":[42,23],"id":"2"},{"foo":"boo"},{"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},{"jsonrpc":"2.0","method":"cursors.list","id":"9"}]"#,
    );
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 5, "one for each but the notification");
    let by_id = |id: Value| answers.iter().find(|a| a["id"] == id).unwrap();
    assert_eq!(by_id(json!("1"))["result"]["name"], "box");
    assert_eq!(code(by_id(json!("2"))), -32602);
    assert_eq!(code(by_id(Value::Null)), -32600);
    assert_eq!(code(by_id(json!("5"))), -32601);
    assert_eq!(by_id(json!("9"))["result"]["cursors"], json!([]));
    // A batch of notifications alone is answered by nothing.
    session.send(b"[{\"jsonrpc\":\"2.0\",\"method\":\"notify_sum\",\"params\":[1,2,4]},{\"jsonrpc\":\"2.0\",\"method\":\"notify_hello\",\"params\":[7]}]\n");
    assert_eq!(session.ask(r#"{"jsonrpc":"2.0","method":"node.status","id":"last"}"#)["id"], "last");
}

#[test]
fn lines_are_taken_as_shells_write_them() {
    let node = Node::new();
    let mut session = node.session();
    // Empty lines, carriage returns, a line in pieces, and the last one without its newline.
    session.send(b"\n\r\n  \n{\"jsonrpc\":\"2.0\",");
    session.send(
        b"\"method\":\"node.status\",\"id\":1}\r\n{\"jsonrpc\":\"2.0\",\"method\":\"node.status\",\"id\":2}",
    );
    session.shut_down();
    assert_eq!(session.line().unwrap()["id"], 1);
    assert_eq!(session.line().unwrap()["id"], 2);
    assert_eq!(session.line(), None, "all is answered: the session ends");
}

#[test]
fn limits_are_told_and_the_session_goes_on() {
    let node = Node::new();
    let mut session = node.session();
    let one = r#"{"jsonrpc":"2.0","method":"node.status","id":1}"#;
    let batch = |count: usize| format!("[{}]", vec![one; count].join(","));
    assert_eq!(session.ask(&batch(100)).as_array().unwrap().len(), 100);
    assert_eq!(code(&session.ask(&batch(101))), -32600);
    let long = format!(r#"{{"jsonrpc":"2.0","method":"node.status","id":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(code(&session.ask(&long)), -32600, "a line of more than 1 MiB");
    let deep = "[".repeat(100_000);
    assert!([-32600, -32700].contains(&code(&session.ask(&deep))));
    assert_eq!(session.ask(one)["id"], 1);
    // More calls than are worked on at once are all answered.
    let message = |n| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"chat.send\",\"params\":{{\"to\":\"udp://127.0.0.1:9\",\"text\":\"{n}\"}},\"id\":{n}}}\n"
        )
    };
    let burst: String = (1..=3000).map(message).collect();
    session.send(burst.as_bytes());
    assert_eq!(ids(&mut session, 3000), (1..=3000).collect::<Vec<_>>());
}

/// The ids of so many answers, none of which is an error, in rising order.
fn ids(session: &mut Control, answers: usize) -> Vec<u64> {
    let id = |answer: Value| {
        assert_eq!(answer.get("error"), None, "{answer}");
        answer["id"].as_u64().unwrap()
    };
    let mut ids: Vec<u64> = (0..answers).map(|_| id(session.line().unwrap())).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn calls_of_more_bytes_than_are_worked_on_at_once_are_all_answered() {
    let (alice, bob) = pair();
    let (mut session, text) = (alice.session(), "x".repeat(60_000));
    let message = |n| {
        let params = json!({"to": "bob", "text": text});
        format!("{}\n", json!({"jsonrpc": "2.0", "id": n, "method": "chat.send", "params": params}))
    };
    let burst: String = (1..=200).map(message).collect();
    session.send(burst.as_bytes());
    assert_eq!(ids(&mut session, 200), (1..=200).collect::<Vec<_>>());
    assert_eq!(session.call("node.status", json!({})).unwrap()["peers"]["linked"], 1);
    alice.wait_delivered();
    assert_eq!(bob.received().len(), 200);
}

#[test]
fn sessions_are_bounded_and_the_next_one_is_told() {
    let node = Node::new();
    let mut sessions: Vec<Control> = (0..256).map(|_| node.session()).collect();
    for session in &mut sessions {
        session.call("cursors.list", json!({})).unwrap();
    }
    let refused = node.session().line().expect("why it is refused");
    assert_eq!(refused["error"]["data"]["kind"], "busy");
    assert_eq!(node.ctl(&["status"]).code(), 1);
    sessions.pop();
    eventually("there is room again", || (node.ctl(&["status"]).code() == 0).then_some(()));
    assert_eq!(node.status()["control"]["refused"].as_u64().map(|n| n >= 2), Some(true));
}

#[test]
fn parameters_are_checked_by_name_and_type() {
    let node = Node::new();
    let mut session = node.session();
    for (method, params, word) in [
        ("chat.send", json!({"to": "udp://127.0.0.1:9"}), "text"),
        ("chat.send", json!({"to": "udp://127.0.0.1:9", "text": "x", "txet": "y"}), "txet"),
        ("chat.send", json!({"to": 5, "text": "x"}), "to"),
        ("chat.send", json!({"to": "udp://127.0.0.1:9", "text": "x", "expire": -1}), "-1"),
        ("events.read", json!({"limit": 0}), "limit"),
        ("events.read", json!({"limit": 1001}), "limit"),
        ("events.read", json!({"filter": {"grep": "("}}), "grep"),
        ("events.subscribe", json!({"since": 5}), "5"),
        ("events.subscribe", json!({"filter": {"topics": ["bogus"]}}), "bogus"),
        ("chat.send", json!({"to": "udp://127.0.0.1:9", "text": "x", "expire": 40_000_000}), "365 days"),
        ("cursors.open", json!({"name": ""}), "name"),
        ("cursors.open", json!({"name": "a\nb"}), "name"),
    ] {
        let error = session.call(method, params.clone()).expect_err(method);
        assert_eq!(
            (&error["code"], &error["data"]["kind"]),
            (&json!(-32602), &json!("invalid_params")),
            "{error}"
        );
        assert!(error.to_string().contains(word), "{method} {params}: {error}");
    }
    let not_held = session.call("cursors.commit", json!({"name": "x", "epoch": 1, "seq": 1})).unwrap_err();
    assert!(not_held["data"]["kind"].is_string(), "{not_held}");
    let epoch = session.call("events.read", json!({"epoch": 1})).unwrap_err();
    assert_eq!(epoch["data"]["kind"], "epoch_changed");
}

#[test]
fn a_subscription_has_the_past_and_the_present_in_one_turn() {
    let node = Node::new();
    let peer = Peer::new();
    let chat = node.chat();
    // Lines keep coming while subscriptions begin.
    let talking = std::thread::spawn(move || {
        for n in 0..2000 {
            peer.say(chat, n.to_string());
            if n % 100 == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut sessions: Vec<Control> = Vec::new();
    for _ in 0..10 {
        let mut session = node.session();
        // The id is answered before the first event.
        let id = session.request("events.subscribe", &json!({"since": 0}));
        let answer = session.line().unwrap();
        assert_eq!((&answer["id"], &answer["result"]["subscription"]), (&json!(id), &json!(1)));
        sessions.push(session);
    }
    talking.join().unwrap();
    node.wait_for("/chat/received", 2000);
    for mut session in sessions {
        for n in 0..2000 {
            let event = session.event();
            assert_eq!((&event["seq"], &event["text"]), (&json!(n + 1), &json!(n.to_string())));
        }
    }
}

#[test]
fn the_id_comes_before_the_events_in_a_batch_too() {
    let node = Node::new();
    let peer = Peer::new();
    peer.say(node.chat(), "a line");
    node.wait_for("/chat/received", 1);
    let mut session = node.session();
    // With a call that is answered at once, and with one that takes its time.
    for (id, other) in [(1, "node.status"), (2, "events.read")] {
        let answer = session.ask(&format!(
            r#"[{{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{{"since":0}}}},{{"jsonrpc":"2.0","id":2,"method":"{other}"}}]"#
        ));
        assert_eq!(answer[0]["result"]["subscription"], id, "{answer}");
        assert_eq!(session.event()["text"], "a line");
    }
}

#[test]
fn an_answer_never_exceeds_a_line() {
    let node = Node::new();
    let peer = Peer::new();
    for n in 1..=20 {
        peer.say(node.chat(), vec![1; 60_000]); // control characters: six bytes each in JSON
        node.wait_for("/chat/received", n);
    }
    let mut session = node.session();
    let read = r#"{"jsonrpc":"2.0","id":1,"method":"events.read"}"#;
    let answer = session.ask(read);
    assert!(answer.to_string().len() < 1 << 20 && answer["result"]["more"] == true);
    let answer = session.ask(&format!("[{}]", [read; 10].join(",")));
    assert!(answer.to_string().len() < 1 << 20, "{}", answer.to_string().len());
    assert_eq!(answer[9]["error"]["data"]["kind"], "too_large");
    assert_eq!(session.all_events().len(), 20);
}

#[test]
fn a_slow_reader_holds_up_nobody_and_loses_nothing() {
    let node = Node::new();
    let mut slow = node.session();
    slow.call("events.subscribe", json!({"since": 0})).unwrap();
    // Far more than the socket, the session and the memory of recent events hold.
    let peer = Peer::new();
    let text = "x".repeat(1000);
    let lines = 12_000;
    for n in 1..=lines {
        peer.say(node_chat(&node, n), &text);
        if n % 100 == 0 {
            node.wait_for("/chat/received", n);
        }
    }
    for n in 1..=lines {
        assert_eq!(slow.event()["seq"], n);
    }
}

/// The chat port, asked once.
fn node_chat(node: &Node, n: u64) -> std::net::SocketAddr {
    use std::cell::Cell;
    thread_local!(static CHAT: Cell<Option<std::net::SocketAddr>> = const { Cell::new(None) });
    if n == 1 {
        CHAT.set(Some(node.chat()));
    }
    CHAT.get().unwrap()
}

#[test]
fn subscriptions_are_filtered_and_end() {
    let node = Node::new();
    let (one, two) = (Peer::new(), Peer::at("127.0.0.2:0"));
    let mut session = node.session();
    let first = session.call("events.subscribe", json!({"filter": {"peer": one.url()}})).unwrap();
    let topics = json!({"filter": {"topics": ["message.queued"]}});
    session.call("events.subscribe", topics).unwrap();
    two.say(node.chat(), "not wanted");
    one.say(node.chat(), "wanted");
    assert_eq!(session.event()["text"], "wanted");
    session.call("events.unsubscribe", json!({"subscription": first["subscription"]})).unwrap();
    one.say(node.chat(), "not wanted any more");
    node.wait_for("/chat/received", 3);
    node.ctl(&["send", &two.url(), "ours"]).expect(0);
    assert_eq!(session.event()["text"], "ours");
    let error = session.call("events.unsubscribe", json!({"subscription": 99})).unwrap_err();
    assert_eq!(error["data"]["kind"], "not_found");
}

#[test]
fn the_interface_describes_itself() {
    let node = Node::new();
    let document = node.ctl(&["rpc", "rpc.discover"]).expect(0);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert!(document["openrpc"].as_str().unwrap().starts_with("1."));
    let methods = document["methods"].as_array().unwrap();
    let mut session = node.session();
    for method in methods {
        let name = method["name"].as_str().unwrap();
        assert!(method["summary"].is_string() && method["params"].is_array(), "{method}");
        let unknown = session.call(name, json!({"no such parameter": 1})).expect_err(name);
        assert_eq!(unknown["code"], -32602, "{name} is there and takes parameters by name: {unknown}");
    }
    assert!(methods.len() >= 12);
}

#[test]
fn netcat_and_jq_are_clients() {
    let test = "netcat_and_jq_are_clients";
    if may_skip(has_program("nc") && has_program("jq") && has_program("socat"), test, "nc, socat and jq") {
        return;
    }
    let node = Node::new();
    let socket = node.socket().display().to_string();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"node.status"}"#;
    for client in [format!("nc -UN {socket}"), format!("socat - UNIX-CONNECT:{socket}")] {
        let script = format!("echo '{request}' | {client} | jq -r .result.name");
        assert_eq!(
            Running::to_end(command("bash", &["-c", &script]), b"").expect(0).stdout,
            "box\n",
            "{client}"
        );
    }
}

#[test]
fn rpc_prints_answers_and_ends_by_them() {
    let node = Node::new();
    let peer = Peer::new();
    let ended =
        node.ctl(&["rpc", "chat.send", &json!({"to": peer.url(), "text": "hi"}).to_string()]).expect(0);
    assert_eq!(ended.json()[0]["id"], 1);
    assert_eq!(peer.hear(), "hi");
    node.ctl_with(&["rpc", "events.read", "-"], br#"{"limit": 1}"#).expect(0);
    assert!(node.ctl(&["rpc", "no.such"]).expect(2).stderr.contains("no.such"));
    node.ctl(&["rpc", "events.read", "{"]).expect(2);
    node.ctl(&["rpc", "chat.send", r#"{"to":"bob","text":"x"}"#]).expect(4);
    let mut events = node.follow(&["rpc", "events.subscribe", "{}"]);
    assert_eq!(events.json()["subscription"], 1);
    peer.say(node.chat(), "live");
    assert_eq!(events.json()["result"]["text"], "live");
}

#[test]
fn completions_are_scripts_that_shells_take() {
    let node = Node::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = node.ctl(&["completions", shell]).expect(0).stdout;
        assert!(script.contains("tail"), "{shell}");
    }
    let script = node.ctl(&["completions", "bash"]).stdout;
    Running::to_end(command("bash", &["-n"]), script.as_bytes()).expect(0);
}
