//! What is said to peers and heard of them: once, in order, and honestly told.

use super::*;

#[test]
fn a_message_is_said_again_until_it_is_stored_and_delivered_once() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    let ids: Vec<u64> = ["a", "b", "c"].map(|text| me.send("bob", text).unwrap().id.0).into();
    assert_eq!(me.said(1), ["a", "b", "c"]);
    me.report(LinkReport::Stored(1, 1));
    assert_eq!(me.delivered(), ids[..1]);
    // The link breaks: what was not stored is said again, once the peer told how far it is.
    me.report(LinkReport::Down(1, Parting::Lost("x".into())));
    me.up_as(2, 9, "bob", None, 2);
    assert_eq!(me.said(2), [""; 0], "not before it told");
    me.report(LinkReport::Stored(2, 2));
    assert_eq!((me.said(2), me.delivered()), (vec!["c".to_owned()], ids[..2].to_vec()));
    me.report(LinkReport::Stored(2, 3));
    me.report(LinkReport::Stored(2, 3));
    assert_eq!((me.delivered(), me.peers.queued, me.peers.queued_bytes), (ids, 0, 0));
}

#[test]
fn what_is_committed_together_is_said_together_to_each() {
    let mut me = Box5::new();
    for (link, peer, called) in [(1, 9, "bob"), (2, 8, "eve")] {
        me.up(link, peer, called);
        me.trust(called);
        me.report(LinkReport::Stored(link, 0));
    }
    me.orders.clear();
    let to = |called: &str| Route::Peer { name: name(called), prefix: None };
    for (route, text) in [(to("bob"), "a"), (to("eve"), "b"), (Route::All, "c"), (to("bob"), "d")] {
        me.ask(route, text, None);
    }
    me.turn();
    let said = |order: &LinkOrder| match order {
        LinkOrder::Say(link, says) => (*link, says.iter().map(|say| say.text.clone()).collect()),
        other => panic!("{other:?}"),
    };
    let mut said: Vec<(LinkId, String)> = me.orders.iter().map(said).collect();
    said.sort();
    assert_eq!(said, [(1, "acd".to_owned()), (2, "bc".to_owned())]);
}

#[test]
fn nobody_can_have_what_was_not_said() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "a").unwrap();
    me.report(LinkReport::Stored(1, u64::MAX));
    assert_eq!(me.delivered(), [0; 0]);
    assert_eq!(me.said(1), ["a"]);
    me.report(LinkReport::Stored(1, u64::MAX));
    assert_eq!(me.delivered().len(), 1);
}

#[test]
fn what_is_heard_twice_is_stored_once_and_acknowledged_after_its_commit() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    assert_eq!(me.stored(1), Some(0), "how far we are");
    me.say(1, 1..=3);
    assert_eq!((me.received(), me.stored(1)), (texts(1..=3), Some(3)));
    // Said again on another link, and then more.
    me.up_as(2, 9, "bob", None, 2);
    assert_eq!(me.stored(2), Some(3));
    me.say(2, 2..=3);
    assert_eq!(me.stored(2), Some(3));
    me.say(2, 3..=5);
    assert_eq!((me.received(), me.stored(2)), (texts(1..=5), Some(5)));
    // While the commit is on its way nothing is told.
    let say = Say { n: 6, room: None, text: "t6".into(), sent_at: Timestamp(1) };
    me.peers.on_report(me.now, me.instant, LinkReport::Said(2, vec![say.clone()]));
    me.peers.on_report(me.now, me.instant, LinkReport::Said(2, vec![say]));
    assert!(me.peers.orders.is_empty() && me.peers.steps.len() == 1);
    me.turn();
    assert_eq!((me.received().len(), me.stored(2)), (6, Some(6)));
}

#[test]
fn what_was_stored_before_a_restart_is_known() {
    let row = PeerRow {
        id: id(9),
        name: name("bob"),
        trust: Trust::Known,
        addresses: vec![at(9)],
        rooms: vec![],
        seen: Timestamp(0),
    };
    let (at_, expires) = (Timestamp(1), Timestamp(i64::MAX));
    let letter =
        |n| Letter { n, message: Seq(n), room: None, text: format!("l{n}").into(), at: at_, expires };
    let loaded = LoadedPeers {
        peers: vec![row],
        letters: vec![(id(9), letter(4)), (id(9), letter(6))],
        high: vec![(id(9), EPOCH, 17)],
        ..LoadedPeers::default()
    };
    let mut me = Box5::with(&Config::from_text(""), loaded);
    me.pass(Duration::ZERO);
    assert_eq!(me.dialled(), [(1, Some(id(9)), vec![at(9)])], "a starting daemon looks for whom it knew");
    me.up_as(1, 9, "bob", Some(1), 1);
    assert_eq!(me.stored(1), Some(17));
    me.report(LinkReport::Stored(1, 4));
    assert_eq!((me.delivered(), me.said(1)), (vec![4], vec!["l6".to_owned()]));
}

#[test]
fn the_window_is_bounded() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    for _ in 0..40 {
        me.send("bob", &"x".repeat(64 << 10)).unwrap();
    }
    let said = me.said(1).len();
    assert!((16..=17).contains(&said), "{said}");
    me.report(LinkReport::Stored(1, said as u64));
    assert!(me.said(1).len() >= 16, "and moves on");
}

