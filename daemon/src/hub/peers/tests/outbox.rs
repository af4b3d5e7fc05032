//! How much may wait for peers.

use super::*;

impl Box5 {
    /// Sends to somebody until that is refused: why, and how many were taken before.
    fn fill(&mut self, route: impl Fn() -> Route, text: &str) -> (Error, usize) {
        let mut taken = 0;
        loop {
            match self.send_to(route(), text, None) {
                Ok(_) => taken += 1,
                Err(error) => return (error, taken),
            }
            self.ops.clear();
            self.events.clear();
        }
    }

    /// Peers that are known and away.
    fn away(peers: u8) -> Box5 {
        let mut me = Box5::new();
        for n in 0..peers {
            let (link, called) = (u64::from(n), format!("p{n}"));
            me.up(link, 100 + n, &called);
            me.trust(&called);
            me.report(LinkReport::Down(link, Parting::Stopping));
        }
        me
    }
}

fn to(called: &str) -> impl Fn() -> Route {
    move || Route::Peer { name: name(called), prefix: None }
}

#[test]
fn so_many_messages_wait_for_a_peer_and_others_have_room() {
    let mut me = Box5::away(2);
    let (error, taken) = me.fill(to("p0"), "x");
    assert_eq!((error.kind(), taken), (Kind::Busy, limits::LETTERS_PER_PEER), "{error}");
    assert!(error.to_string().contains("p0"), "{error}");
    assert_eq!(me.peers.counts().full, 1);
    me.send("p1", "x").unwrap();
    // The first that is stored makes room.
    me.up(9, 100, "p0");
    me.report(LinkReport::Stored(9, 0));
    me.report(LinkReport::Stored(9, 1));
    assert_eq!(me.fill(to("p0"), "x").1, 1);
}

#[test]
fn so_many_messages_wait_in_all() {
    let mut me = Box5::away(8);
    let (error, taken) = me.fill(|| Route::All, "x");
    assert_eq!((error.kind(), taken), (Kind::Busy, limits::LETTERS / 8), "{error}");
    assert_eq!(me.peers.queued, limits::LETTERS);
}

#[test]
fn what_is_being_committed_counts() {
    let mut me = Box5::away(8);
    let mut asked: Vec<Answered> =
        (0..limits::LETTERS / 8 + 3).map(|_| me.ask(Route::All, "x", None)).collect();
    me.turn();
    let taken = asked.iter_mut().filter_map(|answer| answer.try_recv().unwrap().ok()).count();
    assert_eq!((taken, me.peers.queued), (limits::LETTERS / 8, limits::LETTERS));
    assert_eq!(me.peers.posting, (0, 0));
    // What could not be committed makes room again.
    let mut me = Box5::away(1);
    let mut answer = me.ask(Route::All, "x", None);
    assert_eq!(me.peers.posting, (1, 1));
    let step = me.peers.steps.pop().unwrap();
    me.peers.on_failed(me.instant, step.follow, &Error::new(Kind::NoSpace, "full"));
    assert_eq!((answer.try_recv().unwrap().unwrap_err().kind(), me.peers.posting), (Kind::NoSpace, (0, 0)));
}

#[test]
fn so_many_bytes_wait_for_a_peer_and_others_have_room() {
    let mut me = Box5::away(3);
    let text = "x".repeat(netkit_proto::limits::TEXT);
    let share = limits::LETTERS_BYTES_PER_PEER / text.len();
    let (error, taken) = me.fill(to("p0"), &text);
    assert_eq!((error.kind(), taken), (Kind::Busy, share), "{error}");
    assert!(error.to_string().contains("p0"), "{error}");
    // Others have room: who is away as much, and who is there.
    assert_eq!(me.fill(to("p1"), &text).1, share);
    me.up(9, 102, "p2");
    me.report(LinkReport::Stored(9, 0));
    me.send("p2", &text).unwrap();
    assert_eq!(me.said(9), [text.as_str()]);
    // What is stored makes room, and what expires.
    let first = me.peers.peers[&id(100)].letters[0].n;
    me.up(8, 100, "p0");
    me.report(LinkReport::Stored(8, 0));
    me.report(LinkReport::Stored(8, first));
    assert_eq!(me.fill(to("p0"), &text).1, 1);
    me.pass(limits::EXPIRE_DEFAULT);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (0, 0));
    assert_eq!(me.fill(to("p0"), &text).1, share);
}

