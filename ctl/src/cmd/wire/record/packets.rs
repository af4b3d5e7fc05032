//! Entries as the IP packets that would have carried them: headers with right lengths, checksums and sequence numbers,
//! made by etherparse. What went over a Unix socket is given addresses of 127.0.0.0/8, and its path as a comment.
//! Called by `record`.

use crate::cmd::wire::entry::{Entry, What};
use crate::cmd::wire::peers::Facts;
use crate::cmd::wire::socket::{Family, inet_of};
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// A packet for the record.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) direction: Direction,
    pub(super) bytes: Vec<u8>,
    pub(super) comment: Option<String>,
}

/// What a TCP segment carries beside the headers of 20 bytes each.
const SEGMENT: usize = 65_535 - 40;
const TTL: u8 = 64;

/// Makes packets, with what it must remember of each stream.
pub(super) struct Packets {
    family: Family,
    streams: HashMap<u32, Stream>,
}

/// The next sequence number each way.
#[derive(Clone, Copy)]
struct Stream {
    ours: u32,
    theirs: u32,
}

/// A segment's flags beside ACK, which all but the first have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Syn,
    SynAck,
    Ack,
    Push,
    Fin,
    Reset,
}

impl Packets {
    pub(super) fn new(family: Family) -> Packets {
        Packets { family, streams: HashMap::new() }
    }

    /// The packets of an entry, in their order.
    pub(super) fn of(&mut self, entry: &Entry<'_>) -> Vec<Packet> {
        let ends = ends(entry.peer);
        let mut packets = if self.family.is_stream() {
            self.segments(entry, ends)
        } else {
            let (direction, payload) = match entry.what {
                What::Received { bytes, .. } => (Direction::In, bytes),
                What::Sent { bytes, .. } => (Direction::Out, bytes),
                What::Opened | What::Closed { .. } => return Vec::new(),
            };
            let (from, to) = directed(ends, direction);
            ip(from, to).map_or_else(Vec::new, |ip| {
                let mut bytes = Vec::new();
                let written = ip.udp(from.port(), to.port()).write(&mut bytes, payload);
                written.map_or_else(|_| Vec::new(), |()| vec![Packet { direction, bytes, comment: None }])
            })
        };
        if matches!(self.family, Family::Unix | Family::UnixDgram)
            && let Some(first) = packets.first_mut()
        {
            let local = crate::cmd::wire::socket::show_address(&entry.peer.local);
            first.comment =
                Some(format!("{}: we are {local}, the peer is {}", self.family.name(), entry.peer.name));
        }
        packets
    }

    fn segments(&mut self, entry: &Entry<'_>, ends: (SocketAddr, SocketAddr)) -> Vec<Packet> {
        let number = entry.peer.number;
        let mut packets = Vec::new();
        let mut stream = self.streams.get(&number).copied().unwrap_or(Stream { ours: 0, theirs: 0 });
        let mut add = |direction, flag, payload: &[u8]| {
            packets.extend(stream.segment(ends, direction, flag, payload));
        };
        match entry.what {
            What::Opened => {
                let (first, second) = if entry.peer.came {
                    (Direction::In, Direction::Out)
                } else {
                    (Direction::Out, Direction::In)
                };
                add(first, Flag::Syn, b"");
                add(second, Flag::SynAck, b"");
                add(first, Flag::Ack, b"");
            }
            What::Received { bytes, .. } => {
                bytes.chunks(SEGMENT).for_each(|part| add(Direction::In, Flag::Push, part))
            }
            What::Sent { bytes, .. } => {
                bytes.chunks(SEGMENT).for_each(|part| add(Direction::Out, Flag::Push, part))
            }
            What::Closed { trouble: Some(_) } => add(Direction::In, Flag::Reset, b""),
            What::Closed { trouble: None } => {
                add(Direction::In, Flag::Fin, b"");
                add(Direction::Out, Flag::Fin, b"");
                add(Direction::In, Flag::Ack, b"");
            }
        }
        if matches!(entry.what, What::Closed { .. }) {
            self.streams.remove(&number);
        } else {
            self.streams.insert(number, stream);
        }
        packets
    }
}

impl Stream {
    fn segment(
        &mut self,
        ends: (SocketAddr, SocketAddr),
        direction: Direction,
        flag: Flag,
        payload: &[u8],
    ) -> Option<Packet> {
        let (from, to) = directed(ends, direction);
        let (next, acknowledged) = match direction {
            Direction::In => (&mut self.theirs, self.ours),
            Direction::Out => (&mut self.ours, self.theirs),
        };
        let tcp = ip(from, to)?.tcp(from.port(), to.port(), *next, u16::MAX);
        let tcp = match flag {
            Flag::Syn => tcp.syn(),
            Flag::SynAck => tcp.syn().ack(acknowledged),
            Flag::Ack => tcp.ack(acknowledged),
            Flag::Push => tcp.psh().ack(acknowledged),
            Flag::Fin => tcp.fin().ack(acknowledged),
            Flag::Reset => tcp.rst().ack(acknowledged),
        };
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).ok()?;
        let occupies = u32::from(matches!(flag, Flag::Syn | Flag::SynAck | Flag::Fin));
        let length = u32::try_from(payload.len()).unwrap_or_default();
        *next = next.wrapping_add(length).wrapping_add(occupies); // RFC 9293, 3.4
        Some(Packet { direction, bytes, comment: None })
    }
}

fn directed(ends: (SocketAddr, SocketAddr), direction: Direction) -> (SocketAddr, SocketAddr) {
    match direction {
        Direction::In => (ends.1, ends.0),
        Direction::Out => ends,
    }
}

/// Our end and theirs. Both of one family; Unix sockets get made-up ones, each peer its own.
fn ends(peer: &Facts) -> (SocketAddr, SocketAddr) {
    let Some(theirs) = inet_of(&peer.address) else {
        let port = 1024 + u16::try_from(peer.number % 60_000).unwrap_or_default();
        return (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 2], port).into());
    };
    let ours = inet_of(&peer.local).unwrap_or(theirs);
    let ip = match (theirs.ip(), ours.ip()) {
        (IpAddr::V4(_), IpAddr::V4(ip)) => ip.into(),
        (IpAddr::V6(_), IpAddr::V6(ip)) => ip.into(),
        (IpAddr::V4(_), IpAddr::V6(_)) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        (IpAddr::V6(_), IpAddr::V4(_)) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    (SocketAddr::new(ip, ours.port()), theirs)
}

fn ip(from: SocketAddr, to: SocketAddr) -> Option<PacketBuilderStep<IpHeaders>> {
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Some(PacketBuilder::ipv4(from.octets(), to.octets(), TTL)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Some(PacketBuilder::ipv6(from.octets(), to.octets(), TTL)),
        _ => None,
    }
}
