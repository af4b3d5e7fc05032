//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), as far as a record needs them: one section, one interface,
//! packets. Called by `record`. Own code since the one writer in Rust, pcap-file, has had no stable release since 2022.

use super::packets::{Direction, Packet};
use std::time::SystemTime;

/// Section Header Block; Interface Description Block; Enhanced Packet Block.
const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Packets begin with their IP header (LINKTYPE_RAW of the tcpdump registry).
const LINKTYPE_RAW: u16 = 101;
/// Options: of an interface its name and the resolution of times, of a packet a comment and its flags; the last one.
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const COMMENT: u16 = 1;
const EPB_FLAGS: u16 = 2;
const END: u16 = 0;

/// The beginning of a file.
pub(super) fn head(interface: &str) -> Vec<u8> {
    let mut section = Vec::new();
    section.extend_from_slice(&0x1A2B_3C4D_u32.to_le_bytes()); // byte order
    section.extend_from_slice(&1_u16.to_le_bytes()); // version 1.0
    section.extend_from_slice(&0_u16.to_le_bytes());
    section.extend_from_slice(&u64::MAX.to_le_bytes()); // the section's length is not known
    option(&mut section, 4, b"netkitctl wire"); // shb_userappl
    option(&mut section, END, b"");
    let mut body = Vec::new();
    body.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
    body.extend_from_slice(&[0; 6]); // reserved; no limit on a packet's length
    option(&mut body, IF_NAME, interface.as_bytes());
    option(&mut body, IF_TSRESOL, &[9]); // nanoseconds
    option(&mut body, END, b"");
    [wrapped(SECTION, &section), wrapped(INTERFACE, &body)].concat()
}

/// A packet.
pub(super) fn block(packet: &Packet, at: SystemTime) -> Vec<u8> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).to_le_bytes();
    let length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = Vec::with_capacity(packet.bytes.len() + 64);
    body.extend_from_slice(&0_u32.to_le_bytes()); // the one interface
    body.extend_from_slice(&nanos[4..]);
    body.extend_from_slice(&nanos[..4]);
    body.extend_from_slice(&length);
    body.extend_from_slice(&length);
    body.extend_from_slice(&packet.bytes);
    pad(&mut body);
    if let Some(comment) = &packet.comment {
        option(&mut body, COMMENT, comment.as_bytes());
    }
    let direction: u32 = match packet.direction {
        Direction::In => 1,
        Direction::Out => 2,
    };
    option(&mut body, EPB_FLAGS, &direction.to_le_bytes());
    option(&mut body, END, b"");
    wrapped(PACKET, &body)
}

fn wrapped(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(1024)];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

/// To 32 bits: all that is written before is so already.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
