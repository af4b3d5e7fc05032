//! Packets of a pcapng file: blocks are read by pcap-parser, headers by etherparse; what TCP sent twice counts once.
//! Called by `replay`.

use super::{Pick, Recorded};
use crate::cmd::wire::limits;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::pcapng::{Block, EnhancedPacketBlock, InterfaceDescriptionBlock, PcapNGReader};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, traits::PcapReaderIterator};
use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Streams whose place is remembered; with more than that of them at once, what is sent twice may come twice.
const STREAMS: usize = 4096;
/// Interfaces of a file.
const INTERFACES: usize = 256;
/// The option of a packet that says which way it went, and its two values.
const EPB_FLAGS: u16 = 2;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

pub(super) struct Packets<R: Read> {
    reader: PcapNGReader<R>,
    pick: Pick,
    interfaces: Vec<Interface>,
    is_big_endian: bool,
    streams: HashMap<(SocketAddr, SocketAddr), u32>,
}

#[derive(Clone, Copy)]
struct Interface {
    linktype: Linktype,
    /// Units a second.
    resolution: u64,
}

impl<R: Read> Packets<R> {
    pub(super) fn new(input: R, pick: Pick) -> Result<Packets<R>, String> {
        let reader =
            PcapNGReader::new(limits::BLOCK, input).map_err(|_| "it is no pcapng file".to_owned())?;
        Ok(Packets { reader, pick, interfaces: Vec::new(), is_big_endian: false, streams: HashMap::new() })
    }

