//! The arithmetic against tables, and against `ipnet`'s own on networks drawn at random.

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn networks_have_the_hosts_that_the_rfcs_say() {
    for (text, count, first, last, broadcast) in [
        ("10.0.0.0/8", "16,777,214", "10.0.0.1", "10.255.255.254", Some("10.255.255.255")),
        ("192.168.1.77/24", "254", "192.168.1.1", "192.168.1.254", Some("192.168.1.255")),
        ("192.168.1.0/30", "2", "192.168.1.1", "192.168.1.2", Some("192.168.1.3")),
        ("192.168.1.0/31", "2", "192.168.1.0", "192.168.1.1", None),
        ("192.168.1.9/32", "1", "192.168.1.9", "192.168.1.9", None),
        ("0.0.0.0/0", "4,294,967,294", "0.0.0.1", "255.255.255.254", Some("255.255.255.255")),
        ("2001:db8::/64", "18,446,744,073,709,551,615", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", None),
        ("2001:db8::/126", "3", "2001:db8::1", "2001:db8::3", None),
        ("2001:db8::/127", "2", "2001:db8::", "2001:db8::1", None),
        ("2001:db8::9/128", "1", "2001:db8::9", "2001:db8::9", None),
        (
            "::/0",
            "340,282,366,920,938,463,463,374,607,431,768,211,455",
            "::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            None,
        ),
    ] {
        let net = net(text);
        let hosts = hosts(&net);
        assert_eq!(hosts.count.to_string(), count, "{text}");
        assert_eq!((hosts.first.to_string(), hosts.last.to_string()), (first.into(), last.into()), "{text}");
        assert_eq!(super::broadcast(&net).map(|ip| ip.to_string()).as_deref(), broadcast, "{text}");
    }
    assert_eq!(addresses(&net("::/0")).to_string(), "340,282,366,920,938,463,463,374,607,431,768,211,456");
    assert_eq!(serde_json::to_string(&addresses(&net("::/0"))).unwrap().len(), 39);
}

#[test]
fn zero_and_255_are_hosts_where_the_prefix_says_so() {
    for (text, is_host) in [
        ("10.0.0.255/8", true),
        ("10.0.1.0/8", true),
        ("10.0.0.255/24", false),
        ("10.0.1.0/24", false),
        ("10.0.0.255/23", true),
        ("10.0.1.255/23", false),
        ("10.0.0.0/31", true),
        ("10.0.0.255/31", true),
        ("10.0.0.255/32", true),
        ("10.0.0.4/30", false),
        ("10.0.0.5/30", true),
        ("2001:db8::/64", false),
        ("2001:db8::1/64", true),
        ("2001:db8::/127", true),
        ("2001:db8::fdff:ffff:ffff:ffff/64", false),
        ("2001:db8::fdff:ffff:ffff:ff7f/64", true),
    ] {
        assert_eq!(not_a_host(&net(text)).is_none(), is_host, "{text}");
    }
}

#[test]
fn networks_are_compared() {
    let nets = |text: &str| text.split(' ').map(net).collect::<Vec<_>>();
    for (several, expected) in [
        ("10.0.0.1/32 10.0.0.2/32", Some("10.0.0.0/30")),
        ("10.0.0.0/24 10.0.1.0/24", Some("10.0.0.0/23")),
        ("10.0.0.77/24 10.0.0.0/24", Some("10.0.0.0/24")),
        ("0.0.0.0/1 255.0.0.0/8", Some("0.0.0.0/0")),
        ("2001:db8::1/128 2001:db8::ff/128", Some("2001:db8::/120")),
        ("10.0.0.1/32", Some("10.0.0.1/32")),
        ("10.0.0.1/32 ::1/128", None),
    ] {
        assert_eq!(common(&nets(several)).map(|net| net.to_string()).as_deref(), expected, "{several}");
    }
    let shown = |several: &str| {
        overlaps(&nets(several)).iter().map(|(a, b)| format!("{a} in {b}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        shown("10.0.1.0/24 10.0.0.0/16 10.0.1.9/32 11.0.0.0/8"),
        "10.0.1.0/24 in 10.0.0.0/16, 10.0.1.9/32 in 10.0.1.0/24"
    );
    assert_eq!(shown("10.0.0.1/32 10.0.0.2/32"), "");
    assert_eq!(shown("10.0.0.1/32 10.0.0.1/32"), "10.0.0.1/32 in 10.0.0.1/32");
}

fn v4() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0..=32_u8).prop_map(|(ip, prefix)| IpNet::new(Ipv4Addr::from(ip).into(), prefix).unwrap())
}

fn v6() -> impl Strategy<Value = IpNet> {
    (any::<u128>(), 0..=128_u8)
        .prop_map(|(ip, prefix)| IpNet::new(Ipv6Addr::from(ip).into(), prefix).unwrap())
}

proptest! {
    #![proptest_config(crate::seed::seeded())]

    #[test]
    fn hosts_are_those_of_ipnet(ip in any::<u32>(), prefix in 18..=32_u8) {
        let net = IpNet::new(Ipv4Addr::from(ip).into(), prefix).unwrap();
        let hosts = hosts(&net);
        prop_assert_eq!(hosts.count.value(), Some(net.hosts().count() as u128));
        prop_assert_eq!(Some(hosts.first), net.hosts().next());
        prop_assert_eq!(Some(hosts.last), net.hosts().last());
        prop_assert_eq!(not_a_host(&net).is_none(), net.hosts().any(|host| host == net.addr()));
    }

    #[test]
    fn counts_double_with_each_bit(net in prop_oneof![v4(), v6()]) {
        let bits = net.max_prefix_len() - net.prefix_len();
        let doubled = (0..bits).try_fold(1_u128, |n, _| n.checked_mul(2));
        prop_assert_eq!(addresses(&net).value(), doubled);
        prop_assert_eq!(grouped(&addresses(&net).digits()).replace(',', ""), addresses(&net).digits());
    }

    #[test]
    fn a_common_network_is_the_smallest(nets in prop_oneof![
        prop::collection::vec(v4(), 1..6), prop::collection::vec(v6(), 1..6)
    ]) {
        let common = common(&nets).unwrap();
        let holds_all = |candidate: &IpNet| nets.iter().all(|net| candidate.contains(&net.trunc()));
        prop_assert!(holds_all(&common));
        if let Ok(halves) = common.subnets(common.prefix_len() + 1) {
            prop_assert!(!halves.into_iter().any(|half| holds_all(&half)));
        }
    }

    #[test]
    fn overlaps_are_those_of_all_pairs(nets in prop::collection::vec((any::<u8>(), 24..=32_u8), 1..12)) {
        let nets: Vec<IpNet> = nets
            .iter()
            .map(|(last, prefix)| IpNet::new(Ipv4Addr::new(10, 0, 0, *last).into(), *prefix).unwrap().trunc())
            .collect();
        let found = overlaps(&nets);
        prop_assert!(found.iter().all(|(inner, outer)| outer.contains(inner)));
        let holds = |i: usize, j: usize| i != j && nets[j].contains(&nets[i]) && (nets[i] != nets[j] || j < i);
        let expected = (0..nets.len()).filter(|&i| (0..nets.len()).any(|j| holds(i, j))).count();
        prop_assert_eq!(found.len(), expected);
    }

    #[test]
    fn subnets_are_as_many_as_ipnet_makes(ip in any::<u32>(), prefix in 0..=32_u8, more in 0..=10_u8) {
        let net = IpNet::new(Ipv4Addr::from(ip).into(), prefix).unwrap();
        let smaller = (prefix + more).min(32);
        let made = net.subnets(smaller).unwrap().count() as u128;
        prop_assert_eq!(Count::of_subnets(&net, smaller).value(), Some(made));
    }
}
