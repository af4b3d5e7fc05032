//! What becomes of messages to a peer that is removed or blocked.

use super::*;
use netkit_proto::rpc::call::Empty;

impl Box5 {
    /// A box that is linked with bob, who listens.
    fn with_bob() -> Box5 {
        let mut me = Box5::new();
        me.up(1, 9, "bob");
        me.trust("bob");
        me.report(LinkReport::Stored(1, 0));
        me
    }

    /// Asks for a peer to be removed; its commit is the next turn's.
    fn ask_to_remove(&mut self, text: &str) -> oneshot::Receiver<Result<Empty, Error>> {
        let (reply, answer) = oneshot::channel();
        self.peers.on_command(self.now, PeerCommand::Remove(text.into(), reply));
        answer
    }

    /// The fates of messages so far: of which, which, and whether it may have arrived all the same.
    fn fates(&self) -> Vec<(Seq, &str, bool)> {
        let fate = |event| match event {
            &Event::Refused { message, maybe_delivered, .. } => vec![(message, "refused", maybe_delivered)],
            &Event::Expired { message, maybe_delivered, .. } => vec![(message, "expired", maybe_delivered)],
            Event::Delivered { messages, .. } => messages.iter().map(|&n| (n, "delivered", true)).collect(),
            _ => vec![],
        };
        self.events.iter().flat_map(fate).collect()
    }
}

#[test]
fn every_message_to_a_peer_that_is_being_removed_or_blocked_has_a_fate() {
    for is_removal in [true, false] {
        let mut me = Box5::with_bob();
        let bob = || Route::Peer { name: name("bob"), prefix: None };
        let before = me.send("bob", "there before").unwrap().id;
        let mut meanwhile = me.ask(bob(), "committed before", None);
        if is_removal {
            let _answer = me.ask_to_remove("bob");
            assert_eq!(me.send("bob", "after").unwrap_err().kind(), Kind::NotFound);
        } else {
            let (reply, _) = oneshot::channel();
            me.peers.on_command(me.now, PeerCommand::Block("bob".into(), reply));
            me.turn();
        }
        let meanwhile = meanwhile.try_recv().unwrap().unwrap().id;
        assert_eq!(me.fates(), [(before, "refused", true), (meanwhile, "refused", false)]);
        let given_up = me.ops.iter().filter(|op| op.starts_with("GiveUp")).count();
        assert_eq!((given_up, me.peers.queued, me.peers.posting), (2, 0, (0, 0)), "nothing of them stays");
        assert_eq!(me.peers.queued_bytes, 0);
    }
}

#[test]
fn what_was_said_before_a_peer_is_removed_or_blocked_may_have_arrived() {
    for is_removal in [true, false] {
        let mut me = Box5::with_bob();
        let said = me.send("bob", "said").unwrap().id;
        me.report(LinkReport::Down(1, Parting::Lost(String::new())));
        let kept = me.send("bob", "never said").unwrap().id;
        if is_removal {
            me.command(|reply| PeerCommand::Remove("bob".into(), reply)).unwrap();
        } else {
            me.command(|reply| PeerCommand::Block("bob".into(), reply)).unwrap();
        }
        assert_eq!(me.fates(), [(said, "refused", true), (kept, "refused", false)]);
    }
}

#[test]
fn what_waits_for_a_peer_that_is_being_removed_has_no_second_fate() {
    let mut me = Box5::with_bob();
    let route = Route::Peer { name: name("bob"), prefix: None };
    let said = me.send_to(route, "said", Some(Duration::from_secs(10))).unwrap().id;
    let (reply, mut blocked) = oneshot::channel();
    me.peers.on_command(me.now, PeerCommand::Block("bob".into(), reply));
    let mut removed = me.ask_to_remove("bob");
    // While that is being committed: its receipt, a refusal, its end, and another one who removes it.
    me.peers.on_report(me.now, me.instant, LinkReport::Refused(1, 1, RefusalCode::Other));
    me.peers.on_report(me.now, me.instant, LinkReport::Stored(1, 1));
    me.peers.on_tick(me.now.plus_millis(11_000), me.instant);
    assert_eq!(me.ask_to_remove("bob").try_recv().unwrap().unwrap_err().kind(), Kind::NotFound);
    me.turn();
    removed.try_recv().unwrap().unwrap();
    assert_eq!(blocked.try_recv().unwrap().unwrap_err().kind(), Kind::NotFound, "it is gone by then");
    assert_eq!(me.fates(), [(said, "refused", true)]);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (0, 0));
}

#[test]
fn what_a_removed_peer_does_meanwhile_brings_it_back_as_a_stranger_at_most() {
    let mut me = Box5::with_bob();
    let _answer = me.ask_to_remove("bob");
    let rooms = vec![name("ops")];
    me.peers.on_report(me.now, me.instant, LinkReport::Rooms(1, rooms));
    me.peers.on_report(me.now, me.instant, LinkReport::Down(1, Parting::Renewed));
    me.up(2, 9, "bob");
    assert_eq!(me.shown(9).trust, Trust::New);
    let behind = me.ops.iter().skip_while(|op| !op.starts_with("PeerRemove")).skip(1);
    assert!(
        behind.clone().count() > 0 && behind.clone().all(|op| !op.starts_with("PeerSet")),
        "{:?}",
        me.ops
    );
}

