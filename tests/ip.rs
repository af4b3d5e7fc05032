//! `netkitctl ip`: what it says of addresses and of this machine, with and without netkitd.

use crate::harness::{Ended, Node, NodeBuilder, Running, command, is_root, may_skip};
use serde_json::{Value, json};

/// netkitctl where no netkitd is.
fn ctl(args: &[&str]) -> Ended {
    let args = [&["--socket", "/no/such/socket"], args].concat();
    Running::to_end(command(env!("CARGO_BIN_EXE_netkitctl"), &args), b"")
}

#[test]
fn the_tutorials_addresses_have_their_classes() {
    let asked =
        ["ip", "--json", "125.245.245.22", "131.245.237.22", "210.215.187.212", "127.0.0.1", "224.0.0.251"];
    let found = ctl(&asked).expect(0).json();
    for (found, (class, network, host, hosts, scope)) in found.iter().zip([
        ("A", json!("125"), json!("245.245.22"), json!(16_777_214), "global"),
        ("B", json!("131.245"), json!("237.22"), json!(65_534), "global"),
        ("C", json!("210.215.187"), json!("212"), json!(254), "global"),
        ("A", json!("127"), json!("0.0.1"), json!(16_777_214), "loopback"),
        ("D", Value::Null, Value::Null, Value::Null, "multicast"),
    ]) {
        assert_eq!((&found["class"], &found["scope"]), (&json!(class), &json!(scope)), "{found}");
        assert_eq!([&found["network_part"], &found["host_part"], &found["hosts"]], [&network, &host, &hosts]);
    }
    assert_eq!(found[5]["kind"], "common");
}

#[test]
fn a_prefix_says_whose_zero_and_255_are() {
    for (address, usable, broadcast, hosts) in [
        ("10.0.0.255/8", true, json!("10.255.255.255"), 16_777_214_u64),
        ("10.0.0.255/24", false, json!("10.0.0.255"), 254),
        ("10.0.0.255/255.255.254.0", true, json!("10.0.1.255"), 510),
        ("10.0.0.0/31", true, Value::Null, 2),
        ("10.0.0.255/32", true, Value::Null, 1),
    ] {
        let found = ctl(&["ip", address, "--json"]).expect(0).json().remove(0);
        assert_eq!((&found["usable"], &found["broadcast"]), (&json!(usable), &broadcast), "{found}");
        assert_eq!(found["hosts"], hosts);
    }
}

#[test]
fn networks_are_compared_divided_and_searched() {
    let found = ctl(&["ip", "10.0.0.9", "10.0.3.1", "10.0.2.0/23", "--json"]).expect(0).json();
    assert_eq!((&found[3]["network"], &found[4]["within"]), (&json!("10.0.0.0/22"), &json!("10.0.2.0/23")));
    let found = ctl(&["ip", "10.0.0.0/24", "--split", "/26", "--json"]).expect(0).json();
    let nets: Vec<&str> = found.iter().map(|subnet| subnet["network"].as_str().unwrap()).collect();
    assert_eq!(nets, ["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26", "10.0.0.192/26"]);
    // All of IPv6 in single addresses: what is shown is bounded, and told.
    let cut = ctl(&["ip", "::/0", "--split", "128", "-n", "3"]).expect(0);
    assert_eq!(cut.lines().len(), 3);
    assert!(cut.stderr.contains("340,282,366,920,938,463,463,374,607,431,768,211,456"), "{}", cut.stderr);
    // Programs get all, and may leave when they have enough.
    assert_eq!(ctl(&["ip", "10.0.0.0/8", "--split", "20"]).expect(0).lines().len(), 4096);
    let script = r#"{ "$0" ip ::/0 --split 128 --json; echo $? >&2; } | head -n 1"#;
    let left =
        Running::to_end(command("sh", &["-c", script, env!("CARGO_BIN_EXE_netkitctl")]), b"").expect(0);
    assert_eq!((left.lines().len(), left.stderr.as_str()), (1, "0\n"));
    // Families have nothing in common.
    let mixed = ["ip", "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"];
    let told = ctl(&mixed).expect(0).stdout;
    assert!(told.contains("10.0.0.0/30, the smallest network with all of the IPv4 ones"), "{told}");
    assert!(told.contains("2001:db8::/126, the smallest network with all of the IPv6 ones"), "{told}");
    let found = ctl(&[&mixed[..4], &["--json"]].concat()).expect(0).json();
    let common: Vec<_> = found.iter().filter(|found| found["kind"] == "common").collect();
    assert_eq!((common.len(), &common[0]["version"]), (1, &json!(4)));
    ctl(&["ip", "10.0.0.0/8", "--contains", "10.1.2.3"]).expect(0);
    ctl(&["ip", "10.0.0.0/8", "--contains", "10.0.0.0/7"]).expect(1);
    ctl(&["ip", "10.0.0.0/8", "--contains", "::1"]).expect(1);
}

