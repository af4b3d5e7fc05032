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
    type Asked = Box<dyn FnOnce(&mut Box5)>;
    let remove: Asked = Box::new(|me| {
        let (reply, _) = oneshot::channel();
        me.peers.on_command(me.now, PeerCommand::Remove("bob".into(), reply));
    });
    let block: Asked = Box::new(|me| {
        let (reply, _) = oneshot::channel();
        me.peers.on_command(me.now, PeerCommand::Block("bob".into(), reply));
    });
    for command in [remove, block] {
        let mut me = Box5::new();
        me.up(1, 9, "bob");
        me.trust("bob");
        me.send("bob", "there before").unwrap();
        let bob = || Route::Peer { name: name("bob"), prefix: None };
        let mut asked = vec![me.ask(bob(), "committed before", None)];
        command(&mut me);
        asked.push(me.ask(bob(), "committed after", None));
        me.turn();
        let ids: Vec<Seq> = asked.iter_mut().map(|answer| answer.try_recv().unwrap().unwrap().id).collect();
        let refused = me.events.iter().filter_map(|event| match event {
            Event::Refused { message, .. } => Some(*message),
            _ => None,
        });
        let refused: Vec<Seq> = refused.collect();
        assert_eq!((refused.len(), &refused[1..]), (3, &ids[..]), "{:?}", me.events);
        let given_up = me.ops.iter().filter(|op| op.starts_with("GiveUp")).count();
        assert_eq!((given_up, me.peers.queued, me.peers.posting), (3, 0, (0, 0)), "nothing of them stays");
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
    let mut removed = me.ask_to_remove("bob");
    // While that is being committed: its receipt, a refusal, its end, and another one who removes, trusts or blocks it.
    me.peers.on_report(me.now, me.instant, LinkReport::Refused(1, 1, RefusalCode::Other));
    me.peers.on_report(me.now, me.instant, LinkReport::Stored(1, 1));
    me.peers.on_tick(me.now.plus_millis(11_000), me.instant);
    assert_eq!(me.ask_to_remove("bob").try_recv().unwrap().unwrap_err().kind(), Kind::NotFound);
    for command in [
        |reply| PeerCommand::Block("bob".into(), reply),
        |reply| PeerCommand::Trust("bob".into(), None, reply),
    ] {
        let (reply, mut answer) = oneshot::channel();
        me.peers.on_command(me.now, command(reply));
        assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::NotFound);
    }
    me.turn();
    removed.try_recv().unwrap().unwrap();
    assert_eq!(me.fates(), [(said, "refused", true)]);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (0, 0));
}

#[test]
fn nothing_more_is_said_to_a_peer_that_is_being_removed_unless_it_stays() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    let kept = me.send("bob", "not said yet").unwrap().id; // where bob has stored us is to be told first
    let mut removed = me.ask_to_remove("bob");
    let step = me.peers.steps.pop().unwrap();
    me.report(LinkReport::Stored(1, 0));
    assert_eq!(me.said(1), [""; 0]);
    let error = Error::new(Kind::NoSpace, "the disk is full");
    me.peers.on_failed(step.follow, &error);
    assert_eq!(removed.try_recv().unwrap().unwrap_err().kind(), Kind::NoSpace);
    me.turn();
    assert_eq!(me.said(1), ["not said yet"]);
    me.report(LinkReport::Stored(1, 1));
    assert_eq!(me.fates(), [(kept, "delivered", true)]);
}
