//! Where a peer's files are fetched from. Asked by the hub when a download begins; what is fetched is the engine's
//! business.

use super::{Peer, Peers, Step};
use crate::hub::orders::{Failed, Retry, Way};
use crate::hub::peers::Follow;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;

impl Peers {
    /// Something is to be fetched of a peer: it is known from then on, as one that is sent something.
    ///
    /// # Errors
    /// As [`Peers::find`], and where it is blocked.
    pub(in crate::hub) fn wanted(&mut self, now: Timestamp, called: &str) -> Result<PeerId, Error> {
        let id = self.find(called)?;
        if self.peers.get(&id).is_some_and(|peer| peer.row.trust == Trust::Blocked) {
            let label = self.label(id);
            let blocked = Error::new(Kind::Refused, format_args!("{label} is blocked here"));
            return Err(blocked.hint(format_args!("netkitctl peers trust {label}")));
        }
        let ops = self.make_known(now, &[id]);
        if !ops.is_empty() {
            self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
        }
        Ok(id)
    }

    /// The way to a peer's files.
    ///
    /// # Errors
    /// Why there is none, at present or for good.
    pub(in crate::hub) fn way(&self, id: PeerId) -> Result<Way, Failed> {
        let label = self.label(id);
        let Some(peer) = self.peers.get(&id) else {
            let failed = Failed::new(Kind::NotFound, format_args!("the peer {label} was removed here"));
            return Err(failed.hint("netkitctl peers add HOST, then netkitctl queue retry"));
        };
        if peer.row.trust == Trust::Blocked {
            let failed = Failed::new(Kind::Refused, format_args!("{label} is blocked here"));
            return Err(
                failed.hint(format_args!("netkitctl peers trust {label}, then netkitctl queue retry"))
            );
        }
        let Some(port) = peer.file_port else {
            let failed = match &peer.link {
                Some(_) => Failed::passing(Kind::Refused, format_args!("{label} serves no files"))
                    .hint("its files.listen says where it does"),
                None => {
                    let why = peer.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                    away(format_args!("{label} is not there at present{why}"))
                        .hint("it goes on when the peer is back; netkitctl peers shows who is linked")
                }
            };
            return Err(failed);
        };
        Ok(Way { id, label, addresses: peer.file_addresses(port) })
    }

    /// A failure that came because the peer is away lasts until it is back.
    pub(in crate::hub) fn judged(&self, peer: Option<PeerId>, failed: Failed) -> Failed {
        let is_linked = |id| self.peers.get(&id).is_some_and(|peer| peer.link.is_some());
        match peer {
            Some(id) if failed.retry == Retry::Later && !is_linked(id) => {
                Failed { retry: Retry::Away, ..failed }
            }
            _ => failed,
        }
    }
}

/// A failure that lasts until the peer is back, however long that takes.
fn away(why: impl std::fmt::Display) -> Failed {
    Failed { retry: Retry::Away, ..Failed::new(Kind::Network, why) }
}

impl Peer {
    /// Where its file port may be, the likeliest first.
    fn file_addresses(&self, port: u16) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for mut address in self.link.iter().map(|link| link.address).chain(self.addresses()) {
            address.set_port(port);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
}