    /// The next message. A file that was cut off ends there: a record may have been.
    ///
    /// # Errors
    /// A sentence that says what is broken.
    pub(super) fn next(&mut self) -> Result<Option<Recorded>, String> {
        loop {
            let (offset, found) = match self.reader.next() {
                Ok((offset, block)) => {
                    let mut state = State {
                        pick: self.pick,
                        interfaces: &mut self.interfaces,
                        is_big_endian: &mut self.is_big_endian,
                        streams: &mut self.streams,
                    };
                    (offset, state.on_block(&block)?)
                }
                Err(PcapError::Eof | PcapError::UnexpectedEof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => {
                    self.reader.refill().map_err(|_| "a block can't be read".to_owned())?;
                    continue;
                }
                Err(PcapError::BufferTooSmall) => {
                    return Err(format!("a block is larger than {} KiB", limits::BLOCK / 1024));
                }
                Err(_) => return Err("a block is broken".into()),
            };
            self.reader.consume(offset);
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

/// What blocks change, apart from the reader that they borrow from.
struct State<'a> {
    pick: Pick,
    interfaces: &'a mut Vec<Interface>,
    is_big_endian: &'a mut bool,
    streams: &'a mut HashMap<(SocketAddr, SocketAddr), u32>,
}

impl State<'_> {
    fn on_block(&mut self, block: &PcapBlockOwned<'_>) -> Result<Option<Recorded>, String> {
        match block {
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                *self.is_big_endian = section.big_endian();
                self.interfaces.clear();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => self.on_interface(interface)?,
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => return Ok(self.on_packet(packet)),
            _ => {}
        }
        Ok(None)
    }

    fn on_interface(&mut self, interface: &InterfaceDescriptionBlock<'_>) -> Result<(), String> {
        if self.interfaces.len() == INTERFACES {
            return Err(format!("it has more than {INTERFACES} interfaces"));
        }
        let resolution = interface.ts_resolution().filter(|&r| r > 0).unwrap_or(1_000_000);
        self.interfaces.push(Interface { linktype: interface.linktype, resolution });
        Ok(())
    }

    fn on_packet(&mut self, packet: &EnhancedPacketBlock<'_>) -> Option<Recorded> {
        let interface = *self.interfaces.get(usize::try_from(packet.if_id).ok()?)?;
        let sliced = match interface.linktype {
            Linktype::ETHERNET => SlicedPacket::from_ethernet(packet.packet_data()),
            Linktype::LINUX_SLL => SlicedPacket::from_linux_sll(packet.packet_data()),
            Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => SlicedPacket::from_ip(packet.packet_data()),
            _ => return None,
        };
        let sliced = sliced.ok().filter(|sliced| !sliced.is_ip_payload_fragmented())?;
        let (from, to): (IpAddr, IpAddr) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            Some(NetSlice::Ipv6(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            _ => return None,
        };
        let (from, to, payload, sequence) = match &sliced.transport {
            Some(TransportSlice::Udp(udp)) => (
                SocketAddr::new(from, udp.source_port()),
                SocketAddr::new(to, udp.destination_port()),
                udp.payload(),
                None,
            ),
            Some(TransportSlice::Tcp(tcp)) => (
                SocketAddr::new(from, tcp.source_port()),
                SocketAddr::new(to, tcp.destination_port()),
                tcp.payload(),
                Some((tcp.sequence_number(), tcp.syn())),
            ),
            _ => return None,
        };
        if !self.is_picked(packet, from) {
            return None;
        }
        let payload = match sequence {
            None => payload,
            Some((sequence, is_syn)) => self.news((from, to), sequence, is_syn, payload)?,
        };
        let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
        let nanos = u128::from(units) * 1_000_000_000 / u128::from(interface.resolution);
        Some(Recorded { at: Duration::from_nanos(u64::try_from(nanos).ok()?), bytes: payload.to_vec() })
    }

    fn is_picked(&self, packet: &EnhancedPacketBlock<'_>, from: SocketAddr) -> bool {
        let flags = packet.options.iter().find(|option| option.code.0 == EPB_FLAGS);
        let flags = flags.and_then(|option| <[u8; 4]>::try_from(option.as_bytes().ok()?).ok());
        let flags = flags.map(|flags| {
            if *self.is_big_endian { u32::from_be_bytes(flags) } else { u32::from_le_bytes(flags) }
        });
        let direction = flags.map(|flags| flags & 3);
        match self.pick {
            Pick::Sent => direction == Some(OUTBOUND),
            Pick::Received => direction == Some(INBOUND),
            Pick::From(..) => self.pick.takes(from),
        }
    }

    /// What of a segment was not there before; nothing where all was.
    fn news<'a>(
        &mut self,
        stream: (SocketAddr, SocketAddr),
        sequence: u32,
        is_syn: bool,
        payload: &'a [u8],
    ) -> Option<&'a [u8]> {
        if self.streams.len() >= STREAMS && !self.streams.contains_key(&stream) {
            self.streams.clear();
        }
        if is_syn {
            self.streams.insert(stream, sequence.wrapping_add(1));
        }
        if payload.is_empty() {
            return None;
        }
        let expected = self.streams.get(&stream).copied().unwrap_or(sequence);
        // How much of it is known, modulo 2^32; a gap counts as nothing known.
        let known =
            usize::try_from(expected.wrapping_sub(sequence).cast_signed().max(0)).unwrap_or(usize::MAX);
        let news = payload.get(known..).filter(|news| !news.is_empty())?;
        let length = u32::try_from(payload.len()).unwrap_or_default();
        self.streams.insert(stream, sequence.wrapping_add(length));
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::wire::record::tests::sample;

    fn read(file: &[u8], pick: Pick) -> Result<Vec<Recorded>, String> {
        let mut packets = Packets::new(file, pick)?;
        let mut found = Vec::new();
        while let Some(recorded) = packets.next()? {
            found.push(recorded);
        }
        Ok(found)
    }

    #[test]
    fn our_own_record_is_read_by_side_and_by_sender() {
        for (pick, expected) in [
            (Pick::Sent, &b"ask"[..]),
            (Pick::Received, b"answer"),
            (Pick::from("10.0.0.9").unwrap(), b"answer"),
            (Pick::from("10.0.0.1:4000").unwrap(), b"ask"),
        ] {
            let expected = Recorded { at: Duration::from_secs(1), bytes: expected.to_vec() };
            assert_eq!(read(&sample(), pick), Ok(vec![expected]), "{pick:?}");
        }
        assert_eq!(read(&sample(), Pick::from("10.0.0.9:503").unwrap()), Ok(vec![]));
    }

    #[test]
    fn a_broken_file_ends_somehow() {
        let file = sample();
        for length in 0..file.len() {
            let _ = read(&file[..length], Pick::Sent); // all that counts is that it ends
        }
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut file = file.clone();
                file[at] = value;
                let _ = read(&file, Pick::Sent);
            }
        }
    }

    #[test]
    fn what_tcp_sent_twice_counts_once() {
        let mut state = State {
            pick: Pick::Sent,
            interfaces: &mut Vec::new(),
            is_big_endian: &mut false,
            streams: &mut HashMap::new(),
        };
        let stream = (SocketAddr::from(([1, 1, 1, 1], 1)), SocketAddr::from(([2, 2, 2, 2], 2)));
        let start = u32::MAX - 2;
        assert_eq!(state.news(stream, start, true, b""), None);
        assert_eq!(state.news(stream, start.wrapping_add(1), false, b"abcd"), Some(&b"abcd"[..]));
        assert_eq!(state.news(stream, start.wrapping_add(1), false, b"abcd"), None, "again");
        assert_eq!(state.news(stream, start.wrapping_add(3), false, b"cdef"), Some(&b"ef"[..]), "in part");
        assert_eq!(
            state.news(stream, start.wrapping_add(4), false, b"d"),
            None,
            "late, and it moves nothing back"
        );
        assert_eq!(state.news(stream, start.wrapping_add(7), false, b"g"), Some(&b"g"[..]));
        assert_eq!(state.news(stream, start.wrapping_add(20), false, b"z"), Some(&b"z"[..]), "behind a gap");
    }
}
