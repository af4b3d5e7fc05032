//! What is known of a peer, in words: for `list`, `show`, `add` and `wait`. Asks nobody and prints nothing.

use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::{How, Peer, Trust};
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;

/// The chat port where none is given.
const PORT: u16 = 7890;
/// Characters of an id that stand together where people compare it.
const GROUP: usize = 4;

/// An address as `peers add` takes it: without the port that is the usual one.
pub(super) fn address(address: SocketAddr) -> String {
    if address.port() == PORT { address.ip().to_canonical().to_string() } else { address.to_string() }
}

/// How an address is known.
pub(super) fn how(how: How) -> &'static str {
    match how {
        How::Linked => "linked",
        How::Added => "added",
        How::Mdns => "mdns",
        How::Before => "before",
    }
}

/// How long ago something was, in its largest unit.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.0.saturating_sub(at.0).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A round trip.
pub(super) fn round_trip(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// A whole id in groups, which people can compare; `peers trust` takes it so.
pub(super) fn grouped(id: PeerId) -> String {
    let text: Vec<char> = id.to_string().chars().collect();
    let groups: Vec<String> = text.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// An id as people type it: in groups, with dashes, in capitals.
///
/// # Errors
/// What an id looks like.
pub(super) fn parse_id(text: &str) -> Result<PeerId, String> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    bare.parse().map_err(|e: netkit_proto::ids::NoPeerId| e.to_string())
}

/// Why a peer is not linked.
pub(super) fn why_not(peer: &Peer) -> String {
    if peer.trust == Trust::Blocked {
        return "it is blocked here".to_owned();
    }
    if let Some(trouble) = &peer.trouble {
        return trouble.clone();
    }
    match (peer.addresses.first(), peer.trust) {
        (None, _) => "no address of it is known".to_owned(),
        (Some(_), Trust::New) => "nobody here made it known".to_owned(),
        (Some(at), _) => format!("{} does not answer yet", at.address),
    }
}
