//! `netkitctl tail`: what it selects and prints, how it ends.

use crate::harness::{Node, Peer, Running, command, has_program, may_skip, readme_block};
use rustix::process::Signal;
use serde_json::json;

/// A box that received these lines from one peer.
fn node_with(lines: &[&str]) -> (Node, Peer) {
    let node = Node::new();
    let peer = Peer::new();
    for line in lines {
        peer.say(node.chat(), line);
    }
    node.wait_for("/chat/received", lines.len() as u64);
    (node, peer)
}

fn cat(node: &Node, args: &[&str]) -> Vec<String> {
    let all = [&["tail", "-o", "cat"], args].concat();
    node.ctl(&all).expect(0).lines().iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn it_prints_the_last_ten_or_as_many_as_asked() {
    let texts: Vec<String> = (0..15).map(|n| n.to_string()).collect();
    let (node, _) = node_with(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(cat(&node, &[]), texts[5..]);
    assert_eq!(cat(&node, &["-n", "3"]), texts[12..]);
    assert_eq!(cat(&node, &["-n", "0"]), [""; 0]);
    assert_eq!(cat(&node, &["-n", "100"]), texts);
    assert_eq!(cat(&node, &["-n", "100", "-C", "2"]), texts[..2]);
}

#[test]
fn it_selects_by_peer_text_and_time() {
    let (node, peer) = node_with(&["backup done", "backup failed", "hello"]);
    let other = Peer::at("127.0.0.2:0");
    other.say(node.chat(), "backup elsewhere");
    node.wait_for("/chat/received", 4);
    assert_eq!(cat(&node, &["-g", "backup (done|failed)"]), ["backup done", "backup failed"]);
    assert_eq!(cat(&node, &["-p", "127.0.0.2"]), ["backup elsewhere"]);
    assert_eq!(cat(&node, &["-p", &peer.url(), "-g", "^hello$"]), ["hello"]);
    assert_eq!(cat(&node, &["-p", &peer.address().to_string()]).len(), 3);
    assert_eq!(cat(&node, &["-S", "1h ago"]).len(), 4);
    assert_eq!(cat(&node, &["-U", "1h ago"]), [""; 0]);
    let third = node.session().all_events()[2]["at"].as_str().unwrap().to_owned();
    let from_third = cat(&node, &["-S", &third]);
    assert!(from_third.ends_with(&["hello".to_owned(), "backup elsewhere".to_owned()]), "{from_third:?}");
    assert_eq!(cat(&node, &["-U", &third]).len() + from_third.len(), 4, "before and after are the whole");
}

#[test]
fn wrong_arguments_are_told_with_what_is_right() {
    let node = Node::new();
    for (args, word) in [
        (&["-g", "("][..], "("),
        (&["-S", "whenever"], "whenever"),
        (&["-o", "xml"], "xml"),
        (&["-n", "-1"], "-1"),
        (&["--cursor", ""], "cursor"),
        (&["-W", "soon"], "soon"),
    ] {
        let ended = node.ctl(&[&["tail"], args].concat()).expect(2);
        assert!(ended.stderr.contains(word), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn formats_are_for_people_and_for_programs() {
    let (node, peer) = node_with(&["first\nsecond"]);
    let event = node.ctl(&["tail", "-o", "json"]).expect(0).json().remove(0);
    for (member, value) in [
        ("seq", json!(1)),
        ("kind", json!("message.received")),
        ("peer", json!(peer.url())),
        ("verified", json!(false)),
        ("encoding", json!("utf-8")),
        ("text", json!("first\nsecond")),
    ] {
        assert_eq!(event[member], value, "{member}");
    }
    let at = event["at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.len() == "2026-11-23T16:00:00.000Z".len(), "{at}");
    let short = node.ctl(&["tail"]).expect(0).stdout;
    assert_eq!(short, format!("{} {} ? first\n         second\n", &at[11..19], peer.url()));
    assert_eq!(node.ctl(&["tail", "-o", "cat"]).expect(0).stdout, "first\nsecond\n");
}

#[test]
fn our_own_and_the_whole_log_are_shown_when_asked() {
    let (node, peer) = node_with(&["theirs"]);
    node.ctl(&["send", "--wait", &peer.url(), "ours"]).expect(0);
    assert_eq!(cat(&node, &[]), ["theirs"]);
    let kinds = |args: &[&str]| -> Vec<String> {
        let events = node.ctl(&[&["tail", "--json"], args].concat()).expect(0).json();
        events.iter().map(|e| e["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&["--sent"]), ["message.received", "message.queued", "message.sent"]);
    assert_eq!(kinds(&["--events"]), ["message.received", "message.queued", "message.sent"]);
    let shown = node.ctl(&["tail", "--sent"]).expect(0).stdout;
    assert!(shown.contains(&format!("-> {} ours", peer.url())), "{shown}");
}

#[test]
fn following_prints_what_arrives_at_once() {
    let (node, peer) = node_with(&["old"]);
    let mut tail = node.follow(&["tail", "-f", "-o", "cat"]);
    assert_eq!(tail.line(), "old");
    for n in 0..20 {
        peer.say(node.chat(), format!("new {n}"));
        assert_eq!(tail.line(), format!("new {n}"));
    }
}

#[test]
fn counts_and_times_end_it() {
    let (node, peer) = node_with(&["old"]);
    let tail = node.follow(&["tail", "-n", "1", "-C", "2", "-W", "60", "-o", "cat"]);
    peer.say(node.chat(), "new");
    assert_eq!(tail.end().expect(0).lines(), ["old", "new"]);
    let ended = node.ctl(&["tail", "-n", "0", "-C", "1", "-W", "0.05"]).expect(6);
    assert_eq!(ended.stdout, "");
}

#[test]
fn signals_end_it_with_their_code() {
    let (node, _) = node_with(&["a line"]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut tail = node.follow(&["tail", "-f", "-o", "cat"]);
        assert_eq!(tail.line(), "a line");
        tail.signal(signal);
        tail.end().expect(code);
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let texts: Vec<String> = (0..2000).map(|n| format!("{n:0>100}")).collect();
    let (node, _) = node_with(&[]);
    let peer = Peer::new();
    for (n, text) in (1..).zip(&texts) {
        peer.say(node.chat(), text);
        if n % 500 == 0 {
            node.wait_for("/chat/received", n);
        }
    }
    let socket = node.socket().display().to_string();
    let script = r#"set -o pipefail; "$0" --socket "$1" tail -n 2000 | head -n 1"#;
    let ctl = env!("CARGO_BIN_EXE_netkitctl");
    let ended = Running::to_end(command("bash", &["-c", script, ctl, &socket]), b"").expect(0);
    assert_eq!(ended.lines().len(), 1);
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_could_not_be_written_does_not_move_a_cursor() {
    let (node, _) = node_with(&["one", "two"]);
    let socket = node.socket().display().to_string();
    let script = r#""$0" --socket "$1" tail --cursor full >/dev/full"#;
    let full = command("bash", &["-c", script, env!("CARGO_BIN_EXE_netkitctl"), &socket]);
    let ended = Running::to_end(full, b"").expect(8);
    assert!(ended.stderr.contains("stdout"), "{}", ended.stderr);
    assert_eq!(cat(&node, &["--cursor", "full"]), ["one", "two"]);
}

#[test]
fn a_cursor_passes_over_what_its_filter_leaves_out() {
    let (node, quiet) = node_with(&["wanted"]);
    let busy = Peer::at("127.0.0.2:0");
    let mut tail = node.follow(&["tail", "-f", "-o", "cat", "--cursor", "quiet", "-p", &quiet.url()]);
    assert_eq!(tail.line(), "wanted");
    for n in 0..50 {
        busy.say(node.chat(), n.to_string());
    }
    node.wait_for("/chat/received", 51);
    tail.signal(Signal::TERM);
    tail.end().expect(143);
    let cursors = node.session().call("cursors.list", json!({})).unwrap();
    assert_eq!(cursors["cursors"][0]["seq"], 51, "retention would take it for one that was cut off");
}

#[test]
fn it_ends_with_its_reader_also_while_netkitd_is_away() {
    let (mut node, _) = node_with(&["a line"]);
    let socket = node.socket().display().to_string();
    let script =
        r#"set -o pipefail; "$0" --socket "$1" tail -f | { read -r line; echo "$line"; read -r end <&3; }"#;
    let both = format!("exec 3<&0; {script}");
    let mut pipe = Running::start(command("bash", &["-c", &both, env!("CARGO_BIN_EXE_netkitctl"), &socket]));
    assert!(pipe.line().ends_with("a line"));
    node.kill();
    pipe.stderr_with("netkitd went away");
    pipe.write(b"end\n");
    assert_eq!(pipe.end().expect(0).stdout, "");
}

#[test]
fn a_netkitd_that_hangs_holds_up_no_signal_and_no_deadline() {
    let (mut node, _) = node_with(&["a line"]);
    node.ctl(&["tail", "--cursor", "held"]).expect(0);
    let mut following = node.follow(&["tail", "-f", "-o", "cat", "--cursor", "held"]);
    let peer = Peer::new();
    peer.say(node.chat(), "another");
    assert_eq!(following.line(), "another");
    node.daemon().signal(Signal::STOP);
    let reading = node.follow(&["tail", "-n", "1"]);
    let within = node.follow(&["tail", "-f", "-W", "0.2"]);
    within.end().expect(6);
    for (tail, signal, code) in [(reading, Signal::INT, 130), (following, Signal::TERM, 143)] {
        tail.signal(signal);
        tail.end().expect(code);
    }
    let mut status = node.follow(&["status"]);
    status.stderr_with("netkitd does not answer");
    node.daemon().signal(Signal::CONT);
    status.end().expect(0);
}

#[test]
fn exec_runs_for_each_message_and_its_failure_ends_it() {
    let (node, peer) = node_with(&["one", "two", "stop", "never"]);
    let out = node.path("out");
    let script = format!(
        "read line; echo \"$line $NETKIT_PEER $NETKIT_SEQ\" >> {}; [ \"$line\" != stop ]",
        out.display()
    );
    let ended = node.ctl(&["tail", "--cursor", "exec", "--exec", &script]).expect(1);
    assert!(ended.stderr.contains("stop") || ended.stderr.contains('3'), "{}", ended.stderr);
    let url = peer.url();
    let expected = format!("one {url} 1\ntwo {url} 2\nstop {url} 3\n");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), expected);
    // A new cursor stands before the first message that was to be handled, also when that failed at once.
    node.ctl(&["tail", "--cursor", "late", "-n", "1", "--exec", "exit 3"]).expect(1);
    assert_eq!(cat(&node, &["--cursor", "late"]), ["never"]);
    // The message whose command failed comes again; those before it do not.
    assert_eq!(cat(&node, &["--cursor", "exec"]), ["stop", "never"]);
}

#[test]
fn an_echo_bot_is_three_lines_of_shell() {
    if may_skip(has_program("jq"), "an_echo_bot_is_three_lines_of_shell", "jq") {
        return;
    }
    let node = Node::new();
    let bot = readme_block("sh", "--cursor echo");
    assert_eq!(bot.lines().count(), 3);
    let mut bot = command("bash", &["-c", &bot]);
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_netkitctl")).parent().unwrap();
    bot.env("PATH", format!("{}:{}", beside.display(), std::env::var("PATH").unwrap()));
    bot.env("NETKIT_SOCKET", node.socket());
    let _bot = Running::start(bot);
    let peer = Peer::new();
    for n in 0..3 {
        peer.say(node.chat(), format!("hello {n}"));
        assert_eq!(peer.hear(), format!("you said: hello {n}"));
    }
}
