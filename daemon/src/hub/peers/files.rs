//! Where a peer's files are fetched from, and who else has the same one. Asked by the hub when a download begins, and
//! when its hash is known; what is fetched is the engine's business.

use super::{Follow, Peer, Peers, Step};
use crate::hub::links::{LinkId, LinkOrder};
use crate::hub::orders::{Failed, Retry, Way};
use crate::limits;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::time::Timestamp;
use std::collections::HashSet;
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// A file that others may have, too.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Which peer each download has it from, and where others are told.
    waiting: Vec<(Option<PeerId>, mpsc::Sender<Way>)>,
    /// Who was asked and has not said yet that it has it.
    asked: HashSet<PeerId>,
}

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
                None if peer.turns_away => {
                    Failed::new(Kind::Refused, format_args!("{label} does not want this box"))
                        .hint("there, netkitctl peers trust lets it in again; then netkitctl queue retry")
                }
                None => {
                    let why = peer.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                    away(format_args!("{label} is not there at present{why}"))
                        .hint("a download goes on when the peer is back; netkitctl peers wait waits for that")
                }
            };
            return Err(failed);
        };
        Ok(Way { id, label, addresses: peer.file_addresses(port) })
    }

    /// Asks those who are known and linked, but for the peer that a file comes from, whether they have it, too.
    pub(in crate::hub) fn seek(&mut self, from: Option<PeerId>, hash: BlockHash, found: mpsc::Sender<Way>) {
        if self.wanted_files.len() >= limits::FILES_WANTED {
            return; // it comes from one peer all the same
        }
        let wanted = self.wanted_files.entry(hash).or_default();
        wanted.waiting.push((from, found));
        let asked: Vec<PeerId> = self.peers.keys().copied().collect();
        asked.into_iter().for_each(|id| self.ask_for(id, hash));
    }

    fn ask_for(&mut self, id: PeerId, hash: BlockHash) {
        let known = self.peers.get(&id).filter(|peer| peer.row.trust >= Trust::Known);
        let Some(link) = known.and_then(|peer| peer.link.as_ref()) else { return };
        self.orders.push_back(LinkOrder::Have(link.id, hash));
        if let Some(wanted) = self.wanted_files.get_mut(&hash) {
            wanted.asked.insert(id);
        }
    }

    /// A peer is linked: it is asked what others were asked.
    pub(super) fn ask_newcomer(&mut self, id: PeerId) {
        let hashes: Vec<BlockHash> = self.wanted_files.keys().copied().collect();
        hashes.into_iter().for_each(|hash| self.ask_for(id, hash));
    }

    /// A peer says that it has a file: those who wait for such are told. It is asked only where it was asked before.
    pub(super) fn on_has(&mut self, link: LinkId, hash: BlockHash) {
        let Some(&id) = self.links.get(&link) else { return };
        let Ok(way) = self.way(id) else { return };
        let Some(wanted) = self.wanted_files.get_mut(&hash) else { return };
        if wanted.asked.remove(&id) {
            for (_, found) in wanted.waiting.iter().filter(|(from, _)| *from != Some(id)) {
                let _ = found.try_send(way.clone()); // it has enough of them, or has ended
            }
        }
    }

    /// Forgets what nobody waits for any more.
    pub(super) fn seek_no_more(&mut self) {
        self.wanted_files.retain(|_, wanted| {
            wanted.waiting.retain(|(_, found)| !found.is_closed());
            !wanted.waiting.is_empty()
        });
    }

    /// Whether a peer is linked now.
    pub(in crate::hub) fn is_linked(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.link.is_some())
    }

    /// A failure that came because the peer is away lasts until it is back. One that turns this box away is there: when it
    /// is asked again, its file port says what holds.
    pub(in crate::hub) fn judged(&self, peer: Option<PeerId>, mut failed: Failed) -> Failed {
        let is_linked = |id| self.is_linked(id);
        let turns_away = |id| self.peers.get(&id).is_some_and(|peer| peer.turns_away);
        let retry = match (peer, failed.retry) {
            (Some(id), Retry::Later) if !is_linked(id) && !turns_away(id) => Retry::Away,
            (Some(id), Retry::Away) if is_linked(id) => Retry::Back,
            (_, retry) => retry,
        };
        if retry == Retry::Away && matches!(failed.failure.kind, Kind::Network | Kind::Timeout) {
            failed.failure.kind = Kind::Away;
        }
        Failed { retry, ..failed }
    }
}

/// A failure that lasts until the peer is back, however long that takes.
fn away(why: impl std::fmt::Display) -> Failed {
    Failed { retry: Retry::Away, ..Failed::new(Kind::Away, why) }
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