#[test]
fn what_is_being_committed_for_a_peer_counts_as_its_own() {
    let mut me = Box5::away(2);
    let text = "x".repeat(netkit_proto::limits::TEXT);
    let share = limits::LETTERS_BYTES_PER_PEER / text.len();
    let mut asked: Vec<Answered> = (0..share + 3).map(|_| me.ask(to("p0")(), &text, None)).collect();
    me.ask(to("p1")(), &text, None);
    assert_eq!(me.peers.posting.0, share + 1);
    me.turn();
    let taken = asked.iter_mut().filter_map(|answer| answer.try_recv().unwrap().ok()).count();
    assert_eq!((taken, me.peers.queued), (share, share + 1));
    assert!(me.peers.posting_to.is_empty());
    // In number, too; and what could not be committed makes room again.
    let mut me = Box5::away(1);
    let mut asked: Vec<Answered> =
        (0..limits::LETTERS_PER_PEER + 3).map(|_| me.ask(to("p0")(), "x", None)).collect();
    assert_eq!(me.peers.posting.0, limits::LETTERS_PER_PEER);
    for step in std::mem::take(&mut me.peers.steps) {
        me.peers.on_failed(me.instant, step.follow, &Error::new(Kind::NoSpace, "full"));
    }
    let failed = |answer: &mut Answered| answer.try_recv().unwrap().unwrap_err().kind() == Kind::NoSpace;
    assert_eq!(
        asked.iter_mut().filter_map(|answer| failed(answer).then_some(())).count(),
        limits::LETTERS_PER_PEER
    );
    assert!(me.peers.posting_to.is_empty());
    me.send("p0", "x").unwrap();
}

#[test]
fn so_many_bytes_wait_in_all() {
    let text = "x".repeat(netkit_proto::limits::TEXT);
    let share = limits::LETTERS_BYTES_PER_PEER / text.len();
    let shares = limits::LETTERS_BYTES / limits::LETTERS_BYTES_PER_PEER;
    let mut me = Box5::away(shares as u8 + 1);
    for n in 0..shares {
        assert_eq!(me.fill(to(&format!("p{n}")), &text).1, share);
    }
    let (error, taken) = me.fill(to(&format!("p{shares}")), &text);
    assert_eq!((error.kind(), taken), (Kind::Busy, 0), "that is for all of them: {error}");
    assert_eq!(me.peers.queued_bytes, limits::LETTERS_BYTES);
}

#[test]
fn who_is_away_too_long_does_not_silence_a_room() {
    let mut me = Box5::away(2);
    let text = "x".repeat(netkit_proto::limits::TEXT);
    me.fill(to("p0"), &text);
    let queued = me.send_to(Route::All, &text, None).unwrap();
    assert_eq!(queued.to, ["p0", "p1"], "what becomes of it is told for both");
    let refused = Event::Refused {
        message: queued.id,
        peer: "p0".into(),
        reason: "too many messages wait for the peer already".into(),
        maybe_delivered: false,
    };
    assert!(me.events.contains(&refused), "{:?}", me.events.last());
    assert_eq!((me.shown(101).queued, me.peers.counts().full), (1, 2));
    // Where nobody has room, nothing is taken.
    me.fill(to("p1"), &text);
    assert_eq!(me.send_to(Route::All, &text, None).unwrap_err().kind(), Kind::Busy);
}
