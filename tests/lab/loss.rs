//! Links that lose or crawl, and a LAN in two parts: nothing is lost to those who talk.

use super::{Pair, both_say, linked_from, peer, ping_in_vain};
use crate::harness::{eventually, few_or_many, has_no_lab};
use std::time::Instant;

#[test]
fn with_a_third_of_all_packets_lost_each_message_comes_once_and_in_order() {
    if has_no_lab("with_a_third_of_all_packets_lost_each_message_comes_once_and_in_order", &["nft"]) {
        return;
    }
    let mut pair = Pair::new();
    pair.a.lose(30);
    pair.b.lose(30);
    both_say(&mut pair, few_or_many(500, 2000), |_, _| {});
}

#[test]
fn over_a_slow_link_each_message_comes_once_and_in_order() {
    if has_no_lab("over_a_slow_link_each_message_comes_once_and_in_order", &["nft", "tc"]) {
        return;
    }
    let mut pair = Pair::new();
    for host in [&pair.a, &pair.b] {
        host.limit("lan0", "256kbit");
        host.lose(5);
    }
    both_say(&mut pair, few_or_many(200, 2000), |_, _| {});
}

#[test]
fn what_both_say_while_the_lan_is_in_two_parts_comes_when_it_is_whole() {
    if has_no_lab("what_both_say_while_the_lan_is_in_two_parts_comes_when_it_is_whole", &["nft", "ping"]) {
        return;
    }
    let mut pair = Pair::new();
    let (count, seconds) = few_or_many((100, 12), (1000, 30));
    let mut whole = None;
    pair.a.lose(100);
    pair.b.lose(100);
    both_say(&mut pair, count, |pair, speakers| {
        ping_in_vain(&pair.a, "10.77.0.2", seconds);
        assert!(speakers.iter().all(super::Speaker::is_done), "what is said is taken all the same");
        for (at, name) in [(&pair.anna, "bob"), (&pair.bob, "anna")] {
            assert_eq!(peer(at, name).unwrap()["queued"], count, "and waits");
        }
        if seconds >= 30 {
            for (at, name) in [(&pair.anna, "bob"), (&pair.bob, "anna")] {
                let gone = || linked_from(at, name).is_none().then_some(());
                eventually(&format!("{name} is told to be away"), gone);
            }
        }
        pair.a.lose(0);
        pair.b.lose(0);
        whole = Some(Instant::now());
    });
    eprintln!("delivered {:?} after the LAN was whole again", whole.unwrap().elapsed());
}
