//! What is shared: by the configuration and by `share`, and what `ls` shows.

use crate::files::{directory, share};
use crate::harness::{Node, NodeBuilder, http};

fn get(node: &Node, target: &str) -> u16 {
    http(node.files(), &format!("GET {target}"), &[]).status
}

#[test]
fn a_share_is_added_and_removed_live_and_outlives_a_restart() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let path = dir.path().display().to_string();
    let mut node = Node::new();
    assert_eq!(get(&node, "/isos/f"), 404);
    node.ctl(&["share", "add", "isos", &path, "--public"]).expect(0);
    assert_eq!(get(&node, "/isos/f"), 200);
    node.restart();
    assert_eq!(get(&node, "/isos/f"), 200);
    let listed = node.ctl(&["share"]).expect(0).stdout;
    assert!(listed.contains("isos") && listed.contains("public") && listed.contains(&path), "{listed}");
    assert_eq!(node.ctl(&["share", "add", "isos", &path]).expect(1).stdout, "");
    node.ctl(&["share", "remove", "isos"]).expect(0);
    assert_eq!(get(&node, "/isos/f"), 404);
    node.ctl(&["share", "remove", "isos"]).expect(4);
    // Without --public it is for those who can prove who they are.
    node.ctl(&["share", "add", "isos", &path]).expect(0);
    assert_eq!(get(&node, "/isos/f"), 404);
    let json = node.ctl(&["share", "list", "--json"]).expect(0).json().remove(0);
    assert_eq!(json["shares"][0]["access"], "trusted");
    node.ctl(&["share", "remove", "isos"]).expect(0);
    let nobody = node.ctl(&["share", "add", "isos", &path, "--with", "bob"]).expect(4);
    assert!(nobody.stderr.contains("bob") && nobody.stderr.contains("peers"), "{nobody:?}");
    let [one, two] = ["a", "b"].map(|letter| letter.repeat(51) + "a");
    node.ctl(&["share", "add", "isos", &path, "--with", &one, "--with", &two]).expect(0);
    node.kill();
    node.start();
    let json = node.ctl(&["share", "--json"]).expect(0).json().remove(0);
    assert_eq!(json["shares"][0]["access"], serde_json::json!([one, two]));
}

#[test]
fn a_share_that_is_replaced_by_a_link_leads_nowhere() {
    let dir = directory();
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let node = Node::new();
    node.ctl(&["share", "add", "s", &shared.display().to_string(), "--public"]).expect(0);
    assert_eq!(get(&node, "/s/"), 200);
    std::fs::remove_dir(&shared).unwrap();
    std::os::unix::fs::symlink(node.path("state"), &shared).unwrap();
    assert_eq!((get(&node, "/s/"), get(&node, "/s/netkit.db")), (404, 404));
}

#[test]
fn what_must_not_be_shared_is_refused() {
    let dir = directory();
    let node = Node::new();
    let state = node.path("state").display().to_string();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink(&state, dir.path().join("link")).unwrap();
    let text = |path: &std::path::Path| path.display().to_string();
    let holds_config = text(node.config().parent().unwrap());
    for path in [
        &state,
        "/",
        "/proc",
        "/sys/kernel",
        "/dev",
        &text(&file),
        &text(&dir.path().join("link")),
        &holds_config,
    ] {
        let refused = node.ctl(&["share", "add", "x", path, "--public"]).expect(5);
        assert!(refused.stderr.contains("can't be shared"), "{path}: {}", refused.stderr);
    }
    node.ctl(&["share", "add", "x", "/no/such/directory"]).expect(4);
    for name in [".hidden", "a/b", ""] {
        node.ctl(&["share", "add", name, &text(dir.path())]).expect(2);
    }
    assert_eq!(node.ctl(&["share"]).expect(0).stdout, "");
}

#[test]
fn the_configuration_wins_and_changes_live() {
    let (one, two) = (directory(), directory());
    std::fs::write(one.path().join("f"), "one").unwrap();
    std::fs::write(two.path().join("f"), "two").unwrap();
    let node = NodeBuilder::default().sections(&share("pub", one.path(), "access = \"public\"")).start();
    let two_path = two.path().display().to_string();
    node.ctl(&["share", "add", "pub", &two_path, "--public"]).expect(5);
    node.ctl(&["share", "remove", "pub"]).expect(5);
    node.edit_config(&one.path().display().to_string(), &two_path);
    let reloaded = node.ctl(&["rpc", "node.reload"]).expect(0).json().remove(0);
    assert_eq!(reloaded["changed"], serde_json::json!(["share"]));
    assert_eq!(http(node.files(), "GET /pub/f", &[]).body, b"two");
    // A bare name is looked for in the public shares in their order.
    node.ctl(&["share", "add", "zweite", &one.path().display().to_string(), "--public"]).expect(0);
    assert_eq!(http(node.files(), "GET /zweite/f", &[]).body, b"one");
}

#[test]
fn ls_lists_our_own_shares() {
    let dir = directory();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("file"), vec![0; 2048]).unwrap();
    let node = NodeBuilder::default().sections(&share("priv", dir.path(), "")).start();
    assert!(node.ctl(&["ls"]).expect(0).stdout.ends_with(" priv/\n"));
    let shown = node.ctl(&["ls", "priv/"]).expect(0);
    assert!(shown.lines()[0].ends_with(" sub/") && shown.lines()[1].contains("2.0 KiB"), "{shown:?}");
    let json = node.ctl(&["ls", "priv", "--json"]).expect(0).json().remove(0);
    assert_eq!(json["entries"][1]["size"], 2048);
    assert_eq!(node.ctl(&["ls", "priv/file", "--json"]).expect(0).json()[0]["entries"][0]["name"], "file");
    for path in ["nope", "priv/nope", "priv/../x"] {
        node.ctl(&["ls", path]).expect(4);
    }
}
