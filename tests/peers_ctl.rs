//! `netkitctl peers` and `rooms`, and what goes to peers that are not there: what is asked, told, kept and given up. The
//! peers stand in the database from the start, and none of them has an address.

use crate::harness::{DEADLINE, Node, NodeBuilder, command, eventually, has_program, may_skip};
use netkit_proto::ids::PeerId;
use rexpect::session::{PtySession, spawn_command};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The id of a peer: its letter says which.
fn id(letter: u8) -> PeerId {
    PeerId([letter; 32])
}

/// A box that knows bob, carol and a namesake of carol's, and has seen eve; bob and carol are in @ops.
fn with_peers() -> Node {
    let mut node = Node::new();
    node.stop();
    let database = node.path("state/netkit.db").display().to_string();
    for (letter, name, trust, rooms) in [
        (b'b', "bob", "known", "ops"),
        (b'c', "carol", "trusted", "ops night"),
        (b'd', "carol", "known", ""),
        (b'e', "eve", "new", "ops"),
    ] {
        let id: String = id(letter).0.iter().map(|byte| format!("{byte:02x}")).collect();
        let sql = format!("INSERT INTO peers VALUES (x'{id}', '{name}', '{trust}', '', '{rooms}', 0)");
        crate::harness::Running::to_end(command("sqlite3", &[&database, &sql]), b"").expect(0);
    }
    node.start();
    node
}

/// Where the test can't be: the database is written by sqlite3.
fn lacks_sqlite(test: &str) -> bool {
    may_skip(has_program("sqlite3"), test, "sqlite3")
}

fn at_terminal(node: &Node, args: &[&str]) -> PtySession {
    let mut command = node.ctl_command(args);
    command.env("TERM", "xterm").env_remove("NO_COLOR").stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(DEADLINE.as_millis().try_into().unwrap())).unwrap()
}

#[test]
fn this_box_tells_its_name_and_id_for_ever() {
    let mut node = Node::new();
    let me = node.ctl(&["peers", "show", "me", "--json"]).expect(0).json().remove(0);
    assert_eq!((&me["name"], &me["rooms"]), (&json!("box"), &json!([])));
    let id: PeerId = serde_json::from_value(me["id"].clone()).unwrap();
    let shown = node.ctl(&["peers", "show", "me"]).expect(0).stdout;
    let groups: String = shown.lines().nth(1).unwrap().split_whitespace().skip(1).collect();
    assert_eq!((groups, shown.lines().count()), (id.to_string(), 2), "no picture off a terminal: {shown}");
    assert!(node.ctl(&["peers", "show", "me", "--qr"]).expect(0).lines().len() > 15);
    node.restart();
    assert_eq!(node.ctl(&["peers", "show", "me", "--json"]).expect(0).json().remove(0), me);
    let mut terminal = at_terminal(&node, &["peers", "show", "me"]);
    terminal.exp_string("\u{1b}[38;5;16;48;5;231m").unwrap();
    terminal.exp_eof().unwrap();
}

#[test]
fn hosts_are_asked_from_then_on_and_after_a_restart() {
    let discovery = "[discovery]\nmdns = false\npeers = [\"127.0.0.1:2\"]";
    let mut node = NodeBuilder::default().sections(discovery).start();
    node.ctl(&["peers", "add", "127.0.0.1:1"]).expect(0);
    let late = node.ctl(&["peers", "add", "127.0.0.1:1", "--wait=0.2"]).expect(6);
    assert!(late.stderr.contains("127.0.0.1:1 is not linked: "), "{}", late.stderr);
    node.kill();
    node.start();
    let hosts = node.ctl(&["peers", "--hosts", "--json"]).expect(0).json();
    let told = |host: &Value| (host["host"].clone(), host["configured"].clone());
    assert_eq!(
        hosts.iter().map(told).collect::<Vec<_>>(),
        [(json!("127.0.0.1:1"), json!(false)), (json!("127.0.0.1:2"), json!(true))]
    );
    assert!(node.ctl(&["peers"]).expect(0).stdout.contains("127.0.0.1:1"), "nobody is there yet");
    node.ctl(&["peers", "remove", "127.0.0.1:2"]).expect(5);
    node.ctl(&["peers", "remove", "127.0.0.1:1"]).expect(0);
    node.ctl(&["peers", "remove", "127.0.0.1:1"]).expect(4);
    for wrong in ["a b", "host:0", "", "[::1"] {
        node.ctl(&["peers", "add", wrong]).expect(2);
    }
}

