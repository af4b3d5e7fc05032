//! `peers.*` and `rooms.*`: who is there, who may what, and who hears what is said to a room.

use crate::ids::PeerId;
use crate::name::PeerName;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// How far a peer is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Nothing may come from it, and it is not linked.
    Blocked,
    /// It was seen; nobody here asked for it.
    #[default]
    New,
    /// Somebody here added it, or sent to it by name.
    Known,
    /// Somebody here compared its id.
    Trusted,
}

impl Trust {
    /// All of them.
    pub const ALL: [Trust; 4] = [Trust::Blocked, Trust::New, Trust::Known, Trust::Trusted];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Trust::Blocked => "blocked",
            Trust::New => "new",
            Trust::Known => "known",
            Trust::Trusted => "trusted",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trust {
    type Err = String;
    fn from_str(word: &str) -> Result<Trust, String> {
        let found = Trust::ALL.into_iter().find(|trust| trust.as_str() == word);
        found.ok_or_else(|| format!("{word:?} is no trust"))
    }
}

/// How an address of a peer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is linked from there now.
    Linked,
    /// `peers add`, or `discovery.peers`.
    Added,
    /// It announces itself by mDNS.
    Mdns,
    /// It was linked from there before.
    Before,
}

super::plain_data! {
    /// An address of a peer.
    PeerAddress {
        /// The address, with its chat port.
        address: SocketAddr,
        /// How it is known.
        how: How,
    }

    /// Another box.
    Peer {
        /// As destinations and events name it: its name, with `~` and the start of its id where the name alone is not
        /// enough.
        peer: String,
        /// What it calls itself: a claim.
        name: PeerName,
        /// Which box it is.
        id: PeerId,
        /// How far it is trusted.
        trust: Trust,
        /// Whether it is linked now.
        linked: bool,
        /// Since when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        linked_since: Option<Timestamp>,
        /// Whether it is linked, and for seconds has left unanswered what it was sent.
        #[serde(default)]
        silent: bool,
        /// Where it is.
        addresses: Vec<PeerAddress>,
        /// When something of it was heard last, on a link or as an announcement; to some ten seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Timestamp>,
        /// How long an answer of it takes, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rtt_ms: Option<f64>,
        /// Where it serves files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_port: Option<u16>,
        /// The rooms that it was in last.
        rooms: Vec<PeerName>,
        /// Messages that wait for it, or for its receipt.
        queued: u64,
        /// Why it could not be reached last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    }

    /// A host that is asked for a peer.
    PeerHost {
        /// As it was added.
        host: String,
        /// It stands in the configuration.
        configured: bool,
        /// Who was there first: nobody else is taken for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PeerId>,
        /// Why it could not be reached last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    }

    /// This box.
    Me {
        /// Its name.
        name: PeerName,
        /// Its id.
        id: PeerId,
        /// The rooms that it is in.
        rooms: Vec<PeerName>,
    }

    /// Parameters of `peers.list`.
    #[serde(deny_unknown_fields)]
    PeersList {
    }

    /// Answer of `peers.list`.
    PeerList {
        /// This box.
        me: Me,
        /// The others.
        peers: Vec<Peer>,
        /// Hosts that are asked for peers.
        hosts: Vec<PeerHost>,
    }

    /// Parameters of `peers.show`.
    #[serde(deny_unknown_fields)]
    PeersShow {
        /// `NAME`, `NAME~prefix` or the whole id.
        peer: String,
    }

    /// Parameters of `peers.add`.
    #[serde(deny_unknown_fields)]
    PeersAdd {
        /// `HOST` or `HOST:PORT`; without a port 7890.
        host: String,
    }

    /// Parameters of `peers.remove`.
    #[serde(deny_unknown_fields)]
    PeersRemove {
        /// As in [`PeersShow`], or a host that was added.
        peer: String,
    }

    /// Parameters of `peers.trust`.
    #[serde(deny_unknown_fields)]
    PeersTrust {
        /// As in [`PeersShow`].
        peer: String,
        /// The whole id as the operator compared it: must be the peer's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PeerId>,
    }

    /// Parameters of `peers.block`.
    #[serde(deny_unknown_fields)]
    PeersBlock {
        /// As in [`PeersShow`].
        peer: String,
    }

    /// Parameters of `rooms.list`.
    #[serde(deny_unknown_fields)]
    RoomsList {
    }

    /// A room.
    Room {
        /// Its name, without its `@`.
        name: PeerName,
        /// This box is in it.
        joined: bool,
        /// The known and trusted peers that are in it.
        members: Vec<String>,
    }

    /// Answer of `rooms.list`.
    RoomList {
        /// All rooms that somebody is in.
        rooms: Vec<Room>,
    }

    /// Parameters of `rooms.join`.
    #[serde(deny_unknown_fields)]
    RoomsJoin {
        /// The room, without its `@`.
        room: PeerName,
    }

    /// Parameters of `rooms.leave`.
    #[serde(deny_unknown_fields)]
    RoomsLeave {
        /// The room, without its `@`.
        room: PeerName,
    }
}
