//! What the hub and the peers' connections tell each other. A link is one connection to a peer, whose hello has come;
//! the chat port makes links and carries what is said on them, the hub decides who may have one and what is said.

pub use netkit_proto::chat::frame::{Hello, RefusalCode, Say};

use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::name::PeerName;
use std::net::SocketAddr;
use std::time::Duration;

/// A link: a number that is not used again while netkitd runs.
pub type LinkId = u64;

/// One attempt to reach a peer: as [`LinkId`].
pub type DialId = u64;

/// What every hello of ours says; a change of the rooms is told to all that are linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// What we are called.
    pub name: PeerName,
    /// See [`Hello::instance`].
    pub instance: u64,
    /// Where we serve files.
    pub file_port: Option<u16>,
    /// The rooms that we are in.
    pub rooms: Vec<PeerName>,
    /// Our log.
    pub epoch: Epoch,
}

/// What the chat port is to do with links.
#[derive(Debug)]
pub enum LinkOrder {
    /// Connect to one of these addresses, a few at a time; the first that answers, as `peer` where that is given, is
    /// kept. Ends with [`LinkReport::Up`] or [`LinkReport::DialFailed`].
    Dial {
        /// Which attempt this is.
        dial: DialId,
        /// Who must be there.
        peer: Option<PeerId>,
        /// A host whose addresses are to be looked up, and its chat port.
        host: Option<(String, u16)>,
        /// Where else.
        addresses: Vec<SocketAddr>,
    },
    /// Say these; that a link is down meanwhile is told by [`LinkReport::Down`].
    Say(LinkId, Vec<Say>),
    /// Tell that every message up to this number is stored.
    Stored(LinkId, u64),
    /// Tell that these messages are not taken.
    Refused(LinkId, Vec<u64>, RefusalCode),
    /// Ask whether the peer has a file of this content for us.
    Have(LinkId, BlockHash),
    /// Tell whether what the peer seeks is here.
    Has(LinkId, BlockHash, bool),
    /// End a link.
    Close(LinkId, Parting),
}

/// What the chat port tells of links.
#[derive(Debug)]
pub enum LinkReport {
    /// A peer is there, and proved to be this one.
    Up {
        /// The link.
        link: LinkId,
        /// Who it is.
        peer: PeerId,
        /// Where it is, an IPv4 address as such.
        address: SocketAddr,
        /// The attempt of ours that it answers; `None`: it dialled.
        dial: Option<DialId>,
        /// What it says of itself.
        hello: Hello,
    },
    /// It is in these rooms now.
    Rooms(LinkId, Vec<PeerName>),
    /// It says these, in their order.
    Said(LinkId, Vec<Say>),
    /// It has stored every message up to this number.
    Stored(LinkId, u64),
    /// It does not take a message.
    Refused(LinkId, u64, RefusalCode),
    /// It asks whether a file of this content is here.
    Have(LinkId, BlockHash),
    /// It has a file of this content for us.
    Has(LinkId, BlockHash),
    /// How long an answer takes, and where the peer is now; told now and then while something comes.
    Pulse(LinkId, Duration, SocketAddr),
    /// Nothing comes of the peer although it was said something: a new connection may reach it sooner than this one.
    Silent(LinkId),
    /// A link ended: why.
    Down(LinkId, Parting),
    /// Nobody was reached: why, by address, and who was found there instead.
    DialFailed {
        /// Which attempt.
        dial: DialId,
        /// What each address said.
        failures: Vec<(SocketAddr, DialFailure)>,
        /// Why the host has no address.
        unresolved: Option<String>,
    },
}

impl LinkReport {
    /// The link on which something came, where that is what it tells.
    pub(super) fn heard_on(&self) -> Option<LinkId> {
        match self {
            LinkReport::Rooms(link, _)
            | LinkReport::Said(link, _)
            | LinkReport::Stored(link, _)
            | LinkReport::Refused(link, ..)
            | LinkReport::Have(link, _)
            | LinkReport::Has(link, _)
            | LinkReport::Pulse(link, ..) => Some(*link),
            LinkReport::Up { .. }
            | LinkReport::Silent(_)
            | LinkReport::Down(..)
            | LinkReport::DialFailed { .. } => None,
        }
    }
}

/// Why an address was of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// No answer, or what the network says.
    Unreachable(String),
    /// Another box is there.
    Another(PeerId),
    /// It is ourselves.
    Ourselves,
    /// Whoever was meant is there, and does not want this box.
    Blocked,
    /// It does not speak the protocol, or ended it.
    Protocol(String),
}

/// Why a link ends: the application error codes of QUIC's CONNECTION_CLOSE (RFC 9000, section 19.19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// 0: the box stops, and may come back soon.
    Stopping,
    /// 1: another link between the same two is kept.
    Superseded,
    /// 2: this peer is not wanted.
    Blocked,
    /// 3: too many links, or too many of strangers.
    Busy,
    /// 4: what it said is not the protocol.
    Protocol(String),
    /// 5: what it may do has changed; a new link has the new rights.
    Renewed,
    /// It did not say why: it was idle too long, was started anew, or the network broke.
    Lost(String),
}

impl Parting {
    /// The code that says so.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Parting::Stopping | Parting::Lost(_) => 0,
            Parting::Superseded => 1,
            Parting::Blocked => 2,
            Parting::Busy => 3,
            Parting::Protocol(_) => 4,
            Parting::Renewed => 5,
        }
    }

    /// What a code says; `reason` is the peer's own words.
    #[must_use]
    pub fn from_code(code: u64, reason: String) -> Parting {
        match code {
            0 => Parting::Stopping,
            1 => Parting::Superseded,
            2 => Parting::Blocked,
            3 => Parting::Busy,
            4 => Parting::Protocol(reason),
            5 => Parting::Renewed,
            _ => Parting::Lost(reason),
        }
    }
}

/// What discovery tells. It proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A peer announces itself.
    Seen {
        /// Which box it says that it is.
        peer: PeerId,
        /// What it calls itself.
        name: PeerName,
        /// Where it is: all of its addresses that can be reached.
        addresses: Vec<SocketAddr>,
    },
    /// It says that it leaves, or its announcement was not renewed.
    Gone(PeerId),
}