#[test]
fn who_is_not_known_is_not_found() {
    let node = Node::new();
    let whole = id(b'x').to_string();
    for args in [
        &["peers", "show", "bob"][..],
        &["peers", "show", &whole],
        &["peers", "trust", "bob"],
        &["peers", "trust", "bob", "--yes"],
        &["peers", "trust", "bob", &whole],
        &["peers", "block", "bob"],
        &["peers", "remove", "bob", "carol"],
        &["peers", "wait", "bob"],
        &["peers", "wait", "bob", "-W", "0.1"],
        &["send", "bob", "hi"],
        &["send", "--wait", "bob~abc", "hi"],
        &["send", "@ops", "hi"],
        &["send", "@all", "hi"],
        &["chat", "bob"],
        &["rooms", "leave", "ops"],
    ] {
        let ended = node.ctl(args).expect(4);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    for args in [&["peers", "show", "a:b"][..], &["send", "@a b", "hi"], &["rooms", "join", "all"]] {
        node.ctl(args).expect(2);
    }
    assert_eq!(node.ctl(&["peers", "--json"]).expect(0).stdout, "");
    assert_eq!(node.ctl(&["tail", "-p", "bob", "-r", "@ops"]).expect(0).stdout, "");
}

#[test]
fn rooms_are_joined_and_left_across_restarts() {
    let mut node = Node::new();
    node.ctl(&["rooms", "join", "ops", "@night"]).expect(0);
    node.ctl(&["rooms", "join", "ops"]).expect(0);
    node.kill();
    node.start();
    let rooms = node.ctl(&["rooms", "--json"]).expect(0).json();
    let room = |name: &str| json!({ "name": name, "joined": true, "members": [] });
    assert_eq!(rooms, [room("night"), room("ops")]);
    node.ctl(&["rooms", "leave", "night"]).expect(0);
    node.restart();
    assert_eq!(node.ctl(&["rooms", "list"]).expect(0).stdout, "ROOM  WE\n@ops  joined\n");
    assert!(node.ctl(&["peers", "show", "me"]).expect(0).stdout.contains("rooms     @ops\n"));
}

#[test]
fn peers_are_listed_and_namesakes_told_apart() {
    if lacks_sqlite("peers_are_listed_and_namesakes_told_apart") {
        return;
    }
    let node = with_peers();
    let (carol, dora) = (format!("carol~{}", id(b'c').short()), format!("carol~{}", id(b'd').short()));
    let names = node.ctl(&["peers", "-q"]).expect(0).stdout;
    assert_eq!(names, format!("bob\n{carol}\n{dora}\neve\n"));
    let peers = node.ctl(&["peers", "--json", "--trust", "new"]).expect(0).json();
    assert_eq!(
        peers,
        [
            json!({ "peer": "eve", "name": "eve", "id": id(b'e'), "trust": "new", "linked": false, "silent": false, "addresses": [],
            "rooms": ["ops"], "queued": 0 })
        ]
    );
    let table = node.ctl(&["peers"]).expect(0).stdout;
    assert!(table.starts_with("NAME") && table.lines().all(|line| line.len() <= 80), "{table}");
    let several = node.ctl(&["peers", "show", "carol"]).expect(5).stderr;
    assert!(several.contains(&carol) && several.contains(&dora), "{several}");
    node.ctl(&["send", "carol", "hi"]).expect(5);
    node.ctl(&["chat", "carol"]).expect(5);
    node.ctl(&["tail", "-p", "carol"]).expect(5);
    node.ctl(&["send", &carol, "hi"]).expect(0);
    let shown = node.ctl(&["peers", "show", &carol]).expect(0).stdout;
    assert!(shown.contains("\nlinked    no: ") && shown.contains("\nqueue     1 message waits"), "{shown}");
    let status = node.status();
    let mut counts = json!({ "linked": 0, "known": 3, "new": 1, "queued": 1, "refused": 0, "dropped": 0 });
    for limit in ["full", "challenged", "mistakes"] {
        counts[limit] = json!(0);
    }
    assert_eq!(status["peers"], counts);
    let rooms = node.ctl(&["rooms"]).expect(0).stdout;
    assert_eq!(rooms, format!("ROOM    MEMBERS\n@night  {carol}\n@ops    bob, {carol}\n"));
}

#[test]
fn a_peer_is_trusted_by_its_whole_id_and_blocked_by_name() {
    if lacks_sqlite("a_peer_is_trusted_by_its_whole_id_and_blocked_by_name") {
        return;
    }
    let mut node = with_peers();
    let trust = |node: &Node, name: &str| {
        node.ctl(&["peers", "show", name, "--json"]).expect(0).json().remove(0)["trust"].clone()
    };
    let whole = id(b'b').to_string();
    assert!(node.ctl(&["peers", "trust", "bob"]).expect(2).stderr.contains("--yes"));
    node.ctl(&["peers", "trust", "bob", &id(b'c').to_string()]).expect(5);
    assert_eq!(trust(&node, "bob"), "known");
    let trusted = node.ctl(&["peers", "trust", "bob", &whole[..20], &whole[20..], "--json"]).expect(0).json();
    assert_eq!(trusted[0]["trust"], "trusted");
    let mut terminal = at_terminal(&node, &["peers", "trust", "eve"]);
    terminal.exp_string(&id(b'e').to_string()[..4]).unwrap();
    terminal.exp_string("[y/N]").unwrap();
    terminal.send_line("y").unwrap();
    terminal.exp_eof().unwrap();
    node.ctl(&["peers", "block", "bob"]).expect(0);
    node.restart();
    assert_eq!((trust(&node, "eve"), trust(&node, "bob")), (json!("trusted"), json!("blocked")));
    node.ctl(&["send", "bob", "hi"]).expect(5);
    node.ctl(&["peers", "wait", "bob"]).expect(5);
    let log = node.ctl(&["tail", "--events"]).expect(0).stdout;
    let told = ["bob", "eve"].map(|name| log.contains(&format!("[peer {name} (")));
    assert_eq!((told, log.contains("is blocked from now on]")), ([true, true], true), "{log}");
}

#[test]
fn what_waits_for_a_peer_is_kept_and_its_end_is_told() {
    if lacks_sqlite("what_waits_for_a_peer_is_kept_and_its_end_is_told") {
        return;
    }
    let mut node = with_peers();
    let late = node.ctl(&["send", "--wait=0.1", "bob", "one"]).expect(6).stderr;
    assert!(
        late.contains("was not delivered in time: it is not linked") && late.contains("still queued"),
        "{late}"
    );
    let late = node.ctl(&["send", "--wait=0.1", "@ops", "two"]).expect(6).stderr;
    assert!(late.contains(&format!("did not reach bob, carol~{} in time", id(b'c').short())), "{late}");
    let key = ["send", "--wait=0.1", "--key", "k", "@all", "three"];
    let first = node.ctl(&[&key[..], &["--json"]].concat()).expect(6).json().remove(0);
    assert_eq!((&first["repeated"], first["to"].as_array().unwrap().len()), (&json!(false), 3));
    let again = node.ctl(&[&key[..], &["--json"]].concat()).expect(6).json().remove(0);
    assert_eq!((&again["repeated"], &again["id"]), (&json!(true), &first["id"]));
    node.restart();
    node.wait_for("/peers/queued", 6);
    node.ctl(&["send", "--wait", "--expire", "0.1", "bob", "four"]).expect(6);
    let left = node.follow(&["send", "--wait", "bob", "and"]);
    node.wait_for("/peers/queued", 7);
    let status = || std::fs::read_to_string(format!("/proc/{}/status", left.pid())).unwrap();
    eventually("it catches SIGINT", || {
        let status = status();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
        (u64::from_str_radix(caught, 16).unwrap() & 1 << (Signal::INT.as_raw() - 1) != 0).then_some(())
    });
    left.signal(Signal::INT);
    let told = left.end().expect(130).stderr;
    assert!(told.contains("stays queued") && told.contains("tail --sent"), "{told}");
    let waiting = node.follow(&["send", "--wait", "bob", "five"]);
    node.wait_for("/peers/queued", 8);
    let removed = node.ctl(&["peers", "remove", "bob"]).expect(0).stderr;
    assert!(removed.contains(" messages that waited for bob are given up"), "{removed}");
    let refused = waiting.end().expect(5).stderr;
    assert!(refused.contains("was refused: the peer was removed here"), "{refused}");
    let sent = node.ctl(&["tail", "--sent", "-r", "ops", "-o", "cat"]).expect(0).stdout;
    assert_eq!(sent, "two\n");
    let log = node.ctl(&["tail", "--sent", "-n", "20"]).expect(0).stdout;
    assert!(
        log.contains("-> @ops two\n") && log.contains("-> bob [message ") && log.contains("expired"),
        "{log}"
    );
}

#[test]
fn a_line_that_does_not_arrive_is_told_in_the_conversation() {
    if lacks_sqlite("a_line_that_does_not_arrive_is_told_in_the_conversation") {
        return;
    }
    let node = with_peers();
    let mut terminal = at_terminal(&node, &["chat", "bob"]);
    terminal.exp_string("bob> ").unwrap();
    terminal.send_line("are you there?").unwrap();
    terminal.exp_string("[bob does not have message 1 yet: it waits]").unwrap();
    node.ctl(&["peers", "block", "bob"]).expect(0);
    terminal.exp_string("[message 1 refused: the peer was blocked here]").unwrap();
    terminal.send_line("bye").unwrap();
    terminal.exp_string("bob is blocked here").unwrap();
    terminal.exp_eof().unwrap();
}

/// A box of this name.
fn named(name: &str) -> Node {
    let mut node = NodeBuilder::default().prepare();
    node.edit_config("name = \"box\"", &format!("name = \"{name}\""));
    node.start();
    node
}

/// Where a box can be added.
fn host(node: &Node) -> String {
    node.chat().to_string()
}

#[test]
fn what_is_delivered_is_on_the_others_disk() {
    let (alice, mut bob) = (named("alice"), named("bob"));
    let linked = alice.ctl(&["peers", "add", &host(&bob), "--wait"]).expect(0);
    assert_eq!(linked.stdout, "bob\n");
    alice.ctl(&["peers", "wait", "bob"]).expect(0);
    alice.ctl(&["send", "--wait", "bob", "hi"]).expect(0);
    let lines = "one\ntwo\nthree\n";
    alice.ctl_with(&["send", "-l", "--wait", "bob"], lines.as_bytes()).expect(0);
    bob.kill();
    bob.start();
    assert_eq!(bob.ctl(&["tail", "-o", "cat", "-n", "3"]).expect(0).stdout, lines);
    let heard = bob.ctl(&["tail", "-p", "alice"]).expect(0).stdout;
    assert!(heard.contains(" alice [new] hi\n"), "a stranger is marked: {heard}");
    let sent = alice.ctl(&["tail", "--sent"]).expect(0).stdout;
    assert!(sent.contains("-> bob hi\n") && sent.contains("-> bob [message"), "{sent}");
    let status = alice.ctl(&["status"]).expect(0).stdout;
    assert!(status.contains("linked, 1 known"), "{status}");
}

#[test]
fn a_room_reaches_who_is_in_it() {
    let (alice, bob, carol) = (named("alice"), named("bob"), named("carol"));
    for peer in [&alice, &bob, &carol] {
        peer.ctl(&["rooms", "join", "ops"]).expect(0);
    }
    for peer in [&bob, &carol] {
        alice.ctl(&["peers", "add", &host(peer), "--wait"]).expect(0);
    }
    let sent = alice.ctl(&["send", "--wait", "--json", "@ops", "going down"]).expect(0).json().remove(0);
    assert!([json!(["bob", "carol"]), json!(["carol", "bob"])].contains(&sent["to"]), "{sent}");
    for peer in [&bob, &carol] {
        let heard = peer.ctl(&["tail", "-r", "@ops"]).expect(0).stdout;
        assert!(heard.ends_with(" alice @ops [new] going down\n"), "{heard}");
    }
    bob.ctl(&["peers", "trust", "alice", "--yes"]).expect(0);
    bob.ctl(&["peers", "wait", "alice"]).expect(0);
    let mut talk = alice.follow(&["chat", "@ops"]);
    talk.write(b"still there?\n");
    let asked = ["tail", "-f", "-r", "ops", "-g", "^still", "-C", "1"];
    assert!(bob.ctl(&asked).expect(0).stdout.ends_with(" alice @ops still there?\n"), "trusted: not marked");
    bob.ctl(&["send", "--wait", "alice", "not for the room"]).expect(0);
    bob.ctl(&["send", "--wait", "@ops", "yes"]).expect(0);
    assert_eq!(talk.line(), "bob: yes");
    talk.close_stdin();
    talk.end().expect(0);
}

#[test]
fn a_conversation_ends_with_bye() {
    let (alice, bob) = (named("alice"), named("bob"));
    alice.ctl(&["peers", "add", &host(&bob), "--wait"]).expect(0);
    let mut terminal = at_terminal(&alice, &["chat", "bob"]);
    terminal.exp_string("bob> ").unwrap();
    terminal.send_line("hi").unwrap();
    assert_eq!(bob.ctl(&["tail", "-f", "-C", "1", "-o", "cat"]).expect(0).stdout, "hi\n");
    bob.ctl(&["send", "--wait", "alice", "hello\u{1b}[2J"]).expect(0);
    terminal.exp_string("bob hello\\u{1b}[2J").unwrap();
    bob.ctl(&["send", "--wait", "alice", "bye"]).expect(0);
    terminal.exp_string("bob said bye").unwrap();
    terminal.exp_eof().unwrap();
}
