//! The tables against the files that IANA publishes (iana-ipv4-special-registry-1.csv and …ipv6…: 25 records
//! each as of 2026-11, the newest of 2025-04).

use super::*;
use crate::cmd::ip::scope::{embedded, multicast_reach, unusable};

const FILES: [&str; 2] =
    [include_str!("iana-ipv4-special-registry.csv"), include_str!("iana-ipv6-special-registry.csv")];

/// The records of a file: fields in quotes may hold commas, line ends and doubled quotes (RFC 4180).
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(c),
        }
    }
    records
}

fn flag(field: &str) -> Option<bool> {
    match field.split(' ').next() {
        Some("True") => T,
        Some("False") => F,
        _ => N,
    }
}

#[test]
fn the_tables_are_those_of_iana() {
    for (table, file) in [IPV4, IPV6].into_iter().zip(FILES) {
        let mut blocks = table.iter();
        for record in records(file).iter().skip(1) {
            for net in record[0].split(", ") {
                let net: IpNet = net.split(' ').next().unwrap().parse().unwrap();
                let block = blocks.next().unwrap();
                assert_eq!((block.net, block.name), (net, record[1].as_str()));
                assert!(record[2].contains(&block.rfc.replace(' ', "")), "{block:?} {record:?}");
                let flags = [&record[5], &record[6], &record[8]].map(|field| flag(field));
                assert_eq!([block.source, block.destination, block.global], flags, "{block:?}");
            }
        }
        let more: Vec<&str> = blocks.map(|block| block.name).collect();
        assert!(more.is_empty() || more == ["Site-Local"], "{more:?}");
    }
}

#[test]
fn every_block_is_found_by_its_first_and_last_address() {
    for block in [IPV4, IPV6, MULTICAST].into_iter().flatten() {
        for address in [block.net.network(), block.net.broadcast()] {
            let (_, found) = Scope::of(address);
            let found = found.unwrap();
            assert!(block.net.contains(&found.net), "{address}: {found:?}, not {block:?}");
        }
        assert_eq!(block.net, block.net.trunc(), "{block:?}");
        // Who says that a block is global says that the registry does.
        assert!(block.scope != Scope::Global || block.global == T, "{block:?}");
    }
}

#[test]
fn addresses_are_what_they_are_today() {
    for (address, word, is_usable) in [
        ("0.0.0.0", "unspecified", false),
        ("0.1.2.3", "this-network", false),
        ("8.8.8.8", "global", true),
        ("9.255.255.255", "global", true),
        ("10.0.0.0", "private", true),
        ("11.0.0.0", "global", true),
        ("100.63.255.255", "global", true),
        ("100.64.0.0", "cgnat", true),
        ("100.127.255.255", "cgnat", true),
        ("100.128.0.0", "global", true),
        ("127.0.0.1", "loopback", false),
        ("169.254.1.1", "link-local", true),
        ("172.15.255.255", "global", true),
        ("172.16.0.0", "private", true),
        ("172.31.255.255", "private", true),
        ("172.32.0.0", "global", true),
        ("192.0.0.1", "protocol", true),
        ("192.0.0.8", "protocol", false),
        ("192.0.0.9", "global", true),
        ("192.0.0.200", "protocol", false),
        ("192.0.2.1", "documentation", false),
        ("192.88.99.1", "deprecated", true),
        ("192.88.99.2", "transition", true),
        ("192.168.255.255", "private", true),
        ("198.19.0.1", "benchmarking", true),
        ("224.0.0.251", "multicast", false),
        ("239.255.255.255", "multicast", false),
        ("240.0.0.1", "reserved", false),
        ("255.255.255.255", "broadcast", false),
        ("::", "unspecified", false),
        ("::1", "loopback", false),
        ("::2", "reserved", false),
        ("::ffff:10.0.0.9", "transition", false),
        ("64:ff9b::a00:9", "transition", true),
        ("100::1", "discard", true),
        ("2000::1", "global", true),
        ("2001::1", "transition", true),
        ("2001:1::1", "global", true),
        ("2001:100::1", "protocol", false),
        ("2001:db8::1", "documentation", false),
        ("2002:a00:9::1", "transition", true),
        ("2a00::1", "global", true),
        ("3fff:fff::1", "documentation", false),
        ("3fff:ffff::1", "global", true),
        ("4000::1", "reserved", false),
        ("fc00::1", "unique-local", true),
        ("fdff::1", "unique-local", true),
        ("fe80::1", "link-local", true),
        ("febf::1", "link-local", true),
        ("fec0::1", "deprecated", true),
        ("ff02::fb", "multicast", false),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let (scope, block) = Scope::of(address);
        assert_eq!(scope.word(), word, "{address}");
        assert_eq!(unusable(scope, block).is_none(), is_usable, "{address}");
    }
}

#[test]
fn ipv4_within_ipv6_is_seen() {
    for (address, expected) in [
        ("::ffff:10.0.0.9", Some("10.0.0.9")),
        ("64:ff9b::10.0.0.9", Some("10.0.0.9")),
        ("2002:a00:9::1", Some("10.0.0.9")),
        ("2001:db8::10.0.0.9", None),
        ("::10.0.0.9", None),
    ] {
        let found = embedded(address.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(found.as_deref(), expected, "{address}");
    }
    assert_eq!(multicast_reach("ff02::1".parse().unwrap()), Some("this link"));
    assert_eq!(multicast_reach("fe80::1".parse().unwrap()), None);
}
