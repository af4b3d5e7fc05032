//! Which peers have which addresses, where a netkitd answers. Called by `ip` once for all that is asked for; that none
//! answers is no failure: then nothing is said of peers.

use super::here::PATIENCE;
use crate::context::Context;
use netkit_proto::rpc::call::{Peer, PeersList};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Instant;

/// The peers that netkitd knows.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

/// A peer that has an address, or had it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Holder {
    /// As destinations name it.
    peer: String,
    /// How far it is trusted.
    trust: &'static str,
    /// It is linked from there now.
    linked: bool,
}

impl Holder {
    /// `bob (trusted, linked)`
    pub(super) fn shown(&self) -> String {
        let linked = if self.linked { ", linked" } else { "" };
        format!("{} ({}{linked})", self.peer, self.trust)
    }
}

impl Peers {
    /// Asks netkitd, and does not wait for long.
    pub(super) fn ask(context: &Context) -> Peers {
        let answer = context.connect().and_then(|mut client| {
            client.wait_until(Some(Instant::now() + PATIENCE), None);
            Ok(client.call(&PeersList {})?)
        });
        answer.map(|list| Peers(list.peers)).unwrap_or_default()
    }

    /// Those that have this address.
    pub(super) fn at(&self, address: IpAddr) -> Vec<Holder> {
        let has = |peer: &&Peer| peer.addresses.iter().any(|known| known.address.ip() == address);
        let holder = |peer: &Peer| Holder {
            peer: peer.peer.clone(),
            trust: peer.trust.as_str(),
            linked: peer.linked && peer.addresses.first().is_some_and(|known| known.address.ip() == address),
        };
        self.0.iter().filter(has).map(holder).collect()
    }
}
