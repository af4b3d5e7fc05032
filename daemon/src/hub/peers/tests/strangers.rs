//! What strangers may cause here, all together.

use super::*;

impl Box5 {
    /// A stranger that was never here comes and goes.
    fn stranger(&mut self, n: u8, called: &str) {
        self.up(n.into(), n, called);
        self.report(LinkReport::Down(n.into(), Parting::Stopping));
    }

    /// How many strangers the log tells of.
    fn told(&self) -> usize {
        let of_strangers = |event: &&Event| matches!(event, Event::PeerNew(_) | Event::PeerRefused { .. });
        self.events.iter().filter(of_strangers).count()
    }
}

const BURST: u8 = limits::NEWCOMERS_BURST as u8;

#[test]
fn strangers_that_come_fill_the_log_no_faster_than_they_may() {
    let mut me = Box5::new();
    me.up(0, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Down(0, Parting::Stopping));
    // Bob came as one.
    for n in 1..BURST {
        me.stranger(100 + n, &format!("s{n}"));
    }
    assert_eq!((me.told(), me.closed().len()), (BURST.into(), 0));
    let (ops, peers) = (me.ops.len(), me.peers.peers.len());
    for n in 0..10 {
        me.stranger(210 + n, &format!("late{n}"));
    }
    let busy: Vec<_> = (210..220).map(|link| (link, Parting::Busy)).collect();
    assert_eq!((me.closed(), me.peers.counts().refused), (busy, 10));
    assert_eq!((me.ops.len(), me.peers.peers.len()), (ops, peers), "nothing of them is kept");
    // Who was here before is let in, and whom somebody here asks for.
    me.stranger(101, "s1");
    me.up(0, 9, "bob");
    me.command(|reply| PeerCommand::Add("10.0.0.8".parse().unwrap(), reply)).unwrap();
    let added = me.dialled().into_iter().find(|(_, peer, _)| peer.is_none()).unwrap();
    me.up_as(1, 8, "carol", Some(added.0), 1);
    assert_eq!(me.closed(), []);
    assert!(me.shown(9).linked && me.shown(8).linked);
    // One more at a time.
    let told = me.told();
    me.pass(Duration::from_secs(1) / limits::NEWCOMERS_RATE);
    me.stranger(230, "intime");
    me.stranger(231, "toosoon");
    assert_eq!((me.told(), me.closed()), (told + 1, vec![(231, Parting::Busy)]));
}

#[test]
fn strangers_that_claim_a_known_name_fill_the_log_no_faster_either() {
    let mut me = Box5::new();
    me.up(0, 9, "bob");
    me.trust("bob");
    for n in 1..BURST {
        me.stranger(100 + n, "bob");
    }
    assert!(me.closed().iter().all(|(_, why)| *why == Parting::Blocked));
    let (ops, peers) = (me.ops.len(), me.peers.peers.len());
    me.stranger(210, "bob");
    assert_eq!((me.closed(), me.peers.counts().refused), (vec![(210, Parting::Busy)], 1));
    assert_eq!((me.told(), me.ops.len(), me.peers.peers.len()), (BURST.into(), ops, peers));
    me.stranger(101, "bob");
    assert_eq!(me.closed(), [(101, Parting::Blocked)], "it was told of before");
}
