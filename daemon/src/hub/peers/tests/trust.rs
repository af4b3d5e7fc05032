//! Who is known, who is let in, and who is looked for.

use super::*;

#[test]
fn a_stranger_never_gets_what_is_meant_for_a_known_peer() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Down(1, Parting::Stopping));
    me.up(2, 8, "bob");
    assert_eq!(me.closed(), [(2, Parting::Blocked)]);
    let refused = |event: &&Event| matches!(event, Event::PeerRefused { id: who, .. } if *who == id(8));
    assert_eq!(me.events.iter().filter(refused).count(), 1);
    me.up(3, 8, "bob");
    assert_eq!(me.events.iter().filter(refused).count(), 1, "told once");
    me.send("bob", "for bob").unwrap();
    assert_eq!((me.said(2), me.said(3)), (vec![], vec![]));
    assert_eq!(me.shown(9).queued, 1);
    // Where both are right, each is named with its id.
    me.trust(&id(8).to_string());
    assert_eq!(me.send("bob", "whom?").unwrap_err().kind(), Kind::Refused);
    let route = Route::Peer { name: name("bob"), prefix: Some(id(8).short()) };
    me.send_to(route, "you", None).unwrap();
    assert_eq!(me.shown(8).queued, 1);
    assert_eq!(me.peers.label(id(8)), format!("bob~{}", id(8).short()));
}

#[test]
fn a_known_peer_may_take_another_name() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.up(2, 9, "robert");
    assert_eq!(me.peers.label(id(9)), "robert");
    assert_eq!(me.send("bob", "x").unwrap_err().kind(), Kind::NotFound);
    me.send("robert", "x").unwrap();
}

#[test]
fn a_known_peer_does_not_take_the_name_of_another_one() {
    let mut me = Box5::new();
    for (link, peer, name) in [(1, 9, "bob"), (2, 8, "carol")] {
        me.up(link, peer, name);
        me.trust(name);
    }
    me.up(3, 8, "bob");
    assert_eq!((me.peers.label(id(9)), me.peers.label(id(8))), ("bob".into(), "carol".into()));
    me.up(4, 9, "robert");
    me.up(5, 8, "bob");
    assert_eq!(me.peers.label(id(8)), "bob", "nobody has it any more");
}

#[test]
fn who_is_sent_something_by_name_is_known_from_then_on() {
    let mut me = Box5::new();
    let found = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(9)] };
    me.peers.on_sighting(me.now, me.instant, found);
    me.pass(Duration::ZERO);
    assert_eq!(me.dialled().len(), 0, "strangers are not looked for");
    me.send("bob", "hi").unwrap();
    assert_eq!(me.shown(9).trust, Trust::Known);
    assert!(me.events.iter().any(|event| matches!(event, Event::PeerKnown(_))));
    me.pass(Duration::ZERO);
    let (dial, ..) = me.dialled()[0].clone();
    me.up_as(1, 9, "bob", Some(dial), 1);
    me.report(LinkReport::Stored(1, 0));
    assert_eq!(me.said(1), ["hi"]);
}

#[test]
fn an_announcement_is_believed_of_nobody_that_is_known() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    let claim = Sighting::Seen { peer: id(9), name: name("eve"), addresses: vec![at(66)] };
    me.peers.on_sighting(me.now, me.instant, claim);
    assert_eq!(me.peers.label(id(9)), "bob");
    let claim = Sighting::Seen { peer: id(66), name: name("bob"), addresses: vec![at(66)] };
    me.peers.on_sighting(me.now, me.instant, claim);
    assert_eq!(me.peers.find("bob").unwrap(), id(9));
    me.peers.on_sighting(me.now, me.instant, Sighting::Gone(id(66)));
    assert!(me.peers.show(me.instant, id(66)).is_err(), "a stranger that only announced itself is forgotten");
}

