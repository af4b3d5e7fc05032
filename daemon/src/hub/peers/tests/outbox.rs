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
fn so_many_bytes_wait_in_all() {
    let mut me = Box5::away(2);
    let text = "x".repeat(netkit_proto::limits::TEXT);
    let (error, taken) = me.fill(to("p0"), &text);
    assert_eq!((error.kind(), taken), (Kind::Busy, limits::LETTERS_BYTES / text.len()), "{error}");
    assert_eq!(me.fill(to("p1"), &text).1, 0, "that is for all of them");
}
