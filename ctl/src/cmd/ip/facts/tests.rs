//! What is told of an address, to programs and to people.

use super::*;
use serde_json::{Value, json};

fn facts(text: &str) -> Facts {
    Facts::of(&text.parse().unwrap())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(&serde_json::to_string(&facts(text)).unwrap()).unwrap()
}

#[test]
fn an_address_without_prefix_is_taken_by_its_class() {
    assert_eq!(
        json_of("125.245.245.22"),
        json!({
            "kind": "address", "address": "125.245.245.22", "version": 4,
            "class": "A", "network_part": "125", "host_part": "245.245.22",
            "class_first": "1.0.0.1", "class_last": "126.255.255.254",
            "class_networks": 126, "class_hosts": 16_777_214,
            "scope": "global",
            "network": "125.0.0.0/8", "prefix": 8, "prefix_from": "class",
            "netmask": "255.0.0.0", "wildcard": "0.255.255.255", "broadcast": "125.255.255.255",
            "first": "125.0.0.1", "last": "125.255.255.254", "hosts": 16_777_214, "addresses": 16_777_216,
            "usable": true,
        })
    );
}

#[test]
fn a_prefix_says_what_a_host_can_have() {
    for (text, key, expected) in [
        ("192.168.1.255", "usable", json!(false)),
        ("192.168.0.255/23", "usable", json!(true)),
        ("192.168.1.255/23", "hosts", json!(510)),
        ("192.168.1.255/23", "broadcast", json!("192.168.1.255")),
        ("10.0.0.0/31", "hosts", json!(2)),
        ("10.0.0.0/31", "broadcast", Value::Null),
        ("10.0.0.0/32", "usable", json!(true)),
        ("127.0.0.1", "usable", json!(false)),
        ("127.0.0.1", "class", json!("A")),
        ("224.0.0.251", "hosts", Value::Null),
        ("224.0.0.251", "class", json!("D")),
        ("250.0.0.1", "class", json!("E")),
        ("2001:db8::1", "hosts", Value::Null),
        ("2001:db8::1/64", "hosts", json!(u64::MAX)),
        ("::ffff:10.0.0.9", "ipv4", json!("10.0.0.9")),
        ("fe80::1%eth0", "interface", json!("eth0")),
        ("10.0.0.0/7", "notes", json!(["10.0.0.0/7 reaches out of 10.0.0.0/8 (Private-Use)"])),
    ] {
        assert_eq!(json_of(text)[key], expected, "{text} {key}");
    }
}

#[test]
fn people_see_rows() {
    let shown = |text: &str| {
        let rows = facts(text).rows();
        rows.iter().map(|(name, value)| format!("{name:<9} {value}")).collect::<Vec<_>>()
    };
    assert_eq!(
        shown("192.168.1.9/26"),
        [
            "address   192.168.1.9",
            "class     C: network part 192.168.1, host part 9",
            "          2,097,152 networks of 254 hosts, 192.0.1.1 to 223.255.255.254",
            "today     private: 192.168.0.0/16, Private-Use, RFC 1918",
            "network   192.168.1.0/26",
            "netmask   255.255.255.192, wildcard 0.0.0.63",
            "broadcast 192.168.1.63",
            "hosts     62: 192.168.1.1 to 192.168.1.62",
            "usable    as a host",
        ]
    );
    assert_eq!(
        shown("ff02::fb"),
        [
            "address   ff02::fb",
            "today     multicast: ff00::/8, Multicast, RFC 4291",
            "usable    no: it is a group of hosts, not one",
            "note      reaches this link",
        ]
    );
    assert!(shown("127.0.0.1").last().unwrap().contains("loopback by its use"));
    assert!(
        shown("10.0.0.9").contains(&"network   10.0.0.0/8, by its class: no prefix was given".to_owned())
    );
}
