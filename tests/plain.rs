//! Chat with plain peers: the tutorial's, netcat, hostile ones.

use crate::harness::{Node, NodeBuilder, Peer, Running, command, eventually, has_program, kernel, may_skip};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn a_tutorial_peer_talks_both_ways_until_bye() {
    let node = Node::new();
    let peer = Peer::new();
    let chat = node.chat();
    // As in the tutorial: one thread receives until it hears bye, the other sends.
    let ears = peer.twin();
    let hearing = std::thread::spawn(move || {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|line| line != "bye") {
            heard.push(ears.hear());
        }
        heard
    });
    let mut tail = node.follow(&["tail", "-f", "-n", "0", "--events", "-o", "json"]);
    for n in 0..5 {
        peer.say(chat, format!("line {n} 你好"));
        node.ctl(&["send", "--wait", &peer.url(), &format!("answer {n} 世界")]).expect(0);
    }
    peer.say(chat, "bye");
    node.ctl(&["send", "--wait", &peer.url(), "bye"]).expect(0);
    let mut expected: Vec<String> = (0..5).map(|n| format!("answer {n} 世界")).collect();
    expected.push("bye".into());
    assert_eq!(hearing.join().unwrap(), expected);

    let mut received = Vec::new();
    let mut sent = 0;
    while received.len() < 6 || sent < 6 {
        let event = tail.json();
        match event["kind"].as_str().unwrap() {
            "message.received" => {
                assert_eq!(event["peer"], peer.url());
                assert_eq!(event["verified"], false);
                received.push((event["text"].as_str().unwrap().to_owned(), event["bye"] == true));
            }
            "message.sent" => sent += 1,
            "message.queued" => assert_eq!(event["bye"] == true, event["text"] == "bye"),
            other => panic!("{other}"),
        }
    }
    let mut expected: Vec<_> = (0..5).map(|n| (format!("line {n} 你好"), false)).collect();
    expected.push(("bye".into(), true));
    assert_eq!(received, expected);

    // bye ends the conversation with that peer, never the daemon.
    peer.say(chat, "me again");
    assert_eq!(tail.json()["text"], "me again");
}

/// What the tutorial's program does, with its addresses as arguments and its end made sure.
const TUTORIAL: &str = r#"
import socket, sys, threading
udp_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp_socket.bind(('127.0.0.1', 0))
print(udp_socket.getsockname()[1], flush=True)
dest_addr = ('127.0.0.1', int(sys.argv[1]))
def recv_fun():
    while True:
        recv_data = udp_socket.recvfrom(1024)
        print('用户说：%s' % recv_data[0].decode('utf-8'), flush=True)
        if recv_data[0].decode('utf-8') == 'bye':
            break
receiver = threading.Thread(target=recv_fun)
receiver.start()
for line in sys.stdin:
    udp_socket.sendto(line.rstrip('\n').encode('utf-8'), dest_addr)
receiver.join()
"#;

#[test]
fn python_as_in_the_tutorial_is_a_peer() {
    if may_skip(has_program("python3"), "python_as_in_the_tutorial_is_a_peer", "python3") {
        return;
    }
    let node = Node::new();
    let port = node.chat().port().to_string();
    let mut python = command("python3", &["-c", TUTORIAL, &port]);
    python.env("PYTHONIOENCODING", "utf-8");
    let mut python = Running::start(python);
    let url = format!("udp://127.0.0.1:{}", python.line());
    let mut tail = node.follow(&["tail", "-f", "-o", "cat"]);
    python.write("你好\n".as_bytes());
    assert_eq!(tail.line(), "你好");
    node.ctl(&["send", &url, "世界"]).expect(0);
    assert_eq!(python.line(), "用户说：世界");
    node.ctl(&["send", &url, "bye"]).expect(0);
    assert_eq!(python.line(), "用户说：bye");
    python.close_stdin();
    python.end().expect(0);
}

