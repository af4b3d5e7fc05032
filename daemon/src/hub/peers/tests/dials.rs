//! Who is looked for when more are away than can be at a time.

use super::*;
use std::collections::BTreeSet;

/// How long an attempt takes here to be in vain.
const IN_VAIN: Duration = Duration::from_secs(5);

#[test]
fn everybody_who_is_away_has_a_turn_whatever_the_id_and_hosts_have_too() {
    const AWAY: u8 = 200;
    let row = |n: u8| PeerRow {
        id: id(n),
        name: name(&format!("p{n}")),
        trust: Trust::Known,
        addresses: vec![at(n)],
        rooms: vec![],
        seen: Timestamp(0),
    };
    let loaded = LoadedPeers { peers: (10..10 + AWAY).map(row).collect(), ..LoadedPeers::default() };
    let mut me = Box5::with(&Config::from_text("[discovery]\npeers = [\"10.1.0.1\"]"), loaded);
    let everybody: BTreeSet<Option<PeerId>> = (10..10 + AWAY).map(|n| Some(id(n))).chain([None]).collect();
    // Pauses differ by half of the longest, so that somebody may be tried twice before another one is.
    let rounds = 2 * everybody.len().div_ceil(limits::DIALS);
    for again in 0..5 {
        let mut tried = BTreeSet::new();
        for _ in 0..rounds {
            me.pass(Duration::ZERO);
            let dialled = me.dialled();
            assert_eq!(dialled.len(), limits::DIALS, "all at work");
            me.instant += IN_VAIN;
            for (dial, peer, _) in dialled {
                tried.insert(peer);
                me.report(LinkReport::DialFailed { dial, failures: vec![], unresolved: None });
            }
        }
        assert_eq!(everybody.difference(&tried).count(), 0, "{again}");
    }
    // Who is added now waits for no more than those who are due.
    me.command(|reply| PeerCommand::Add("10.1.0.2".parse().unwrap(), reply)).unwrap();
    let mut hosts = 0;
    for _ in 0..rounds {
        me.pass(Duration::ZERO);
        me.instant += IN_VAIN;
        for (dial, peer, _) in me.dialled() {
            hosts += usize::from(peer.is_none());
            me.report(LinkReport::DialFailed { dial, failures: vec![], unresolved: None });
        }
    }
    assert!(hosts >= 2, "both hosts");
}
