//! `netkitctl chat` at a terminal and on a pipe.

use crate::harness::{DEADLINE, Node, Peer};
use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{PtySession, spawn_command};

/// A conversation in a terminal of its own.
fn at_terminal(node: &Node, dest: &str) -> PtySession {
    let mut command = node.ctl_command(&["chat", dest]);
    command.env("TERM", "xterm").stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(DEADLINE.as_millis().try_into().unwrap())).unwrap()
}

#[test]
fn a_line_that_arrives_while_typing_stands_above_what_was_typed() {
    let node = Node::new();
    let peer = Peer::new();
    let mut terminal = at_terminal(&node, &peer.url());
    prompt(&mut terminal, &peer);
    terminal.send("half a li").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("half a li").unwrap();
    peer.say(node.chat(), "interrupting");
    terminal.exp_string("interrupting").unwrap();
    terminal.exp_string("half a li").unwrap(); // the prompt is drawn again, with what was typed
    terminal.send_line("ne").unwrap();
    assert_eq!(peer.hear(), "half a line");
    peer.say(node.chat(), "\u{1b}[2Jharmless");
    terminal.exp_string("\\u{1b}[2Jharmless").unwrap();
    terminal.send_line("bye").unwrap();
    assert_eq!(peer.hear(), "bye");
    ends_with(&mut terminal, 0);
    let shown = node.ctl(&["tail", "--sent", "-o", "cat"]).expect(0);
    assert_eq!(shown.lines()[0], "interrupting");
}

/// Waits until the next line can be typed: before that the terminal is not the line editor's.
fn prompt(terminal: &mut PtySession, peer: &Peer) {
    terminal.exp_string(&format!("{}> ", peer.url())).unwrap();
}

/// Waits for the end, which must have this exit code.
#[track_caller]
fn ends_with(terminal: &mut PtySession, code: i32) {
    terminal.exp_eof().unwrap();
    let ended = terminal.process().wait().unwrap();
    assert!(matches!(ended, WaitStatus::Exited(_, ended) if ended == code), "{ended:?}, not {code}");
}

#[test]
fn what_is_pasted_is_said_line_by_line() {
    let node = Node::new();
    let peer = Peer::new();
    let mut terminal = at_terminal(&node, &peer.url());
    prompt(&mut terminal, &peer);
    let lines: Vec<String> = (0..50).map(|n| format!("pasted {n}")).collect();
    terminal.send(&(lines.join("\n") + "\n")).unwrap();
    terminal.flush().unwrap();
    for line in &lines {
        assert_eq!(&peer.hear(), line);
    }
    terminal.send_line("bye").unwrap();
    assert_eq!(peer.hear(), "bye");
    ends_with(&mut terminal, 0);
}

#[test]
fn ctrl_d_ends_it_without_a_word_and_ctrl_c_with_130() {
    let node = Node::new();
    let peer = Peer::new();
    for (key, code) in [('d', 0), ('c', 130)] {
        let mut terminal = at_terminal(&node, &peer.url());
        prompt(&mut terminal, &peer);
        terminal.send_line("hi").unwrap();
        assert_eq!(peer.hear(), "hi");
        terminal.exp_string("hi\r\n").unwrap();
        prompt(&mut terminal, &peer);
        terminal.send_control(key).unwrap();
        ends_with(&mut terminal, code);
    }
    // While a line is on its way Ctrl-C is a signal.
    let mut terminal = at_terminal(&node, &peer.url());
    prompt(&mut terminal, &peer);
    terminal.process_mut().signal(Signal::SIGINT).unwrap();
    ends_with(&mut terminal, 130);
    node.ctl(&["send", &peer.url(), "next"]).expect(0);
    assert_eq!(peer.hear(), "next", "nothing else was sent");
}

#[test]
fn their_bye_ends_it() {
    let node = Node::new();
    let peer = Peer::new();
    let mut terminal = at_terminal(&node, &peer.url());
    prompt(&mut terminal, &peer);
    terminal.send_line("hi").unwrap();
    assert_eq!(peer.hear(), "hi");
    peer.say(node.chat(), "bye");
    ends_with(&mut terminal, 0);
}

#[test]
fn on_a_pipe_lines_go_in_and_out() {
    let node = Node::new();
    let peer = Peer::new();
    let other = Peer::new();
    let mut chat = node.follow(&["chat", &peer.url()]);
    chat.write(b"first\n");
    assert_eq!(peer.hear(), "first");
    other.say(node.chat(), "not of this conversation");
    peer.say(node.chat(), "answer");
    assert_eq!(chat.line(), "answer");
    chat.write(b"bye\nnever sent\n");
    assert_eq!(peer.hear(), "bye");
    assert_eq!(chat.end().expect(0).stdout, "");
}

#[test]
fn the_end_of_a_pipe_ends_it() {
    let node = Node::new();
    let peer = Peer::new();
    node.ctl_with(&["chat", &peer.url()], b"one\ntwo").expect(0);
    assert_eq!((peer.hear(), peer.hear()), ("one".to_owned(), "two".to_owned()));
    for dest in ["bob", "@ops", "@all"] {
        let ended = node.ctl_with(&["chat", dest], b"").expect(4);
        assert!(ended.stderr.contains(dest), "{}", ended.stderr);
    }
}

#[test]
fn programs_get_json() {
    let node = Node::new();
    let peer = Peer::new();
    let mut chat = node.follow(&["chat", "--json", &peer.url()]);
    chat.write(b"hi\n");
    assert_eq!(peer.hear(), "hi");
    peer.say(node.chat(), "answer");
    let event = chat.json();
    assert_eq!((&event["kind"], &event["text"]), (&"message.received".into(), &"answer".into()));
}

#[test]
fn a_conversation_goes_on_when_netkitd_comes_back() {
    let mut node = Node::new();
    let peer = Peer::new();
    let mut chat = node.follow(&["chat", &peer.url()]);
    chat.write(b"before\n");
    assert_eq!(peer.hear(), "before");
    node.restart();
    peer.say(node.chat(), "are you there");
    assert_eq!(chat.line(), "are you there");
    chat.write(b"after\n");
    assert_eq!(peer.hear(), "after");
}
