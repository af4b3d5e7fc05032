//! Files from several peers whose links are slow: each link brings its share of them.

use super::{befriend, id};
use crate::files::{directory, share};
use crate::harness::{Downloader, Lab, MIB, Node, assert_same, bytes, few_or_many, has_no_lab};
use serde_json::json;

/// What each link takes.
const RATE: &str = "100mbit";

#[test]
fn three_slow_links_bring_a_third_of_a_file_each() {
    if has_no_lab("three_slow_links_bring_a_third_of_a_file_each", &["tc"]) {
        return;
    }
    let size = few_or_many(60, 300) * MIB;
    let content = bytes(1, size);
    let dir = directory();
    std::fs::write(dir.path().join("f"), &content).unwrap();
    let lab = Lab::new();
    let alice = lab.host(1).node("alice").start();
    let names = ["bob", "carol", "dave"];
    let hosts = [2, 3, 4].map(|n| lab.host(n));
    let sections = format!("[discovery]\nmdns = true\n{}", share("pub", dir.path(), "access = \"public\""));
    let peers: Vec<Node> =
        hosts.iter().zip(names).map(|(host, name)| host.node(name).sections(&sections).start()).collect();
    for (n, peer) in (2..).zip(&peers) {
        befriend((&alice, "10.77.0.1"), (peer, &format!("10.77.0.{n}")));
        assert_eq!(super::peer(&alice, names[n - 2]).unwrap()["id"], id(peer));
    }
    let mut downloader = Downloader::on(alice);
    // Whoever was asked for its hash once knows it, and can be found by it.
    for name in &names[1..] {
        let id = downloader.add_with(&format!("{name}:pub/f"), json!({"output": name}));
        downloader.done(id);
    }
    hosts.iter().for_each(|host| host.limit("lan0", RATE));
    let id = downloader.add("bob:pub/f");
    let shown = downloader.done(id);
    assert_same(&downloader.read("f"), &content, "of three");
    let given: Vec<(&str, u64)> = shown["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| (source["name"].as_str().unwrap(), source["bytes"].as_u64().unwrap()))
        .collect();
    eprintln!("{given:?}");
    assert_eq!(given.iter().map(|(_, bytes)| bytes).sum::<u64>(), size as u64, "{given:?}");
    for name in names {
        let bytes = given.iter().find(|(giver, _)| *giver == name).map_or(0, |(_, bytes)| *bytes);
        assert!(bytes > size as u64 / 4, "all at once, as fast as each link is: {given:?}");
    }
}
