//! How far logs are stored here, where there are many.

use super::*;

impl Box5 {
    /// A peer comes with this log, says its first message, and goes.
    fn heard_of(&mut self, link: LinkId, peer: PeerId, called: &str, epoch: Epoch) {
        let hello = Hello {
            name: name(called),
            version: VERSION,
            features: vec![],
            instance: link,
            file_port: None,
            rooms: vec![],
            epoch,
        };
        self.report(LinkReport::Up { link, peer, address: at(9), dial: None, hello });
        self.say(link, 1..=1);
        self.report(LinkReport::Down(link, Parting::Stopping));
    }

    /// Which marks were taken out of the database.
    fn forgotten(&self) -> Vec<&String> {
        self.ops.iter().filter(|op| op.starts_with("StoredForget")).collect()
    }
}

fn row(id: PeerId, trust: Trust) -> PeerRow {
    PeerRow { id, name: name("bob"), trust, addresses: vec![], rooms: vec![], seen: Timestamp(0) }
}

#[test]
fn a_peer_that_comes_with_ever_another_log_has_few_marks() {
    let mut me = Box5::new();
    for n in 0..20 {
        me.heard_of(n, id(9), "bob", Epoch(100 - n));
    }
    let gone: Vec<String> = (0..20 - limits::LOGS_OF_PEER as u64)
        .map(|n| format!("{:?}", Op::StoredForget(id(9), Epoch(100 - n))))
        .collect();
    assert_eq!(me.forgotten(), gone.iter().collect::<Vec<_>>(), "the oldest, each once");
    assert_eq!(me.peers.marks.of((id(9), Epoch(100))), (0, 0));
    // What is kept is passed over when it is heard again.
    me.events.clear();
    for n in 0..limits::LOGS_OF_PEER as u64 {
        me.heard_of(50 + n, id(9), "bob", Epoch(81 + n));
    }
    assert_eq!(me.received(), [""; 0]);
}

#[test]
fn strangers_marks_go_first_however_old_a_trusted_peers_is() {
    let stranger = |n: usize| {
        let mut id = [1; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        PeerId(id)
    };
    let bob = (id(9), EPOCH, 17);
    let strangers = (0..limits::STORED_MARKS + 10).map(|n| (stranger(n), EPOCH, 1));
    let loaded = LoadedPeers {
        peers: vec![row(id(9), Trust::Trusted)],
        high: [bob].into_iter().chain(strangers).collect(),
        ..LoadedPeers::default()
    };
    let mut me = Box5::with(&Config::from_text(""), loaded);
    me.turn();
    assert_eq!(me.forgotten().len(), 11, "what is too much at the start");
    for n in 0..10 {
        me.heard_of(n, id(100 + n as u8), &format!("s{n}"), EPOCH);
    }
    assert_eq!(me.forgotten().len(), 21);
    assert_eq!(me.peers.marks.of((id(109), EPOCH)), (1, 1));
    let oldest = format!("{:?}", Op::StoredForget(stranger(11), EPOCH));
    assert_eq!(me.forgotten()[11], &oldest);
    assert_eq!(me.peers.marks.of((id(9), EPOCH)), (17, 17), "bob's is the oldest of all");
}