#[test]
fn messages_of_strangers_are_refused_where_only_known_peers_are_heard() {
    let mut config = Config::from_text("");
    config.chat.accept = Accept::Known;
    let mut me = Box5::with(&config, LoadedPeers::default());
    me.up(1, 9, "bob");
    me.say(1, 1..=2);
    // Whoever sends without end causes no more orders than reports.
    assert_eq!(refused(&mut me), [(1, vec![1, 2])]);
    assert!(me.received().is_empty());
    // Trusted, it gets a new link, on which it says what was not refused.
    me.trust("bob");
    assert_eq!(me.closed(), [(1, Parting::Renewed)]);
    me.report(LinkReport::Down(1, Parting::Renewed));
    me.up(2, 9, "bob");
    me.say(2, 3..=3);
    assert_eq!(me.received(), ["t3"]);
    me.peers.on_config(&config, me.instant);
    assert!(me.closed().is_empty());
}

/// What was ordered to be told as refused, by link.
fn refused(me: &mut Box5) -> Vec<(LinkId, Vec<u64>)> {
    let told = |order| match order {
        LinkOrder::Refused(link, numbers, RefusalCode::NotAccepted) => Some((link, numbers)),
        _ => None,
    };
    std::mem::take(&mut me.orders).into_iter().filter_map(told).collect()
}

#[test]
fn what_is_being_stored_is_not_refused_on_the_next_link() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    let say = |n: u64| Say { n, room: None, text: "x".into(), sent_at: Timestamp(1) };
    me.peers.on_report(me.now, me.instant, LinkReport::Said(1, vec![say(1)]));
    let storing = std::mem::take(&mut me.peers.steps);
    // Strangers are heard no more, and bob says again what he has heard nothing of.
    let mut config = Config::from_text("");
    config.chat.accept = Accept::Known;
    me.peers.on_config(&config, me.instant);
    me.report(LinkReport::Down(1, Parting::Renewed));
    me.up(2, 9, "bob");
    me.say(2, 1..=2);
    assert_eq!(refused(&mut me), [(2, vec![2])]);
    for step in storing {
        me.peers.on_committed(me.now, me.instant, step.follow, Outcome::Done(true));
    }
    me.turn();
    assert!(me.orders.iter().any(|order| matches!(order, LinkOrder::Stored(2, 1))), "{:?}", me.orders);
}

#[test]
fn who_is_about_to_be_blocked_is_not_forgotten_meanwhile() {
    let mut me = Box5::new();
    let eve = Sighting::Seen { peer: id(9), name: name("eve"), addresses: vec![at(9)] };
    me.peers.on_sighting(me.now, me.instant, eve);
    let (reply, mut blocked) = oneshot::channel();
    me.peers.on_command(me.now, PeerCommand::Block("eve".into(), reply));
    me.peers.on_sighting(me.now, me.instant, Sighting::Gone(id(9)));
    me.turn();
    assert_eq!(blocked.try_recv().unwrap().unwrap().trust, Trust::Blocked);
    me.up(1, 9, "eve");
    assert_eq!(me.closed(), [(1, Parting::Blocked)]);
}

#[test]
fn a_stranger_that_changes_its_rooms_again_and_again_wears_out_no_disk() {
    let mut me = Box5::new();
    me.up(1, 9, "eve");
    let before = me.ops.len();
    for room in ["a", "b", "c"] {
        me.report(LinkReport::Rooms(1, vec![name(room)]));
    }
    assert_eq!((me.ops.len(), &me.shown(9).rooms[..]), (before, &[name("c")][..]));
    me.report(LinkReport::Down(1, Parting::Stopping));
    let last = me.ops.last().unwrap();
    assert!(last.starts_with("PeerSeen") && last.contains("\"c\""), "{last}");
}

#[test]
fn who_is_blocked_is_let_go_and_not_let_in() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "x").unwrap();
    me.command(|reply| PeerCommand::Block("bob".into(), reply)).unwrap();
    assert_eq!(me.closed(), [(1, Parting::Blocked)]);
    assert_eq!(me.peers.queued, 0);
    me.say(1, 1..=3);
    assert!(me.received().is_empty(), "nor what was on its way when it was blocked");
    me.report(LinkReport::Down(1, Parting::Blocked));
    me.up(2, 9, "bob");
    assert_eq!(me.closed(), [(2, Parting::Blocked)]);
    assert_eq!(me.send("bob", "x").unwrap_err().kind(), Kind::Refused);
    me.pass(Duration::from_secs(100));
    assert!(me.dialled().is_empty());
}