#[test]
fn what_is_no_address_is_refused() {
    for args in [
        &["ip", "10.0.0.256"][..],
        &["ip", "bob"],
        &["ip", "10.0.0.9/33"],
        &["ip", "\u{1b}[2J"],
        &["ip", "--split", "/26"],
        &["ip", "10.0.0.9", "--split", "/26"],
        &["ip", "10.0.0.0/24", "--split", "/20"],
        &["ip", "10.0.0.0/24", "--split", "/64"],
        &["ip", "10.0.0.0/24", "--contains", "x"],
    ] {
        let refused = ctl(args).expect(2);
        assert_eq!(refused.stdout, "");
        assert!(!refused.stderr.contains('\u{1b}'), "{}", refused.stderr);
    }
}

#[test]
fn this_machine_is_told_with_and_without_netkitd() {
    let alone = ctl(&["ip", "--json"]).expect(0).json();
    let loopback = alone.iter().find(|found| found["address"] == "127.0.0.1").unwrap();
    assert_eq!((&loopback["prefix"], &loopback["scope"]), (&json!(8), &json!("loopback")));
    let netkitd = alone.last().unwrap();
    assert_eq!((&netkitd["kind"], &netkitd["answers"]), (&json!("netkitd"), &json!(false)));
    assert!(netkitd["because"].as_str().unwrap().contains("/no/such/socket"));
    let node = Node::new();
    let found = node.ctl(&["ip", "--json"]).expect(0).json();
    let netkitd = found.last().unwrap();
    assert_eq!(netkitd["chat"], node.chat().to_string());
    assert_eq!(netkitd["files"], node.files().to_string());
    assert!(node.ctl(&["ip"]).expect(0).stdout.contains(&format!("listens on {}", node.chat())));
}

#[test]
fn what_reaches_an_address_is_told() {
    let found = ctl(&["ip", "127.0.0.9", "--json"]).expect(0).json().remove(0);
    assert_eq!((&found["reached_by"], &found["reached_from"]), (&json!("lo"), &json!("127.0.0.1")));
    let found = ctl(&["ip", "127.0.0.1", "--json"]).expect(0).json().remove(0);
    assert_eq!(found["own"], true);
    let found = ctl(&["ip", "fe80::1%no-such", "--json"]).expect(0).json().remove(0);
    assert!(found["unreachable_because"].as_str().unwrap().contains("no-such"));
}

#[test]
fn a_network_namespace_is_told_as_it_is() {
    if may_skip(is_root(), "a_network_namespace_is_told_as_it_is", "root, to make a network namespace") {
        return;
    }
    let script = format!(
        "ip link set lo up; ip address add 10.9.0.1/31 dev lo; \
         {0} --socket /no/such/socket ip --json; {0} ip --json 10.9.0.0 8.8.8.8",
        env!("CARGO_BIN_EXE_netkitctl")
    );
    let found = Running::to_end(command("unshare", &["--net", "sh", "-c", &script]), b"").expect(0);
    let found = found.json();
    let names = |found: &Value| found["interface"].as_str().map(str::to_owned);
    assert!(!found.iter().filter_map(names).any(|name| name.starts_with("eth")), "{found:?}");
    let ours = found.iter().find(|found| found["address"] == "10.9.0.1").unwrap();
    assert_eq!(
        (&ours["hosts"], &ours["broadcast"], &ours["usable"]),
        (&json!(2), &Value::Null, &json!(true))
    );
    assert!(found.iter().all(|found| found["kind"] != "gateway"), "{found:?}");
    let asked = |address: &str| found.iter().rfind(|found| found["address"] == address).unwrap();
    assert_eq!(asked("10.9.0.0")["reached_from"], "10.9.0.1");
    assert!(asked("8.8.8.8")["unreachable_because"].as_str().unwrap().contains("unreachable"), "{found:?}");
}

#[test]
fn a_peer_that_has_an_address_is_named() {
    let [bob, alice] = ["bob", "alice"].map(|name| NodeBuilder::default().name(name).start());
    alice.ctl(&["peers", "add", "--wait=60", &bob.chat().to_string()]).expect(0);
    let found = alice.ctl(&["ip", "--json", "127.0.0.1"]).expect(0).json().remove(0);
    assert_eq!(found["peers"], json!([{"peer": "bob", "trust": "known", "linked": true}]), "{found}");
    assert!(alice.ctl(&["ip", "127.0.0.1"]).expect(0).stdout.contains("bob (known, linked)"));
    assert_eq!(alice.ctl(&["ip", "--json", "127.0.0.2"]).expect(0).json()[0].get("peers"), None);
}
