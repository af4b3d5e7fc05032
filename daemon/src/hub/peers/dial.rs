//! When a peer is looked for, and where: those that somebody here knows, those for whom something waits, and hosts that
//! were named. Pauses between tries grow, and end when the peer is seen. A peer whose link leads nowhere any more, as it
//! seems, is looked for while the link stays.

use super::{Host, Link, Lost, Peer, Peers};
use crate::hub::links::{DialFailure, DialId, LinkOrder};
use crate::limits;
use crate::store::Op;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Whom an attempt is to find.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Peer(PeerId),
    Host(String),
}

/// How often somebody was looked for in vain.
#[derive(Debug)]
pub(super) struct Dialing {
    /// The attempt that is under way.
    attempt: Option<DialId>,
    due: Instant,
    pause: Duration,
}

impl Dialing {
    pub(super) fn now(instant: Instant) -> Dialing {
        Dialing { attempt: None, due: instant, pause: Duration::ZERO }
    }

    /// It may be there again.
    pub(super) fn hurry(&mut self, instant: Instant) {
        (self.due, self.pause) = (self.due.min(instant), Duration::ZERO);
    }

    fn is_due(&self, instant: Instant) -> bool {
        self.attempt.is_none() && self.due <= instant
    }

    /// In vain: the next try comes later, a quarter more or less, so that boxes that lost each other do not look all at
    /// once.
    pub(super) fn failed(&mut self, instant: Instant, dial: Option<DialId>) {
        self.over(dial);
        self.pause = (2 * self.pause).clamp(limits::DIAL_FIRST, limits::DIAL_LONGEST);
        let jitter = std::hash::RandomState::new().hash_one(0) % 1000;
        self.due = instant + self.pause.mul_f64(0.75 + 0.5 * jitter as f64 / 1000.0);
    }

    /// It was found, by this attempt or because it called. Should it be lost, it is due after those who are due already.
    pub(super) fn ended(&mut self, instant: Instant, dial: Option<DialId>) {
        self.over(dial);
        (self.due, self.pause) = (instant, Duration::ZERO);
    }

    /// An attempt is over; another one that is under way is not.
    fn over(&mut self, dial: Option<DialId>) {
        self.attempt = self.attempt.filter(|attempt| Some(*attempt) != dial);
    }
}

impl Link {
    fn lost(&self, instant: Instant) -> Option<&Lost> {
        self.lost.as_ref().filter(|lost| instant < lost.until)
    }

    pub(super) fn is_silent(&self, instant: Instant) -> bool {
        self.silent.is_some_and(|until| instant < until)
    }
}

impl Peer {
    /// Somebody here wants it linked.
    fn is_wanted(&self) -> bool {
        let is_new = self.row.trust == Trust::New;
        self.row.trust >= Trust::Known || (is_new && (!self.letters.is_empty() || self.is_missed))
    }

    /// It announces itself at these addresses. Where that of the link was one of them and is none any more, either side
    /// has moved: without the other's help a link moves only with the side that dialled.
    pub(super) fn announced(&mut self, instant: Instant, mut addresses: Vec<SocketAddr>) {
        addresses.truncate(limits::PEER_ADDRESSES);
        let before = std::mem::replace(&mut self.found, addresses);
        let Some(link) = &mut self.link else { return };
        if self.found.contains(&link.address) {
            link.lost = None;
        } else if before.contains(&link.address) {
            self.lose_link(instant, None);
        }
    }

    /// Nothing comes on the link, which is told again while it lasts.
    pub(super) fn on_silence(&mut self, instant: Instant) {
        let Some(link) = &mut self.link else { return };
        if !link.is_silent(instant) {
            self.dialing.hurry(instant);
        }
        link.silent = Some(instant + 2 * limits::LINK_SILENCE);
        link.is_answering = false;
    }

    /// The link leads nowhere any more, as it seems.
    pub(super) fn lose_link(&mut self, instant: Instant, called: Option<SocketAddr>) {
        let Some(link) = &mut self.link else { return };
        if link.lost(instant).is_none_or(|lost| lost.called != called) {
            self.dialing.hurry(instant);
        }
        link.lost = Some(Lost { until: instant + limits::LINK_IDLE, called });
    }

    /// Where it is to be looked for; nowhere while there is nothing wrong with its link. Where that is silent it may be there
    /// all the same, and only QUIC's repeats be late.
    fn sought_at(&self, instant: Instant) -> Vec<SocketAddr> {
        let Some(link) = &self.link else { return self.addresses() };
        let mut addresses = Vec::new();
        if let Some(lost) = link.lost(instant) {
            addresses.extend(lost.called);
            addresses.extend(self.found.iter().filter(|address| **address != link.address));
        }
        if link.is_silent(instant) && !addresses.contains(&link.address) {
            addresses.push(link.address);
        }
        addresses
    }

    /// Where it may be, the likeliest first.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = self.found.clone();
        addresses.extend(self.row.addresses.iter().filter(|address| !self.found.contains(address)));
        addresses.truncate(limits::PEER_ADDRESSES);
        addresses
    }
}

impl Peers {
    /// Strangers that were there last, before this netkitd started, are missed: they are looked for after those who are known.
    pub(super) fn miss_strangers(&mut self, instant: Instant) {
        let strangers = self.peers.values_mut().filter(|peer| peer.row.trust == Trust::New);
        let mut strangers: Vec<&mut Peer> = strangers.collect();
        strangers.sort_by_key(|peer| std::cmp::Reverse(peer.row.seen));
        for stranger in strangers.into_iter().take(limits::STRANGERS) {
            stranger.is_missed = true;
            stranger.dialing = Dialing::now(instant + Duration::from_millis(1));
        }
    }