#[test]
fn a_flood_of_a_stranger_ends_its_link_and_loses_nothing() {
    let mut me = Box5::new();
    me.up(1, 9, "eve");
    let burst = u64::from(limits::STRANGER_BURST);
    me.say(1, 1..=burst + 100);
    assert_eq!(me.closed(), [(1, Parting::Busy)]);
    assert_eq!(me.received().len() as u64, burst);
    // What was on its way already comes when more would be taken: it would leave out what was not.
    me.pass(Duration::from_secs(10));
    me.say(1, burst + 101..=burst + 110);
    assert_eq!(me.received().len() as u64, burst);
    me.report(LinkReport::Down(1, Parting::Busy));
    me.up(2, 9, "eve");
    assert_eq!(me.stored(2), Some(burst));
    me.say(2, burst + 1..=burst + 100);
    assert_eq!(me.received().len() as u64, burst + 100);
}

#[test]
fn strangers_are_bounded() {
    let mut me = Box5::new();
    for n in 0..=limits::STRANGERS as u8 {
        me.up(u64::from(n), 100 + n, &format!("s{n}"));
    }
    assert_eq!(me.closed(), [(limits::STRANGERS as u64, Parting::Busy)]);
    assert_eq!(me.peers.counts().refused, 1);
    // Who calls again keeps its place.
    me.up(100, 100, "s0");
    assert_eq!(me.closed(), [(0, Parting::Superseded)]);
}

#[test]
fn an_added_host_is_known_and_nobody_else_is_taken_for_it() {
    let mut me = Box5::new();
    me.command(|reply| PeerCommand::Add("10.0.0.9".parse().unwrap(), reply)).unwrap();
    let dialled = me.dialled();
    assert_eq!(dialled.len(), 1);
    me.up_as(1, 9, "bob", Some(dialled[0].0), 1);
    let shown = me.shown(9);
    assert_eq!((shown.trust, shown.peer.as_str()), (Trust::Known, "bob"));
    assert_eq!(me.peers.list(me.instant).hosts[0].id, Some(id(9)));
    me.report(LinkReport::Down(1, Parting::Lost(String::new())));
    me.pass(Duration::from_secs(1));
    // Both ways to it ask for the same one.
    let dialled = me.dialled();
    assert!(!dialled.is_empty() && dialled.iter().all(|(_, peer, _)| *peer == Some(id(9))), "{dialled:?}");
    let another = crate::hub::links::DialFailure::Another(id(66));
    for (dial, ..) in dialled {
        let failures = vec![(at(9), another.clone())];
        me.report(LinkReport::DialFailed { dial, failures, unresolved: None });
    }
    let refused: Vec<&Event> =
        me.events.iter().filter(|event| matches!(event, Event::PeerRefused { .. })).collect();
    assert!(matches!(refused[..], [Event::PeerRefused { id: who, .. }] if *who == id(66)), "{refused:?}");
    assert!(me.peers.list(me.instant).hosts[0].trouble.as_ref().unwrap().contains("peers remove"));
}

#[test]
fn who_has_dialled_and_is_added_then_is_known_whichever_link_is_kept() {
    for peer in [1, 9] {
        let mut config = Config::from_text("");
        config.chat.accept = Accept::Known;
        let mut me = Box5::with(&config, LoadedPeers::default());
        me.up(1, peer, "bob");
        me.command(|reply| PeerCommand::Add("10.0.0.9".parse().unwrap(), reply)).unwrap();
        let (dial, ..) = me.dialled()[0].clone();
        me.up_as(2, peer, "bob", Some(dial), 1);
        assert_eq!(me.peers.list(me.instant).hosts[0].id, Some(id(peer)));
        assert_eq!(me.shown(peer).trust, Trust::Known);
        // The one that is kept is lower's; if that is the old one, it had no right to say anything.
        let kept = if peer < 5 { (1, Parting::Renewed) } else { (1, Parting::Superseded) };
        assert!(me.closed().contains(&kept), "{peer}");
        me.pass(Duration::from_secs(60));
        assert_eq!(me.dialled().len(), 0, "it is not looked for again");
    }
}

