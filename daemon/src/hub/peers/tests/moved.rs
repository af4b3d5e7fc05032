//! Links that lead nowhere any more, or too slowly: the peer is looked for while its link stays.

use super::*;

impl Box5 {
    /// A known peer announces itself at these addresses.
    pub(super) fn seen(&mut self, peer: u8, addresses: &[SocketAddr]) {
        let (peer, name, addresses) = (id(peer), name("bob"), addresses.to_vec());
        self.peers.on_sighting(self.now, self.instant, Sighting::Seen { peer, name, addresses });
        self.pass(Duration::ZERO);
    }

    /// Linked to a peer, which announces itself there and elsewhere.
    pub(super) fn linked(peer: u8, dial: Option<DialId>) -> Box5 {
        let mut me = Box5::new();
        me.up_as(1, peer, "bob", dial, 1);
        me.trust("bob");
        me.seen(peer, &[at(peer), at(20)]);
        me.pass(Duration::from_secs(60));
        assert_eq!(me.dialled(), [], "it is linked");
        me
    }
}

#[test]
fn whose_address_is_not_announced_any_more_is_looked_for_at_the_others_while_its_link_stays() {
    let mut me = Box5::linked(9, Some(77));
    me.seen(9, &[at(20), at(21)]);
    let dialled = me.dialled();
    let [(dial, ..)] = dialled[..] else { panic!("{dialled:?}") };
    assert_eq!(dialled, [(dial, Some(id(9)), vec![at(20), at(21)])]);
    assert!(me.shown(9).linked && me.closed().is_empty());
    // The newer one of whoever dialled takes its place.
    me.up_as(2, 9, "bob", Some(dial), 1);
    assert_eq!(me.closed(), [(1, Parting::Superseded)]);
    me.report(LinkReport::Down(1, Parting::Superseded));
    me.pass(Duration::from_secs(60));
    assert_eq!(me.dialled(), []);
}

#[test]
fn who_is_looked_for_in_vain_is_looked_for_until_the_link_would_have_ended() {
    let mut me = Box5::linked(9, Some(77));
    me.seen(9, &[at(20)]);
    let (begun, mut tries) = (me.instant, 0);
    while me.instant < begun + Duration::from_secs(120) {
        for (dial, ..) in me.dialled() {
            assert!(me.instant < begun + limits::LINK_IDLE);
            tries += 1;
            in_vain(&mut me, dial, at(20));
        }
        me.pass(Duration::from_millis(500));
    }
    assert!((4..=6).contains(&tries), "{tries}: pauses grow");
    assert!(me.shown(9).trouble.is_none(), "it is linked all the same");
}

#[test]
fn a_link_that_was_not_lost_is_left_alone() {
    // It is announced again in time.
    let mut me = Box5::linked(9, Some(77));
    let dialling = |me: &mut Box5| me.dialled().len();
    me.peers.on_sighting(
        me.now,
        me.instant,
        Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(20)] },
    );
    me.seen(9, &[at(9)]);
    assert_eq!(dialling(&mut me), 0);
    // It went with the peer.
    let moved = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(20)] };
    me.peers.on_sighting(me.now, me.instant, moved);
    me.report(LinkReport::Pulse(1, Duration::from_millis(1), at(20)));
    me.pass(Duration::ZERO);
    assert_eq!(dialling(&mut me), 0);
    // It was never announced: what is reached by a router is on no link of ours.
    let mut me = Box5::new();
    me.up_as(1, 9, "bob", Some(77), 1);
    me.trust("bob");
    me.seen(9, &[at(20)]);
    me.seen(9, &[at(21)]);
    assert_eq!(dialling(&mut me), 0);
    // It says goodbye: where else it was is of no use.
    let mut me = Box5::linked(9, Some(77));
    me.peers.on_sighting(me.now, me.instant, Sighting::Gone(id(9)));
    me.pass(Duration::from_secs(1));
    assert_eq!(dialling(&mut me), 0);
    // Nobody here wants it.
    let mut me = Box5::new();
    me.up_as(1, 9, "bob", None, 1);
    me.seen(9, &[at(9)]);
    me.seen(9, &[at(20)]);
    assert_eq!(dialling(&mut me), 0);
}

#[test]
fn a_net_of_ours_that_goes_and_another_that_comes_are_no_goodbye() {
    let mut me = Box5::linked(9, Some(77));
    me.peers.on_sighting(me.now, me.instant, Sighting::Gone(id(9)));
    me.pass(Duration::from_secs(2));
    me.seen(9, &[at(30)]);
    assert_eq!(me.dialled().len(), 1);
}