    /// Looks for whom is due, a few at a time; first for whom has been so the longest, peers and hosts alike.
    pub(super) fn dial(&mut self, instant: Instant) {
        let room = limits::DIALS.saturating_sub(self.dials.len());
        if room == 0 {
            return;
        }
        let peers = self.peers.values().filter(|peer| {
            peer.is_wanted() && peer.dialing.is_due(instant) && !peer.sought_at(instant).is_empty()
        });
        let hosts = self
            .hosts
            .values()
            .filter(|host| host.is_asked() && host.dialing.is_due(instant) && !self.is_there(host));
        let mut due: Vec<(Instant, Target)> = peers
            .map(|peer| (peer.dialing.due, Target::Peer(peer.row.id)))
            .chain(hosts.map(|host| (host.dialing.due, Target::Host(host.row.host.clone()))))
            .collect();
        due.sort_by_key(|(since, _)| *since);
        for (_, target) in due.into_iter().take(room) {
            self.look_for(instant, target);
        }
    }

    /// Whoever is at a host is linked, or not wanted.
    fn is_there(&self, host: &Host) -> bool {
        let peer = host.row.peer.and_then(|id| self.peers.get(&id));
        peer.is_some_and(|peer| peer.link.is_some() || peer.row.trust == Trust::Blocked)
    }

    fn look_for(&mut self, instant: Instant, target: Target) {
        self.last_dial += 1;
        let dial = self.last_dial;
        let order = match &target {
            Target::Peer(id) => self.peers.get_mut(id).map(|peer| {
                peer.dialing.attempt = Some(dial);
                peer.is_missed = false;
                let addresses = peer.sought_at(instant);
                LinkOrder::Dial { dial, peer: Some(*id), host: None, addresses }
            }),
            Target::Host(name) => self.hosts.get_mut(name).map(|host| {
                host.dialing.attempt = Some(dial);
                let (peer, host) = (host.row.peer, super::name::host_and_port(name));
                LinkOrder::Dial { dial, peer, host, addresses: Vec::new() }
            }),
        };
        if let Some(order) = order {
            self.dials.insert(dial, target);
            self.orders.push_back(order);
        }
    }

    /// This peer is at a host that somebody here named: it is known from then on.
    pub(super) fn found_at(&mut self, now: Timestamp, host: &str, id: PeerId, ops: &mut Vec<Op>) {
        if let Some(host) = self.hosts.get_mut(host).filter(|host| host.row.peer.is_none()) {
            host.row.peer = Some(id);
            ops.push(Op::HostSet(host.row.clone()));
        }
        ops.extend(self.make_known(now, &[id]));
    }

    /// Nobody was reached.
    pub(super) fn on_dial_failed(
        &mut self,
        now: Timestamp,
        instant: Instant,
        dial: DialId,
        failures: &[(SocketAddr, DialFailure)],
        unresolved: Option<String>,
    ) {
        let Some(target) = self.dials.remove(&dial) else { return };
        let mut told: Vec<String> =
            failures.iter().map(|(at, why)| format!("{at}: {}", in_words(why))).collect();
        told.extend(unresolved);
        let told = (!told.is_empty()).then(|| told.join("; "));
        let turns_away = failures.iter().any(|(_, why)| *why == DialFailure::Blocked);
        match target {
            Target::Peer(id) => {
                let Some(peer) = self.peers.get_mut(&id) else { return };
                peer.dialing.failed(instant, Some(dial));
                // Another box has those addresses now.
                let is_gone = |at: &SocketAddr| {
                    failures.iter().any(|(of, why)| of == at && matches!(why, DialFailure::Another(_)))
                };
                peer.row.addresses.retain(|at| !is_gone(at));
                peer.found.retain(|at| !is_gone(at));
                if peer.link.is_none() {
                    let is_news = turns_away && !peer.turns_away;
                    (peer.trouble, peer.turns_away) = (told, turns_away);
                    self.arrived.extend(is_news.then_some(id));
                }
            }
            Target::Host(name) => {
                let Some(host) = self.hosts.get_mut(&name) else { return };
                host.dialing.failed(instant, Some(dial));
                let pinned = host.row.peer;
                let another = failures.iter().find_map(|(at, why)| match why {
                    DialFailure::Another(id) => Some((*at, *id)),
                    _ => None,
                });
                let (Some((address, id)), Some(pinned)) = (another, pinned) else {
                    host.trouble = told;
                    return;
                };
                let reason = format!(
                    "another box answers at {name} than before; if that is right: netkitctl peers remove {pinned}, \
                     then netkitctl peers add {name}"
                );
                if host.trouble.as_ref() != Some(&reason) {
                    tracing::warn!(host = name, %id, expected = %pinned, "another box answers than before");
                    host.trouble = Some(reason.clone());
                    let peer = self.label(pinned);
                    self.note(vec![Op::Append(now, Event::PeerRefused { peer, id, address, reason })]);
                }
            }
        }
    }
}

fn in_words(why: &DialFailure) -> String {
    match why {
        DialFailure::Unreachable(why) | DialFailure::Protocol(why) => why.clone(),
        DialFailure::Another(id) => format!("another box is there, {id}"),
        DialFailure::Ourselves => "that is this box".to_owned(),
        DialFailure::Blocked => "it does not want this box".to_owned(),
    }
}