#[test]
fn netcat_is_a_peer() {
    if may_skip(has_program("nc"), "netcat_is_a_peer", "nc (netcat-openbsd)") {
        return;
    }
    let node = Node::new();
    let port = node.chat().port().to_string();
    let mut tail = node.follow(&["tail", "-f", "--json"]);
    let mut nc = Running::start(command("nc", &["-u", "127.0.0.1", &port]));
    nc.write(b"hi\n");
    let event = tail.json();
    assert_eq!((&event["text"], &event["encoding"]), (&json!("hi"), &json!("utf-8")));
    let peer = event["peer"].as_str().unwrap().to_owned();
    node.ctl_with(&["send", &peer], b"back\n").expect(0);
    node.ctl(&["send", &peer, "again\n"]).expect(0);
    // netcat prints datagrams as they are: the second one ends the line that the first one began.
    assert_eq!(nc.line(), "backagain");
}

#[test]
fn fifty_peers_talk_at_once() {
    let node = Node::new();
    let chat = node.chat();
    let lines = 40;
    let talkers: Vec<_> = (0..50)
        .map(|who| {
            std::thread::spawn(move || {
                let peer = Peer::new();
                for n in 0..lines {
                    peer.say(chat, format!("{who}/{n}"));
                }
                (who, peer)
            })
        })
        .collect();
    let peers: Vec<(i32, Peer)> = talkers.into_iter().map(|talker| talker.join().unwrap()).collect();
    node.wait_for("/chat/received", 50 * lines);
    let mut by_peer: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in node.session().all_events() {
        let text = event["text"].as_str().unwrap().to_owned();
        by_peer.entry(event["peer"].as_str().unwrap().to_owned()).or_default().push(text);
    }
    for (who, peer) in &peers {
        let expected: Vec<String> = (0..lines).map(|n| format!("{who}/{n}")).collect();
        assert_eq!(by_peer[&peer.url()], expected, "each peer's lines, all and in order");
    }
    let mut session = node.session();
    for (who, peer) in &peers {
        let answer = json!({"to": peer.url(), "text": format!("to {who}")});
        session.call("chat.send", answer).unwrap();
    }
    for (who, peer) in &peers {
        assert_eq!(peer.hear(), format!("to {who}"));
    }
}

#[test]
fn gb18030_is_answered_in_gb18030_also_after_a_restart() {
    let mut node = Node::new();
    let peer = Peer::new();
    let (hello, world) = (b"\xc4\xe3\xba\xc3", b"\xca\xc0\xbd\xe7");
    peer.say(node.chat(), hello);
    node.wait_for("/chat/received", 1);
    let event = node.session().all_events().remove(0);
    assert_eq!((&event["text"], &event["encoding"]), (&json!("你好"), &json!("gb18030")));
    node.ctl(&["send", &peer.url(), "世界"]).expect(0);
    assert_eq!(peer.hear_bytes(), world);
    node.restart();
    node.ctl(&["send", &peer.url(), "世界"]).expect(0);
    assert_eq!(peer.hear_bytes(), world);
    // The encoding is that of the last line that tells it; ASCII tells nothing.
    peer.say(node.chat(), "plain ascii");
    node.wait_for("/chat/received", 1);
    node.ctl(&["send", &peer.url(), "世界"]).expect(0);
    assert_eq!(peer.hear_bytes(), world);
    peer.say(node.chat(), "你好");
    node.wait_for("/chat/received", 2);
    node.ctl(&["send", &peer.url(), "世界"]).expect(0);
    assert_eq!(peer.hear(), "世界");
}

#[test]
fn an_encoding_can_be_fixed() {
    let node = NodeBuilder::default().chat("plain_encoding = \"utf-8\"").start();
    let peer = Peer::new();
    peer.say(node.chat(), b"\xc4\xe3\xba\xc3");
    node.wait_for("/chat/received", 1);
    let event = node.session().all_events().remove(0);
    assert_eq!((&event["text"], &event["encoding"]), (&json!("c4e3bac3"), &json!("hex")));

    let node = NodeBuilder::default().chat("plain_encoding = \"gb18030\"").start();
    node.ctl(&["send", &peer.url(), "你好"]).expect(0);
    assert_eq!(peer.hear_bytes(), b"\xc4\xe3\xba\xc3");
}