#[test]
fn who_calls_although_it_is_linked_has_lost_the_link_and_is_called_back_where_only_we_can_replace_it() {
    // We are box 5, and our link to box 9 stays where it dials us.
    let mut me = Box5::linked(9, Some(77));
    let hello = |me: &mut Box5, link, from| {
        let hello = Hello {
            name: name("bob"),
            version: VERSION,
            features: vec![],
            instance: 1,
            file_port: None,
            rooms: vec![],
            epoch: EPOCH,
        };
        me.report(LinkReport::Up { link, peer: id(9), address: from, dial: None, hello });
        me.peers.on_tick(me.now, me.instant);
        me.turn();
    };
    hello(&mut me, 2, at(40));
    let orders = std::mem::take(&mut me.orders);
    let close = |order: &LinkOrder| matches!(order, LinkOrder::Close(2, Parting::Superseded));
    assert!(orders.iter().any(close), "both sides keep the same one: {orders:?}");
    me.orders = orders;
    let dialled = me.dialled();
    assert_eq!(dialled.len(), 1, "{dialled:?}");
    assert_eq!(dialled[0].2, [at(40), at(20)], "first where it called from");
    // From where the link leads all the same: it was silent there.
    let mut me = Box5::linked(9, Some(77));
    hello(&mut me, 2, at(9));
    assert_eq!(me.dialled()[0].2, [at(9), at(20)]);
    // A stranger that we have called, too: nobody else can give it a link.
    let mut me = Box5::new();
    me.up_as(1, 9, "bob", Some(77), 1);
    me.pass(2 * limits::DIAL);
    hello(&mut me, 2, at(9));
    let dialled = me.dialled();
    assert_eq!(dialled.len(), 1, "{dialled:?}");
    hello(&mut me, 3, at(9));
    assert_eq!(me.dialled(), [], "that is under way");
    // At the same time as we for it, it looked because it had no link yet.
    let mut me = Box5::new();
    me.up_as(1, 9, "bob", Some(77), 1);
    me.trust("bob");
    hello(&mut me, 2, at(40));
    assert_eq!(me.dialled(), []);
}

#[test]
fn whose_link_stays_with_the_other_is_not_called_at_each_tick() {
    // The link of box 1, which dialled, stays where we dial: it calls us back.
    let mut me = Box5::linked(1, None);
    me.seen(1, &[at(20)]);
    let mut tries = 0;
    for _ in 0..60 {
        for (dial, ..) in me.dialled() {
            tries += 1;
            me.up_as(100 + dial, 1, "bob", Some(dial), 1);
            me.report(LinkReport::Down(100 + dial, Parting::Superseded));
        }
        me.pass(Duration::from_millis(500));
    }
    assert!((4..=6).contains(&tries), "{tries}");
    // It does.
    me.up_as(500, 1, "bob", None, 1);
    assert!(me.closed().contains(&(1, Parting::Superseded)));
}

/// A link is told to be silent: who is called then.
fn silent(me: &mut Box5, link: LinkId) -> Vec<(DialId, Option<PeerId>, Vec<SocketAddr>)> {
    me.report(LinkReport::Silent(link));
    me.pass(Duration::ZERO);
    me.dialled()
}

fn in_vain(me: &mut Box5, dial: DialId, address: SocketAddr) {
    let failures = vec![(address, crate::hub::links::DialFailure::Unreachable("no answer".into()))];
    me.report(LinkReport::DialFailed { dial, failures, unresolved: None });
}

#[test]
fn who_is_silent_is_called_again_where_it_is_while_its_link_stays() {
    let mut me = Box5::linked(9, Some(77));
    let dialled = silent(&mut me, 1);
    let [(dial, ..)] = dialled[..] else { panic!("{dialled:?}") };
    assert_eq!(dialled, [(dial, Some(id(9)), vec![at(9)])]);
    assert!(me.shown(9).linked && me.closed().is_empty());
    assert_eq!(silent(&mut me, 1), [], "that is under way");
    // In vain: again, in pauses that grow whatever is told meanwhile.
    in_vain(&mut me, dial, at(9));
    assert_eq!(silent(&mut me, 1), []);
    me.pass(2 * limits::DIAL_FIRST);
    let dialled = me.dialled();
    let [(dial, ..)] = dialled[..] else { panic!("{dialled:?}") };
    // The new link takes its place, and may be silent, too.
    me.up_as(2, 9, "bob", Some(dial), 1);
    assert_eq!(me.closed(), [(1, Parting::Superseded)]);
    assert_eq!(silent(&mut me, 1), [], "it is none any more");
    assert_eq!(silent(&mut me, 2).len(), 1);
    // Of whom nobody here wants anything.
    let mut me = Box5::new();
    me.up_as(1, 9, "bob", None, 1);
    assert_eq!(silent(&mut me, 1), []);
}

#[test]
fn who_answers_after_a_silence_is_left_alone() {
    let mut me = Box5::linked(9, Some(77));
    me.report(LinkReport::Pulse(1, Duration::from_millis(2), at(9)));
    assert_eq!((me.shown(9).silent, me.shown(9).rtt_ms), (false, Some(2.0)));
    let dial = silent(&mut me, 1)[0].0;
    assert_eq!((me.shown(9).linked, me.shown(9).silent, me.shown(9).rtt_ms), (true, true, None));
    me.pass(limits::LINK_SILENCE);
    in_vain(&mut me, dial, at(9));
    assert!(me.shown(9).silent, "it is told again where it goes on");
    me.pass(limits::LINK_SILENCE);
    assert_eq!((me.shown(9).silent, me.shown(9).rtt_ms), (false, Some(2.0)));
    for _ in 0..60 {
        me.pass(limits::LINK_SILENCE);
        assert_eq!(me.dialled(), []);
    }
}

#[test]
fn who_says_goodbye_and_is_silent_is_called_where_it_was() {
    let mut me = Box5::linked(9, Some(77));
    me.peers.on_sighting(me.now, me.instant, Sighting::Gone(id(9)));
    me.pass(Duration::from_secs(1));
    assert_eq!(me.dialled(), []);
    assert_eq!(silent(&mut me, 1)[0].2, [at(9)]);
}

#[test]
fn a_call_that_is_under_way_when_the_peer_calls_is_the_only_one() {
    let mut me = Box5::linked(9, None);
    let dial = silent(&mut me, 1)[0].0;
    me.up_as(2, 9, "bob", None, 1);
    assert_eq!(silent(&mut me, 2), [], "it may still be answered");
    in_vain(&mut me, dial, at(9));
    me.pass(2 * limits::DIAL_FIRST);
    assert_eq!(me.dialled().len(), 1);
}
