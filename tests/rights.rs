//! Who may do what on the control socket.

use crate::harness::{Ended, Node, NodeBuilder, Peer, Running, command, is_root, may_skip};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const NOBODY: &str = "65534";
/// A group that Debian has on every machine and that no service runs as.
const GROUP: (&str, &str) = ("users", "100");

/// netkitctl as nobody, with these supplementary groups. It runs from the box's directory: where it was built may be
/// closed to others.
fn nobodys_command(node: &Node, groups: Option<&str>, args: &[&str]) -> Command {
    let program = node.path("netkitctl");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_netkitctl"), &program).unwrap();
    }
    let groups = groups.map_or("--clear-groups".to_owned(), |group| format!("--groups={group}"));
    let (reuid, regid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    let (program, socket) = (program.display().to_string(), node.socket().display().to_string());
    let words = [&[&reuid, &regid, &groups, &program, "--socket", &socket][..], args].concat();
    command("setpriv", &words)
}

fn as_nobody(node: &Node, groups: Option<&str>, args: &[&str]) -> Ended {
    Running::to_end(nobodys_command(node, groups, args), b"")
}

fn not_root(test: &str) -> bool {
    may_skip(is_root(), test, "root, to become another user")
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_stranger_is_refused_and_a_member_of_the_group_is_let_in() {
    if not_root("a_stranger_is_refused_and_a_member_of_the_group_is_let_in") {
        return;
    }
    let node = NodeBuilder::default().control(&format!("group = \"{}\"", GROUP.0)).start();
    let peer = Peer::new();
    assert_eq!(mode(&node.socket()), 0o660);
    let refused = as_nobody(&node, None, &["status"]).expect(5);
    assert!(refused.stderr.contains(&format!("usermod -aG {}", GROUP.0)), "{}", refused.stderr);
    as_nobody(&node, Some(GROUP.1), &["status"]).expect(0);
    as_nobody(&node, Some(GROUP.1), &["send", &peer.url(), "from a member"]).expect(0);
    assert_eq!(peer.hear(), "from a member");
}

#[test]
fn readers_may_read_and_nothing_else() {
    if not_root("readers_may_read_and_nothing_else") {
        return;
    }
    let control = format!("group = \"{}\"\nreaders = [\"nobody\"]", GROUP.0);
    let node = NodeBuilder::default().control(&control).start();
    let peer = Peer::new();
    peer.say(node.chat(), "a line");
    node.wait_for("/chat/received", 1);
    assert_eq!(mode(&node.socket()), 0o666);
    assert!(as_nobody(&node, None, &["status"]).expect(0).stdout.contains("may read"));
    assert_eq!(
        as_nobody(&node, None, &["tail", "-o", "cat", "--cursor", "mine"]).expect(0).stdout,
        "a line\n"
    );
    as_nobody(&node, None, &["rpc", "downloads.list"]).expect(0);
    let add = r#"{"source":"http://127.0.0.1:1/f"}"#;
    for args in [
        &["send", &peer.url(), "hi"][..],
        &["rpc", "node.reload"],
        &["rpc", "downloads.add", add],
        &["rpc", "downloads.cancel", r#"{"id":1}"#],
    ] {
        let refused = as_nobody(&node, None, args).expect(5);
        assert!(refused.stderr.contains(GROUP.0), "which group to join: {}", refused.stderr);
    }
    // Cursors belong to their user: root's of the same name is another one.
    assert_eq!(node.ctl(&["tail", "-o", "cat", "--cursor", "mine"]).expect(0).stdout, "a line\n");
    // A group of readers is named with @.
    let control = format!("group = \"{}\"\nreaders = [\"@nogroup\"]", GROUP.0);
    let node = NodeBuilder::default().control(&control).start();
    as_nobody(&node, None, &["status"]).expect(0);
    // With readers the socket is open to all, so netkitd itself refuses the others.
    let control = format!("group = \"{}\"\nreaders = [\"daemon\"]", GROUP.0);
    let node = NodeBuilder::default().control(&control).start();
    let refused = as_nobody(&node, None, &["status"]).expect(5);
    assert!(refused.stderr.contains(GROUP.0), "{}", refused.stderr);
}

#[test]
fn a_right_that_is_taken_away_ends_what_was_open() {
    if not_root("a_right_that_is_taken_away_ends_what_was_open") {
        return;
    }
    let readers = "readers = [\"nobody\"]";
    let mut node = NodeBuilder::default().control(&format!("group = \"{}\"\n{readers}", GROUP.0)).start();
    let mut tail = Running::start(nobodys_command(&node, None, &["tail", "-f", "-o", "cat"]));
    let peer = Peer::new();
    peer.say(node.chat(), "seen");
    assert_eq!(tail.line(), "seen");
    node.edit_config(readers, "readers = [\"daemon\"]");
    node.daemon().signal(Signal::HUP);
    let ended = tail.end().expect(5);
    assert!(ended.stderr.contains(GROUP.0), "{}", ended.stderr);
}

#[test]
fn without_a_group_the_socket_is_the_owners_alone() {
    if not_root("without_a_group_the_socket_is_the_owners_alone") {
        return;
    }
    // The default group is netkit, where it exists.
    let node = Node::new();
    let has_group =
        std::fs::read_to_string("/etc/group").unwrap().lines().any(|line| line.starts_with("netkit:"));
    assert_eq!(mode(&node.socket()), if has_group { 0o660 } else { 0o600 });
    as_nobody(&node, None, &["status"]).expect(5);
    let refused = NodeBuilder::default().control("group = \"no-such-group\"").prepare();
    for args in [&["--check-config"][..], &[]] {
        let ended = Running::to_end(refused.netkitd(args), b"").expect(78);
        assert!(ended.stderr.contains("no-such-group"), "{}", ended.stderr);
    }
}

#[test]
fn the_state_is_closed_to_others() {
    let node = Node::new();
    assert_eq!(mode(&node.path("state")) & 0o077, 0);
    for entry in std::fs::read_dir(node.path("state")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