#[test]
fn hostile_datagrams_are_stored_as_what_they_are() {
    let node = Node::new();
    let peer = Peer::new();
    let chat = node.chat();
    // The largest datagram that UDP has; an empty one; noise; text that would take over a terminal.
    let largest: Vec<u8> = vec![b'x'; 65_507];
    let noise: Vec<u8> = (0..=255).collect();
    let escapes = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nfake\u{202e}txt\u{9b}31m";
    for datagram in [&largest[..], b"", &noise, escapes.as_bytes(), b"\n", b"x\0y"] {
        peer.say(chat, datagram);
    }
    node.wait_for("/chat/received", 6);
    let events = node.session().all_events();
    let texts: Vec<&str> = events.iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert_eq!(texts[0].len(), 65_507);
    assert_eq!(texts[1], "");
    assert_eq!((events[2]["encoding"].as_str(), texts[2].len()), (Some("hex"), 512));
    assert_eq!(texts[3], escapes, "the log keeps what was sent");
    assert_eq!((texts[4], texts[5]), ("", "x\0y"));

    let shown = node.ctl(&["tail"]).expect(0).stdout;
    let harmful = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!shown.contains(harmful), "a terminal is shown no control characters: {shown:?}");
    // One more line than messages: short shows the inner newline, indented.
    assert_eq!(shown.lines().count(), 7, "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("  ") && line.contains("fake")), "{shown}");
    let piped = node.ctl(&["tail", "-o", "cat", "-g", "fake"]).expect(0).stdout;
    assert_eq!(piped.trim_end_matches('\n'), escapes, "a program is given what was sent");
}

#[test]
fn a_text_that_looks_like_a_name_proves_nothing() {
    let node = Node::new();
    let peer = Peer::new();
    for line in
        ["bob~k7q2xm: send me your files", "udp://127.0.0.1:1 hi", "{\"peer\":\"bob\",\"verified\":true}"]
    {
        peer.say(node.chat(), line);
    }
    node.wait_for("/chat/received", 3);
    for event in node.session().all_events() {
        assert_eq!((&event["peer"], &event["verified"]), (&json!(peer.url()), &json!(false)));
    }
    let shown = node.ctl(&["tail"]).expect(0);
    for line in shown.lines() {
        assert!(
            line.contains(&format!(" {} ? ", peer.url())),
            "the address and the mark stand first: {line}"
        );
    }
}

#[test]
fn what_the_tutorial_could_not_read_is_refused() {
    let node = Node::new();
    let peer = Peer::new();
    let fits = "x".repeat(1024);
    node.ctl(&["send", &peer.url(), &fits]).expect(0);
    assert_eq!(peer.hear(), fits);
    let refused = node.ctl(&["send", &peer.url(), &format!("{fits}y")]).expect(1);
    assert!(refused.stderr.contains("1025") && refused.stderr.contains("1024"), "{}", refused.stderr);
    // Counted in the peer's encoding: three bytes a character in UTF-8, two in GB18030.
    let chinese = "好".repeat(512);
    node.ctl(&["send", &peer.url(), &chinese]).expect(1);
    peer.say(node.chat(), b"\xc4\xe3\xba\xc3");
    node.wait_for("/chat/received", 1);
    node.ctl(&["send", &peer.url(), &chinese]).expect(0);
    assert_eq!(peer.hear_bytes().len(), 1024);
}

#[test]
fn what_is_not_wanted_is_counted_and_not_stored() {
    let peer = Peer::new();
    for (chat, counter) in [
        ("allow = [\"10.0.0.0/8\"]", "/chat/dropped/not_allowed"),
        ("plain = false", "/chat/dropped/not_accepted"),
        ("accept = \"known\"", "/chat/dropped/not_accepted"),
    ] {
        let node = NodeBuilder::default().chat(chat).start();
        peer.say(node.chat(), "let me in");
        node.wait_for(counter, 1);
        assert_eq!(node.status()["log"]["head"], 0, "{chat}");
    }
    let node = NodeBuilder::default().chat("plain = false").start();
    let refused = node.ctl(&["send", &peer.url(), "hi"]).expect(5);
    assert!(refused.stderr.contains("chat.plain"), "{}", refused.stderr);
}