#[test]
fn strangers_that_were_there_last_are_looked_for_once_after_a_start() {
    let row = |n: u8| PeerRow {
        id: id(n),
        name: name("bob"),
        trust: Trust::New,
        addresses: vec![at(n)],
        rooms: vec![],
        seen: Timestamp(i64::from(n)),
    };
    let strangers = 6 + limits::STRANGERS as u8;
    let peers = (6..=strangers).map(row).collect();
    let mut me = Box5::with(&Config::from_text(""), LoadedPeers { peers, ..LoadedPeers::default() });
    let mut sought = Vec::new();
    for _ in 0..200 {
        me.pass(Duration::from_secs(1));
        for (dial, peer, addresses) in me.dialled() {
            sought.extend(peer);
            assert_eq!(addresses.len(), 1);
            me.report(LinkReport::DialFailed { dial, failures: vec![], unresolved: None });
        }
    }
    sought.sort();
    assert_eq!(sought, (7..=strangers).map(id).collect::<Vec<_>>(), "the first was seen the longest ago");
}

#[test]
fn pauses_between_tries_grow_until_the_peer_is_seen() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Down(1, Parting::Stopping));
    let mut waited = Vec::new();
    for _ in 0..8 {
        let mut steps = 0;
        let dial = loop {
            me.pass(Duration::from_millis(100));
            if let [(dial, ..)] = me.dialled()[..] {
                break dial;
            }
            steps += 1;
            assert!(steps < 1000);
        };
        waited.push(steps);
        me.report(LinkReport::DialFailed { dial, failures: vec![], unresolved: None });
    }
    assert_eq!(waited[0], 0, "at once");
    assert!(waited[7] > 200 && waited[7] <= 375, "{waited:?}");
    let seen = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(10)] };
    me.peers.on_sighting(me.now, me.instant, seen);
    me.pass(Duration::ZERO);
    assert_eq!(me.dialled()[0].2, [at(10), at(9)], "where it was seen, then where it was");
}

#[test]
fn who_is_removed_may_come_back_as_a_stranger() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "x").unwrap();
    me.command(|reply| PeerCommand::Remove("bob".into(), reply)).unwrap();
    assert_eq!(me.closed(), [(1, Parting::Renewed)]);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (0, 0));
    assert!(me.events.iter().any(|event| matches!(event, Event::Refused { .. })), "what waited is given up");
    me.report(LinkReport::Down(1, Parting::Renewed));
    me.up(2, 9, "bob");
    assert_eq!(me.shown(9).trust, Trust::New);
}

#[test]
fn a_whole_id_must_be_the_peers() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    let wrong = me.command(|reply| PeerCommand::Trust("bob".into(), Some(id(8)), reply));
    assert_eq!(wrong.unwrap_err().kind(), Kind::Refused);
    let shown = me.command(|reply| PeerCommand::Trust("bob".into(), Some(id(9)), reply)).unwrap();
    assert_eq!(shown.trust, Trust::Trusted);
}

#[test]
fn what_is_published_of_trust_changes_with_it() {
    let mut it = Box5::new();
    let is_changed = |it: &mut Box5| std::mem::take(&mut it.peers.is_trust_changed);
    it.up(1, 2, "bob");
    assert!(!is_changed(&mut it), "a stranger more or less is no matter");
    assert_eq!(it.peers.trust_view().of(id(2)), Trust::New);
    it.send("bob", "x").unwrap();
    assert!(is_changed(&mut it));
    assert_eq!(it.peers.trust_view().of(id(2)), Trust::Known);
    it.trust("bob");
    assert!(is_changed(&mut it));
    assert_eq!(it.peers.trust_view().of(id(2)), Trust::Trusted);
    it.up(2, 2, "robert");
    assert!(is_changed(&mut it), "a name can be in a list");
    it.command(|reply| PeerCommand::Block("robert".into(), reply)).unwrap();
    assert!(is_changed(&mut it));
    assert_eq!(it.peers.trust_view().of(id(2)), Trust::Blocked);
    it.command(|reply| PeerCommand::Remove("robert".into(), reply)).unwrap();
    assert!(is_changed(&mut it));
    assert_eq!(it.peers.trust_view().of(id(2)), Trust::New);
}