#[test]
fn the_window_is_bounded_in_messages_too_and_what_is_stored_moves_it() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    for _ in 0..limits::LINK_WINDOW + 200 {
        me.send("bob", "x").unwrap();
    }
    assert_eq!(me.said(1).len(), limits::LINK_WINDOW);
    me.report(LinkReport::Stored(1, 100));
    assert_eq!(me.said(1).len(), 100, "as many as were stored");
    me.report(LinkReport::Stored(1, limits::LINK_WINDOW as u64));
    assert_eq!(me.said(1).len(), 100, "the rest");
}

#[test]
fn one_receipt_is_told_in_one_event_with_all_that_it_covers() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    let ids: Vec<Seq> = (0..101).map(|n| me.send("bob", &n.to_string()).unwrap().id).collect();
    me.events.clear();
    me.report(LinkReport::Stored(1, 100));
    let delivered = Event::Delivered { messages: ids[..100].to_vec(), peer: "bob".into() };
    assert_eq!(me.events, [delivered]);
}

#[test]
fn a_message_waits_for_seven_days_where_nobody_says_how_long() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "x").unwrap();
    let expires = me.events.iter().find_map(|event| match event {
        Event::Queued { expires, .. } => Some(*expires),
        _ => None,
    });
    assert_eq!(expires.unwrap().0 - me.now.0, 604_800_000);
}

#[test]
fn of_two_links_both_sides_keep_the_same_one() {
    for (other, ours_stays) in [(9, true), (1, false)] {
        for ours_first in [true, false] {
            let mut me = Box5::new();
            me.up_as(1, other, "bob", ours_first.then_some(77), 1);
            me.up_as(2, other, "bob", (!ours_first).then_some(77), 1);
            let gone = if ours_first == ours_stays { 2 } else { 1 };
            assert_eq!(me.closed(), [(gone, Parting::Superseded)], "{other} {ours_first}");
            me.report(LinkReport::Down(gone, Parting::Superseded));
            assert!(me.shown(other).linked);
        }
    }
    // The newer one of one side; and that of a box that was started anew, whoever dialled.
    for (dial, instance) in [(None, 1), (None, 2), (Some(77), 2)] {
        let mut me = Box5::new();
        me.up_as(1, 1, "bob", None, 1);
        me.up_as(2, 1, "bob", dial, instance);
        assert_eq!(me.closed(), [(1, Parting::Superseded)], "{dial:?} {instance}");
    }
}

#[test]
fn rooms_reach_known_members_and_tell_of_each() {
    let mut me = Box5::new();
    for (n, called) in [(1, "a"), (2, "b"), (3, "c")] {
        me.up(u64::from(n), n, called);
        me.report(LinkReport::Stored(n.into(), 0));
    }
    assert_eq!(me.send_to(Route::Room(name("ops")), "x", None).unwrap_err().kind(), Kind::NotFound);
    me.trust("a");
    me.trust("b");
    let queued = me.send_to(Route::Room(name("ops")), "x", None).unwrap();
    assert_eq!(queued.to, ["a", "b"]);
    let said: Vec<LinkId> = std::mem::take(&mut me.orders)
        .into_iter()
        .filter_map(|order| if let LinkOrder::Say(link, _) = order { Some(link) } else { None })
        .collect();
    assert_eq!(said, [1, 2], "and no stranger");
    me.report(LinkReport::Stored(1, 1));
    assert_eq!(me.shown(2).queued, 1, "one of them has it");
    assert_eq!(me.send_to(Route::All, "y", None).unwrap().to, ["a", "b"]);
    me.report(LinkReport::Rooms(1, vec![]));
    assert_eq!(me.send_to(Route::Room(name("ops")), "z", None).unwrap().to, ["b"]);
}

#[test]
fn what_waits_too_long_is_given_up_and_what_may_have_arrived_is_said_so() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    let route = || Route::Peer { name: name("bob"), prefix: None };
    me.send_to(route(), "said", Some(Duration::from_secs(10))).unwrap();
    me.report(LinkReport::Down(1, Parting::Lost(String::new())));
    me.send_to(route(), "never said", Some(Duration::from_secs(10))).unwrap();
    me.send_to(route(), "stays", Some(Duration::from_secs(100))).unwrap();
    me.pass(Duration::from_secs(11));
    let expired: Vec<bool> = (me.events.iter())
        .filter_map(|event| match event {
            Event::Expired { maybe_delivered, .. } => Some(*maybe_delivered),
            _ => None,
        })
        .collect();
    assert_eq!(expired.iter().filter(|&&maybe| maybe).count(), 1);
    assert_eq!((expired.len(), me.peers.queued), (2, 1));
    me.up(2, 9, "bob");
    me.report(LinkReport::Stored(2, 0));
    assert_eq!(me.said(2), ["stays"]);
}

#[test]
fn a_refused_message_is_told_and_the_others_go_on() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    me.send("bob", "a").unwrap();
    me.report(LinkReport::Refused(1, 1, RefusalCode::NotAccepted));
    me.report(LinkReport::Refused(1, 99, RefusalCode::NotAccepted));
    let refused =
        me.events.iter().filter(|event| matches!(event, Event::Refused { maybe_delivered: false, .. }));
    assert_eq!(refused.count(), 1, "by who does not have it");
    assert_eq!(me.peers.queued, 0);
}

#[test]
fn what_a_peer_seeks_is_passed_on_with_who_asks() {
    let mut it = Box5::new();
    it.up(1, 2, "bob");
    it.report(LinkReport::Have(1, [7; 32]));
    it.report(LinkReport::Have(99, [8; 32])); // a link that is not kept any more
    let sought = Sought { link: 1, peer: id(2), hash: [7; 32] };
    assert_eq!(it.peers.sought, [sought]);
}