#[test]
fn one_socket_serves_both_families() {
    let ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
    let node = NodeBuilder::default().listen("[::]:0").start();
    let port = node.chat().port();
    let v4 = Peer::new();
    v4.say(([127, 0, 0, 1], port).into(), "four");
    node.wait_for("/chat/received", 1);
    node.ctl(&["send", "--wait", &v4.url(), "to four"]).expect(0);
    assert_eq!(v4.hear(), "to four");
    assert_eq!(node.session().all_events()[0]["peer"], v4.url(), "IPv4 is shown as IPv4");
    if may_skip(ipv6, "one_socket_serves_both_families", "IPv6 on the loopback interface") {
        return;
    }
    let v6 = Peer::at("[::1]:0");
    v6.say(format!("[::1]:{port}").parse().unwrap(), "six");
    node.wait_for("/chat/received", 2);
    node.ctl(&["send", "--wait", &v6.url(), "to six"]).expect(0);
    assert_eq!(v6.hear(), "to six");
}

#[test]
fn without_ipv6_all_of_ipv4_is_served() {
    if may_skip(has_program("python3"), "without_ipv6_all_of_ipv4_is_served", "python3") {
        return;
    }
    let node = NodeBuilder::default().listen("[::]:0").wrapper(&kernel::without_ipv6()).start();
    let chat = node.chat();
    assert_eq!(chat.ip().to_string(), "0.0.0.0");
    let peer = Peer::new();
    peer.say(([127, 0, 0, 1], chat.port()).into(), "four");
    node.wait_for("/chat/received", 1);
    node.ctl(&["send", "--wait", &peer.url(), "to four"]).expect(0);
    assert_eq!(peer.hear(), "to four");
    let refused = node.ctl(&["send", "udp://[::1]:9", "hi"]).expect(4);
    assert!(refused.stderr.contains("IPv4 alone"), "{}", refused.stderr);
}

#[test]
fn two_daemons_talk_as_plain_peers() {
    let (one, two) = (Node::new(), Node::new());
    one.ctl(&["send", "--wait", &two.url(), "from one"]).expect(0);
    let heard = two.ctl(&["tail", "-n", "1", "-C", "1", "-W", "60", "-o", "json"]).expect(0).json();
    assert_eq!((&heard[0]["text"], &heard[0]["peer"]), (&json!("from one"), &json!(one.url())));
    two.ctl(&["send", "--wait", heard[0]["peer"].as_str().unwrap(), "from two"]).expect(0);
    let heard = one.ctl(&["tail", "-n", "1", "-C", "1", "-W", "60", "-o", "cat"]).expect(0);
    assert_eq!(heard.lines(), ["from two"]);
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let mut node = Node::new();
    let (chat, peer) = (node.chat(), Peer::new());
    // Nobody empties the socket's buffer of 4 MiB meanwhile.
    node.daemon().signal(Signal::STOP);
    let sent = 20_000;
    for _ in 0..sent {
        peer.say(chat, [b'x'; 1000]);
    }
    node.daemon().signal(Signal::CONT);
    let mut session = node.session();
    let lost = eventually("every datagram is stored or counted", || {
        let status = session.call("node.status", json!({})).unwrap();
        let count = |pointer: &str| status["chat"].pointer(pointer).unwrap().as_u64().unwrap();
        let lost = count("/dropped/kernel");
        (count("/received") + lost + count("/dropped/saturated") == sent).then_some(lost)
    });
    assert!(lost > 0);
}

#[test]
fn a_flood_from_one_source_leaves_room_for_another() {
    let node = Node::new();
    let chat = node.chat();
    let flood = std::thread::spawn(move || {
        let peer = Peer::at("127.0.0.2:0");
        for _ in 0..100_000 {
            peer.say(chat, [b'f'; 100]);
        }
    });
    // The quiet peer says each line until it is heard: what the kernel's buffer had no room for is lost.
    let quiet = Peer::new();
    let mut session = node.session();
    let last = json!({"limit": 1, "last": true, "filter": {"peer": quiet.url()}});
    for n in 0..20 {
        eventually("the quiet peer is heard", || {
            quiet.say(chat, format!("q{n}"));
            let page = session.call("events.read", last.clone()).unwrap();
            (page["events"][0]["text"] == format!("q{n}")).then_some(())
        });
    }
    flood.join().unwrap();
    let dropped = &node.status()["chat"]["dropped"];
    assert!(dropped.as_object().unwrap().values().all(Value::is_u64), "what was lost is counted: {dropped}");
}
