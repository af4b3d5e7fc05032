//! What peers are called here, and whom a name means. A name is a claim: alone it means a peer that somebody here knows,
//! and never a stranger beside it; `NAME~prefix` adds the start of the id.

use super::{Peer, Peers};
use crate::config::HostPort;
use netkit_proto::ids::PeerId;
use netkit_proto::name::{Destination, PeerName};
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::code::{Error, Kind};
use std::net::Ipv6Addr;

/// The chat port where none is given.
const PORT: u16 = 7890;

/// A host as it is kept: with its port, an IPv6 address in brackets.
pub(super) fn of_host(host: &HostPort) -> String {
    let port = host.port.unwrap_or(PORT);
    match host.host.parse::<Ipv6Addr>() {
        Ok(v6) => format!("[{v6}]:{port}"),
        Err(_) => format!("{}:{port}", host.host),
    }
}

/// Host and port of what [`of_host`] made.
pub(super) fn host_and_port(host: &str) -> Option<(String, u16)> {
    let (name, port) = host.rsplit_once(':')?;
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    Some((bare.to_owned(), port.parse().ok()?))
}

fn is_known(peer: &Peer) -> bool {
    peer.row.trust >= Trust::Known
}

impl Peers {
    fn called<'a>(&'a self, name: &PeerName) -> impl Iterator<Item = &'a Peer> {
        self.names.get(name).into_iter().flatten().filter_map(|id| self.peers.get(id))
    }

    /// What a peer is called here: its name where that means it alone, else with the start of its id.
    pub(super) fn label(&self, id: PeerId) -> String {
        let Some(peer) = self.peers.get(&id) else { return id.to_string() };
        let name = &peer.row.name;
        let known = self.called(name).filter(|other| is_known(other)).count();
        let is_enough = *name != self.introduction.borrow().name
            && match known {
                0 => self.called(name).count() == 1,
                1 => is_known(peer),
                _ => false,
            };
        if is_enough { name.to_string() } else { format!("{name}~{}", id.short()) }
    }

    /// The peer that calls itself as one that somebody here knows, but is another.
    pub(super) fn namesake(&self, id: PeerId, name: &PeerName) -> Option<PeerId> {
        self.called(name).find(|other| is_known(other) && other.row.id != id).map(|other| other.row.id)
    }

    /// Whom a person means.
    ///
    /// # Errors
    /// That nobody is called so, or several are.
    pub(in crate::hub) fn find(&self, text: &str) -> Result<PeerId, Error> {
        if let Ok(id) = text.parse::<PeerId>() {
            return if self.peers.contains_key(&id) { Ok(id) } else { Err(nobody(text)) };
        }
        match text.parse() {
            Ok(Destination::Peer { name, id_prefix }) => self.meant(&name, id_prefix.as_deref()),
            Ok(_) => Err(Error::new(Kind::InvalidParams, format_args!("{text:?} is not one peer"))
                .hint("a peer is written NAME, NAME~ID or as its whole id")),
            Err(why) => Err(Error::new(Kind::InvalidParams, format_args!("{text:?} is no peer: {why}"))),
        }
    }

    /// The peers that a share is for, as ids: who takes a name later, or is renamed, changes nothing. A whole id may be of a
    /// peer that was never seen; a name must be of one that somebody here knows, since a stranger may call itself anything.
    ///
    /// # Errors
    /// As [`Peers::find`].
    pub(in crate::hub) fn audience(&self, texts: &[String]) -> Result<Vec<String>, Error> {
        let id = |text: &String| {
            if let Ok(id) = text.parse::<PeerId>() {
                return Ok(id.to_string());
            }
            let id = self.find(text)?;
            if self.peers.get(&id).is_some_and(is_known) {
                return Ok(id.to_string());
            }
            let why = format!("nobody here knows a peer that is called {text}");
            Err(Error::new(Kind::NotFound, why)
                .hint("netkitctl peers trust makes it known; or give its whole id, as netkitctl peers show me prints it there"))
        };
        texts.iter().map(id).collect()
    }

    /// Whom a name means, and the start of an id where one is given.
    ///
    /// # Errors
    /// As [`Peers::find`].
    pub(super) fn meant(&self, name: &PeerName, prefix: Option<&str>) -> Result<PeerId, Error> {
        let fits = |peer: &&Peer| prefix.is_none_or(|prefix| peer.row.id.starts_with(prefix));
        let fitting = || self.called(name).filter(fits);
        let is_anybody_known = fitting().any(is_known);
        let mut candidates = fitting().filter(|peer| is_known(peer) == is_anybody_known);
        match (candidates.next(), candidates.next()) {
            (Some(peer), None) => Ok(peer.row.id),
            (None, _) => {
                let text = prefix.map_or_else(|| name.to_string(), |prefix| format!("{name}~{prefix}"));
                Err(nobody(&text))
            }
            (Some(one), Some(other)) => {
                let candidates = [one, other].into_iter().chain(candidates);
                let all: Vec<String> =
                    candidates.map(|peer| format!("{name}~{}", peer.row.id.short())).collect();
                let why = format!("several peers are called {name}: {}", all.join(", "));
                Err(Error::new(Kind::Refused, why).hint("name one of them so"))
            }
        }
    }
}

fn nobody(text: &str) -> Error {
    Error::new(Kind::NotFound, format_args!("no peer is called {text}"))
        .hint("netkitctl peers shows who was seen; netkitctl peers add HOST asks a host; a plain peer is udp://HOST:PORT")
}
