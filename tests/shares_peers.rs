//! `netkitctl ls PEER:`: what another box shows this one, and what comes of one that lies.

use crate::files::{content, directory, share};
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{Node, eventually, http, millis};
use serde_json::{Value, json};
use std::time::SystemTime;

fn listed(node: &Node, path: &str) -> Value {
    node.ctl(&["ls", path, "--json"]).expect(0).json().remove(0)
}

fn names(listing: &Value) -> Vec<&str> {
    listing["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[test]
fn ls_shows_what_a_peer_shows() {
    let dir = directory();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("a b"), content(2048)).unwrap();
    std::fs::write(dir.path().join("\u{1b}[2J\u{202e}"), "").unwrap();
    let shares = share("pub", dir.path(), "access = \"public\"")
        + &share("priv", dir.path(), "access = \"trusted\"")
        + &share("others", dir.path(), "access = [\"carol\"]");
    let (alice, bob) = (box_of(builder_with("alice", &shares)), box_of(builder("bob")));
    bob.add(&alice);
    assert_eq!(bob.ctl(&["ls", "alice:"]).expect(0).lines().len(), 1);
    assert_eq!(names(&listed(&bob, "alice:")), ["pub"]);
    alice.tell("peers.trust", &bob.id());
    assert_eq!(names(&listed(&bob, "alice:")), ["pub", "priv"]);
    let there = ["sub", "\u{1b}[2J\u{202e}", "a b"];
    for path in ["alice:priv", "alice:priv/", "alice:/priv/"] {
        assert_eq!(names(&listed(&bob, path)), there);
    }
    assert_eq!(names(&listed(&bob, "alice:priv/sub")), [""; 0]);
    let shown = bob.ctl(&["ls", "alice:priv"]).expect(0).stdout;
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && shown.contains("2.0 KiB"), "{shown:?}");
    let entries = listed(&bob, "alice:priv")["entries"].clone();
    for (entry, name) in entries.as_array().unwrap().iter().zip(["sub", "\u{1b}[2J\u{202e}", "a b"]) {
        let modified = dir.path().join(name).metadata().unwrap().modified().unwrap();
        let modified = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        assert_eq!(millis(&entry["modified"]) as u128, modified, "{entry}");
    }
    // A file is listed as itself, without being fetched.
    let file = listed(&bob, &format!("alice~{}:priv/a b", alice.id()));
    let here = listed(&alice, "priv/a b");
    assert_eq!((names(&file), &file["entries"][0]["size"]), (vec!["a b"], &here["entries"][0]["size"]));
    // Hashes where they are known, there and here.
    eventually("its hash is known", || {
        http(alice.files(), "GET /.netkit/v1/manifest/pub/a%20b", &[]);
        let listing = listed(&bob, "alice:pub/");
        let hash = listing["entries"][2]["blake3"].as_str()?.to_owned();
        (hash == crate::harness::blake3(&content(2048))).then_some(())
    });
    assert_eq!(
        listed(&alice, "priv")["entries"][2]["blake3"],
        listed(&bob, "alice:priv")["entries"][2]["blake3"]
    );
    // Of a single file, too; of one that no directory lists what can be told.
    for node_path in ["alice:pub/a b", "alice:priv/a b"] {
        assert_eq!(listed(&bob, node_path)["entries"], json!([listed(&alice, "pub/a b")["entries"][0]]));
    }
    assert_eq!(listed(&bob, "alice:pub/a b")["entries"][0]["blake3"], crate::harness::blake3(&content(2048)));
    for path in
        ["alice:nope", "alice:others", "alice:priv/nope", "alice:priv/../x", "nobody:x", "alice:priv/a b/x"]
    {
        let missing = bob.ctl(&["ls", path]).expect(4);
        assert!(missing.stdout.is_empty() && !missing.stderr.is_empty(), "{path}");
    }
    // Who blocks and who is blocked is told apart.
    alice.tell("peers.block", &bob.id());
    bob.wait_peer(&alice.id(), "is not linked", |peer| peer["linked"] == false);
    bob.ctl(&["ls", "alice:pub"]).expect(5);
    bob.tell("peers.block", &alice.id());
    let blocked = bob.ctl(&["ls", "alice:pub"]).expect(5);
    assert!(blocked.stderr.contains("blocked here"), "{blocked:?}");
}

#[test]
fn ls_tells_that_a_peer_is_away() {
    let (mut alice, bob) = (box_of(builder("alice")), box_of(builder("bob")));
    befriend(&bob, &alice);
    assert_eq!(listed(&bob, "alice:")["entries"], serde_json::json!([]));
    let id = alice.id();
    alice.stop();
    bob.wait_peer(&id, "is not linked", |peer| peer["linked"] == false);
    let away = bob.ctl(&["ls", "alice:"]).expect(6);
    assert!(away.stderr.contains("alice is not there at present"), "{away:?}");
}

#[test]
fn a_share_for_a_peer_is_for_that_box_whatever_it_is_called() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let path = dir.path().display().to_string();
    let (alice, mut bob) = (box_of(builder("alice")), box_of(builder("bob")));
    // Whoever only calls itself so is not meant.
    bob.add(&alice);
    let stranger = alice.ctl(&["share", "add", "s", &path, "--with", "bob"]).expect(4);
    assert!(stranger.stderr.contains("nobody here knows"), "{stranger:?}");
    alice.tell("peers.trust", &bob.id());
    alice.ctl(&["share", "add", "s", &path, "--with", "bob"]).expect(0);
    let json = alice.ctl(&["share", "--json"]).expect(0).json().remove(0);
    assert_eq!(json["shares"][0]["access"], serde_json::json!([bob.id()]));
    assert!(alice.ctl(&["share"]).expect(0).stdout.contains(" bob~"));
    assert_eq!(names(&listed(&bob, "alice:s")), ["f"]);
    // He is called otherwise, and another one bob.
    bob.stop();
    bob.edit_config("name = \"bob\"", "name = \"robert\"");
    bob.start();
    bob.wait_linked(&alice);
    alice.wait_peer(&bob.id(), "it is renamed", |peer| peer["name"] == "robert");
    let other = box_of(builder("bob"));
    other.add(&alice);
    alice.tell("peers.trust", &other.id());
    alice.wait_peer(&other.id(), "it is trusted", |peer| peer["trust"] == "trusted");
    assert_eq!(names(&listed(&bob, "alice:s")), ["f"]);
    other.ctl(&["ls", "alice:s"]).expect(4);
}
