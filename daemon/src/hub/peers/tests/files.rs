//! Where files of peers are, and who is asked for more of them.

use super::*;
use crate::hub::links::DialFailure;
use crate::hub::orders::{Failed, Retry, Way};
use tokio::sync::mpsc;

fn hello_at(test: &mut Box5, link: LinkId, peer: u8, called: &str, file_port: Option<u16>) {
    let hello = Hello {
        name: name(called),
        version: VERSION,
        features: vec![],
        instance: 1,
        file_port,
        rooms: vec![],
        epoch: EPOCH,
    };
    test.report(LinkReport::Up { link, peer: id(peer), address: at(peer), dial: None, hello });
}

fn asked(test: &mut Box5) -> Vec<LinkId> {
    let orders = std::mem::take(&mut test.orders);
    let mut links: Vec<LinkId> = orders
        .into_iter()
        .filter_map(|order| match order {
            LinkOrder::Have(link, hash) if hash == [3; 32] => Some(link),
            _ => None,
        })
        .collect();
    links.sort_unstable();
    links
}

#[test]
fn the_way_to_files_is_that_of_the_link_and_who_has_none_is_away() {
    let mut test = Box5::new();
    assert_eq!(test.peers.wanted(test.now, "bob").unwrap_err().kind(), Kind::NotFound);
    hello_at(&mut test, 1, 9, "bob", Some(7891));
    let bob = test.peers.wanted(test.now, "bob").unwrap();
    test.turn();
    assert_eq!(test.peers.peers[&bob].row.trust, Trust::Known, "as who is sent something");
    let mut address = at(9);
    address.set_port(7891);
    assert_eq!(test.peers.way(bob), Ok(Way { id: bob, label: "bob".into(), addresses: vec![address] }));
    assert_eq!(test.peers.arrived, [bob]);
    hello_at(&mut test, 2, 8, "carol", None);
    assert_eq!(test.peers.way(id(8)).unwrap_err().failure.kind, Kind::Refused);
    let unknown = test.peers.way(id(77)).unwrap_err();
    assert_eq!((unknown.failure.kind, unknown.retry), (Kind::NotFound, Retry::Never));

    // What breaks while it is linked is tried again; when it has gone, it is waited for.
    let broken = || Failed::passing(Kind::Network, "broken");
    assert_eq!(test.peers.judged(Some(bob), broken()).retry, Retry::Later);
    test.report(LinkReport::Down(1, Parting::Lost("x".into())));
    assert_eq!(test.peers.judged(Some(bob), broken()).retry, Retry::Away);
    let forever = Failed::new(Kind::NotFound, "no");
    assert_eq!(test.peers.judged(Some(bob), forever.clone()), forever);
    assert_eq!(test.peers.judged(None, broken()).retry, Retry::Later);
    // That it is away is told when it is back already.
    let away = Failed { retry: Retry::Away, ..broken() };
    assert_eq!(test.peers.judged(Some(bob), away.clone()).retry, Retry::Away);
    hello_at(&mut test, 3, 9, "bob", Some(7891));
    assert_eq!(test.peers.judged(Some(bob), away).retry, Retry::Back);
}

#[test]
fn who_turns_this_box_away_is_not_away() {
    let mut test = Box5::new();
    hello_at(&mut test, 1, 9, "bob", Some(7891));
    let bob = test.peers.wanted(test.now, "bob").unwrap();
    test.turn();
    test.report(LinkReport::Down(1, Parting::Blocked));
    let broken = || Failed::passing(Kind::Network, "broken");
    assert_eq!(test.peers.judged(Some(bob), broken()).retry, Retry::Later, "its file port says why");
    assert!(test.peers.way(bob).is_ok());
    // Nobody answers any more; then it does, and says so again: what waits for it is tried.
    for (failure, retry) in
        [(DialFailure::Unreachable("x".into()), Retry::Away), (DialFailure::Blocked, Retry::Later)]
    {
        test.peers.arrived.clear();
        test.pass(Duration::from_secs(60));
        let (dial, ..) = test.dialled()[0].clone();
        let failures = vec![(at(9), failure)];
        test.report(LinkReport::DialFailed { dial, failures, unresolved: None });
        assert_eq!(test.peers.judged(Some(bob), broken()).retry, retry);
        assert_eq!(test.peers.arrived.contains(&bob), retry == Retry::Later);
    }
    // Where its file port is not known, its word is all there is.
    test.peers.peers.get_mut(&bob).unwrap().file_port = None;
    let refused = test.peers.way(bob).unwrap_err();
    assert_eq!((refused.failure.kind, refused.retry), (Kind::Refused, Retry::Never));
    hello_at(&mut test, 2, 9, "bob", None);
    test.report(LinkReport::Down(2, Parting::Stopping));
    assert_eq!(test.peers.way(bob).unwrap_err().retry, Retry::Away, "it let this box in since");
}

#[test]
fn those_who_are_known_are_asked_and_only_who_was_asked_is_believed() {
    let mut test = Box5::new();
    for (link, peer, called) in [(1, 9, "bob"), (2, 8, "carol"), (3, 7, "dave"), (4, 6, "eve")] {
        hello_at(&mut test, link, peer, called, Some(7891));
    }
    for called in ["bob", "carol", "dave"] {
        test.peers.wanted(test.now, called).unwrap();
    }
    test.turn();
    asked(&mut test);
    let (found, mut helpers) = mpsc::channel(4);
    test.peers.seek(Some(id(9)), [3; 32], found);
    test.turn();
    assert_eq!(asked(&mut test), [1, 2, 3], "no strangers");
    test.report(LinkReport::Has(2, [3; 32]));
    test.report(LinkReport::Has(2, [3; 32]));
    test.report(LinkReport::Has(1, [3; 32]));
    test.report(LinkReport::Has(4, [3; 32]));
    test.report(LinkReport::Has(3, [4; 32]));
    assert_eq!(helpers.try_recv().unwrap().label, "carol");
    assert!(helpers.try_recv().is_err(), "once, not whom it comes from already, and no stranger");
    // Whoever comes is asked, too, until nobody waits any more.
    test.report(LinkReport::Down(3, Parting::Stopping));
    hello_at(&mut test, 5, 7, "dave", Some(7891));
    assert_eq!(asked(&mut test), [5]);
    test.report(LinkReport::Has(5, [3; 32]));
    assert_eq!(helpers.try_recv().unwrap().label, "dave");
    drop(helpers);
    test.pass(Duration::from_secs(1));
    assert!(test.peers.wanted_files.is_empty());
}
