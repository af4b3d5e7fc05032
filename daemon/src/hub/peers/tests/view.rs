//! How peers are shown.

use super::*;
use netkit_proto::rpc::call::How;

impl Box5 {
    fn addresses(&self, peer: u8) -> Vec<(SocketAddr, How)> {
        let shown = self.shown(peer).addresses;
        shown.into_iter().map(|address| (address.address, address.how)).collect()
    }
}

#[test]
fn an_address_is_added_where_the_host_is_and_else_was_linked_before() {
    // By an address, and by a name that led to it.
    for host in ["10.0.0.9", "bob.lan"] {
        let mut me = Box5::new();
        me.command(|reply| PeerCommand::Add(host.parse().unwrap(), reply)).unwrap();
        let (dial, ..) = me.dialled()[0].clone();
        me.up_as(1, 9, "bob", Some(dial), 1);
        assert_eq!(me.addresses(9), [(at(9), How::Linked)], "{host}");
        for moved in [30, 31] {
            me.report(LinkReport::Pulse(1, Duration::from_millis(1), at(moved)));
        }
        let shown = [(at(31), How::Linked), (at(9), How::Added), (at(30), How::Before)];
        assert_eq!(me.addresses(9), shown, "{host}");
        me.command(|reply| PeerCommand::Remove(host.into(), reply)).unwrap();
        let shown = [(at(31), How::Linked), (at(9), How::Before), (at(30), How::Before)];
        assert_eq!(me.addresses(9), shown, "{host}");
    }
    // Of a configuration that has it no more.
    let mut me =
        Box5::with(&Config::from_text("[discovery]\npeers = [\"10.0.0.9\"]"), LoadedPeers::default());
    me.pass(Duration::ZERO);
    let (dial, ..) = me.dialled()[0].clone();
    me.up_as(1, 9, "bob", Some(dial), 1);
    me.report(LinkReport::Pulse(1, Duration::from_millis(1), at(30)));
    assert_eq!(me.addresses(9), [(at(30), How::Linked), (at(9), How::Added)]);
    me.peers.on_config(&Config::from_text(""), me.instant);
    assert_eq!(me.addresses(9), [(at(30), How::Linked), (at(9), How::Before)]);
}

#[test]
fn a_peer_was_seen_when_something_of_it_was_heard() {
    let mut me = Box5::linked(9, None);
    let since = me.shown(9).linked_since.unwrap();
    me.pass(Duration::from_secs(20));
    me.report(LinkReport::Pulse(1, Duration::from_millis(1), at(9)));
    let heard = me.now;
    me.pass(Duration::from_secs(30));
    assert_eq!((me.shown(9).seen, me.shown(9).linked_since), (Some(heard), Some(since)));
    me.report(LinkReport::Down(1, Parting::Lost("it does not answer".into())));
    assert_eq!(me.shown(9).seen, Some(heard), "that it was lost is nothing of it");
    assert_eq!(me.shown(9).linked_since, None);
    me.up(2, 9, "bob");
    let up = me.now;
    me.pass(Duration::from_secs(1));
    me.report(LinkReport::Down(2, Parting::Stopping));
    assert_eq!(me.shown(9).seen, Some(up), "to some seconds");
    // What it announced since then counts.
    me.up(3, 9, "bob");
    me.pass(Duration::from_secs(20));
    me.seen(9, &[at(9)]);
    assert_eq!(me.shown(9).seen, Some(me.now));
    me.report(LinkReport::Down(3, Parting::Lost("it does not answer".into())));
    assert_eq!(me.shown(9).seen, Some(me.now));
}

#[test]
fn whom_we_block_is_not_said_to_have_blocked_us() {
    let mut me = Box5::linked(9, None);
    me.command(|reply| PeerCommand::Block("bob".into(), reply)).unwrap();
    assert_eq!(me.closed(), [(1, Parting::Blocked)]);
    me.report(LinkReport::Down(1, Parting::Blocked));
    assert_eq!((me.shown(9).linked, me.shown(9).trouble), (false, None));
    // Nor does who is trusted again before that is over.
    let mut me = Box5::linked(9, None);
    me.command(|reply| PeerCommand::Block("bob".into(), reply)).unwrap();
    me.trust("bob");
    me.report(LinkReport::Down(1, Parting::Blocked));
    assert_eq!(me.shown(9).trouble, None);
    me.pass(Duration::from_secs(1));
    assert_eq!(me.dialled().len(), 1, "it is looked for");
}