#[test]
fn a_peer_that_can_not_be_removed_is_what_it_was() {
    let mut me = Box5::with_bob();
    let said = me.send("bob", "said").unwrap().id;
    let mut removed = me.ask_to_remove("bob");
    let step = me.peers.steps.pop().unwrap();
    me.report(LinkReport::Stored(1, 1));
    // It comes again, as a stranger; what was being committed for it is for nobody.
    me.up(2, 9, "bob");
    let late = me.send("bob", "asked before").unwrap().id;
    me.report(LinkReport::Stored(2, 0));
    assert_eq!(me.said(2), [""; 0]);
    let (reply, _) = oneshot::channel();
    me.peers.on_command(me.now, PeerCommand::Block("bob".into(), reply));
    me.peers.steps.clear(); // not committed either
    me.peers.on_failed(me.instant, step.follow, &Error::new(Kind::NoSpace, "the disk is full"));
    assert_eq!(removed.try_recv().unwrap().unwrap_err().kind(), Kind::NoSpace);
    me.turn();
    assert_eq!(me.closed(), [(2, Parting::Renewed)], "the next one begins anew");
    me.report(LinkReport::Down(2, Parting::Renewed));
    let bob = me.shown(9);
    assert_eq!((bob.trust, bob.queued, me.peers.queued), (Trust::Trusted, 1, 1));
    me.up(3, 9, "bob");
    me.report(LinkReport::Stored(3, 1));
    assert_eq!(me.said(3), [""; 0], "it has it");
    assert_eq!(me.fates(), [(late, "refused", false), (said, "delivered", true)]);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (0, 0));
}

#[test]
fn what_a_netkitd_that_was_killed_left_for_nobody_has_its_fate_at_the_start() {
    let row = |n, called: &str, trust| PeerRow {
        id: id(n),
        name: name(called),
        trust,
        addresses: vec![],
        rooms: vec![],
        seen: Timestamp(1),
    };
    let letter = |message| {
        let (at, expires) = (Timestamp(1), Timestamp(i64::MAX));
        Letter { n: message, message: Seq(message), room: None, text: "x".into(), at, expires }
    };
    let peers = vec![row(7, "blocked", Trust::Blocked), row(8, "known", Trust::Known)];
    let letters = vec![(id(6), letter(1)), (id(7), letter(2)), (id(8), letter(3))];
    let loaded = LoadedPeers { peers, letters, ..LoadedPeers::default() };
    let mut me = Box5::with(&Config::from_text(""), loaded);
    me.turn();
    assert_eq!(me.fates(), [(Seq(1), "refused", true), (Seq(2), "refused", true)]);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (1, 1));
}

#[test]
fn who_is_blocked_while_something_is_sent_to_it_stays_so_on_the_disk_too() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    let block = |me: &mut Box5| {
        let (reply, answer) = oneshot::channel();
        me.peers.on_command(me.now, PeerCommand::Block("bob".into(), reply));
        answer
    };
    let mut blocked = block(&mut me);
    let mut sent = me.ask(Route::Peer { name: name("bob"), prefix: None }, "x", None);
    me.turn();
    assert_eq!(blocked.try_recv().unwrap().unwrap().trust, Trust::Blocked);
    let message = sent.try_recv().unwrap().unwrap().id;
    assert_eq!(me.shown(9).trust, Trust::Blocked);
    assert_eq!(me.fates(), [(message, "refused", false)]);
    let writes: Vec<&String> = me.ops.iter().filter(|op| op.starts_with("PeerSet")).collect();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(!me.events.iter().any(|event| matches!(event, Event::PeerKnown(_))), "{:?}", me.events);
    // A change that fails leaves a stranger, who can become known.
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    let mut failed = block(&mut me);
    let step = me.peers.steps.pop().unwrap();
    me.peers.on_failed(me.instant, step.follow, &Error::new(Kind::NoSpace, "the disk is full"));
    failed.try_recv().unwrap().unwrap_err();
    me.send("bob", "x").unwrap();
    assert_eq!(me.shown(9).trust, Trust::Known);
}

#[test]
fn who_became_known_by_what_could_not_be_sent_is_known_on_the_disk_too() {
    let known = |me: &Box5| me.ops.iter().filter(|op| op.starts_with("PeerSet")).count();
    let mut me = Box5::new();
    let bob = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(9)] };
    me.peers.on_sighting(me.now, me.instant, bob);
    let mut sent = me.ask(Route::Peer { name: name("bob"), prefix: None }, "x", None);
    let step = me.peers.steps.pop().unwrap();
    me.peers.on_failed(me.instant, step.follow, &Error::new(Kind::NoSpace, "full"));
    sent.try_recv().unwrap().unwrap_err();
    assert!(me.peers.steps.iter().all(|step| !step.is_asked), "it is tried until it succeeds");
    me.turn();
    assert_eq!((me.shown(9).trust, known(&me)), (Trust::Known, 1));
    assert!(matches!(me.events[..], [Event::PeerKnown(_)]), "{:?}", me.events);
    me.send("bob", "x").unwrap();
    assert_eq!(known(&me), 1);
}

#[test]
fn a_peer_is_removed_once_at_a_time() {
    let mut me = Box5::with_bob();
    let mut first = me.ask_to_remove("bob");
    let bob = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(9)] };
    me.peers.on_sighting(me.now, me.instant, bob);
    let again = me.ask_to_remove("bob").try_recv().unwrap().unwrap_err();
    assert_eq!(again.kind(), Kind::Busy);
    me.turn();
    assert!(first.try_recv().unwrap().is_ok());
    let _second = me.ask_to_remove("bob");
    me.turn();
    assert!(me.peers.show(me.instant, id(9)).is_err());
}
