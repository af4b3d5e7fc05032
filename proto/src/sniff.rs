//! Which language a datagram on the chat port speaks, told from its bytes. The socket asks this for each
//! datagram; nothing is decoded further here, and nothing is remembered.
//!
//! QUIC (RFC 9000) and plain text share one port. In order:
//! 1. a long header of version 1 or of version negotiation is QUIC (no text starts so);
//! 2. a short header whose connection id is one that we issued is QUIC;
//! 3. valid UTF-8 is a line;
//! 4. what may be a short header, from a source with a live QUIC connection, is QUIC (a stateless reset looks
//!    random, RFC 9000 section 10.3);
//! 5. printable GB18030 is a line;
//! 6. the rest is binary.

use crate::chat::plain::{Encoding, PlainEncoding, gb18030_is_printable};

/// Bytes of a connection id that we issue (quinn's hashed generator).
pub const CONNECTION_ID: usize = 8;
/// Shortest short-header packet with one of our connection ids: 1 + 8 + 1 (packet number) + payload and tag so
/// that header protection can be sampled (RFC 9001, section 5.4.2).
const SHORT_HEADER: usize = 22;
/// Shortest stateless reset (RFC 9000, section 10.3).
const STATELESS_RESET: usize = 21;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A packet for the QUIC endpoint.
    Quic,
    /// A plain line in this encoding ([`Encoding::Hex`] = neither text nor QUIC).
    Plain(Encoding),
}

/// Tells what `datagram` is. `issued` says whether a connection id is one of ours; `live` whether the source has
/// a live QUIC connection; both are asked only where the answer matters.
pub fn classify(
    datagram: &[u8],
    encoding: PlainEncoding,
    issued: impl FnOnce(&[u8; CONNECTION_ID]) -> bool,
    live: impl FnOnce() -> bool,
) -> Class {
    let first = datagram.first().copied().unwrap_or(0);
    if first >= 0xC0 && matches!(datagram.get(1..5), Some([0, 0, 0, 0 | 1])) {
        return Class::Quic;
    }
    let short_header = first & 0b1100_0000 == 0b0100_0000;
    if short_header
        && datagram.len() >= SHORT_HEADER
        && datagram.get(1..).and_then(|rest| rest.first_chunk()).is_some_and(issued)
    {
        return Class::Quic;
    }
    let utf8 = match encoding {
        PlainEncoding::Auto | PlainEncoding::Utf8 => std::str::from_utf8(datagram).is_ok(),
        PlainEncoding::Gb18030 => datagram.is_ascii(),
    };
    if utf8 {
        return Class::Plain(if encoding == PlainEncoding::Gb18030 {
            Encoding::Gb18030
        } else {
            Encoding::Utf8
        });
    }
    if short_header && datagram.len() >= STATELESS_RESET && live() {
        return Class::Quic;
    }
    if encoding != PlainEncoding::Utf8 && gb18030_is_printable(datagram) {
        return Class::Plain(Encoding::Gb18030);
    }
    Class::Plain(Encoding::Hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Class::{Plain, Quic};
    use PlainEncoding::{Auto, Gb18030, Utf8};

    /// An 8-byte connection id that the test says is ours.
    const OURS: &[u8; 8] = b"\x01\x02\x03\x04\x05\x06\x07\x08";

    fn short(id: &[u8], len: usize) -> Vec<u8> {
        let mut packet = vec![0x43];
        packet.extend_from_slice(id);
        packet.resize(len, 0xFF);
        packet
    }

    #[test]
    fn order_of_the_rules() {
        let initial = [b"\xC3\x00\x00\x00\x01".as_slice(), &[0xAA; 1195]].concat();
        let negotiation = b"\xFF\x00\x00\x00\x00\x08".to_vec();
        let version_2 = b"\xC3\x6B\x33\x43\xCF and more".to_vec();
        let gb = b"\xC4\xE3\xBA\xC3".to_vec(); // 你好
        let binary = vec![0x80, 0xFF, 0x00, 0x01];
        let text_like_a_short_header = b"Hello, this is a line of some length".to_vec();
        let ours_in_ascii = [b"C".as_slice(), OURS, b"a line of ascii text"].concat();
        #[rustfmt::skip]
        let table: &[(&str, Vec<u8>, PlainEncoding, bool, Class)] = &[
            ("a QUIC v1 initial",                    initial.clone(),       Auto,    false, Quic),
            ("... wins over any plain encoding",     initial,               Gb18030, false, Quic),
            ("version negotiation",                  negotiation,           Auto,    false, Quic),
            ("an unknown QUIC version",              version_2,             Auto,    false, Plain(Encoding::Hex)),
            ("the first byte of a long header",      b"\xC0\0\0\0\x01 and more".to_vec(), Auto, false, Quic),
            ("... of version negotiation",           b"\xC0\0\0\0\0 and more".to_vec(), Auto, false, Quic),
            ("... of version 2",                     b"\xC0\0\0\0\x02 and more".to_vec(), Auto, true, Plain(Encoding::Hex)),
            ("a first byte below it",                b"\xBF\0\0\0\x01 and more".to_vec(), Auto, true, Plain(Encoding::Hex)),
            ("... with version 0",                   b"\xBF\0\0\0\0 and more".to_vec(), Auto, true, Plain(Encoding::Hex)),
            ("the lowest that is no short header",   b"\x80\0\0\0\x01 and more".to_vec(), Auto, true, Plain(Encoding::Hex)),
            ("... with version 0",                   b"\x80\0\0\0\0 and more".to_vec(), Auto, true, Plain(Encoding::Hex)),
            ("a long header cut before its version", b"\xC3\x00\x00".to_vec(), Auto, true,  Plain(Encoding::Hex)),
            ("a short header with our id",           short(OURS, 22),       Auto,    false, Quic),
            ("... even if it is all ASCII",          ours_in_ascii,         Auto,    false, Quic),
            ("... one byte too short",               short(OURS, 21),       Auto,    false, Plain(Encoding::Hex)),
            ("a short header with a foreign id",     short(&[0xEE; 8], 40), Auto,    false, Plain(Encoding::Hex)),
            ("a reset from a live connection",       short(&[0xEE; 8], 21), Auto,    true,  Quic),
            ("... one byte too short",               short(&[0xEE; 8], 20), Auto,    true,  Plain(Encoding::Hex)),
            ("text like a short header",             text_like_a_short_header.clone(), Auto, false, Plain(Encoding::Utf8)),
            ("... also from a live connection",      text_like_a_short_header, Auto, true,  Plain(Encoding::Utf8)),
            ("UTF-8",                                "你好".as_bytes().to_vec(), Auto, true,  Plain(Encoding::Utf8)),
            ("UTF-8 with terminal escapes",          b"\x1b[2Jhi\x07".to_vec(), Auto, false, Plain(Encoding::Utf8)),
            ("GB18030",                              gb.clone(),            Auto,    false, Plain(Encoding::Gb18030)),
            ("... where only UTF-8 is text",         gb.clone(),            Utf8,    false, Plain(Encoding::Hex)),
            ("... where all is GB18030",             gb,                    Gb18030, false, Plain(Encoding::Gb18030)),
            ("ASCII where all is GB18030",           b"bye".to_vec(),       Gb18030, false, Plain(Encoding::Gb18030)),
            ("nothing at all",                       vec![],                Auto,    true,  Plain(Encoding::Utf8)),
            ("binary",                               binary,                Auto,    false, Plain(Encoding::Hex)),
            ("64 KiB of text",                       vec![b'a'; 65507],     Auto,    false, Plain(Encoding::Utf8)),
            ("64 KiB of binary",                     vec![0xFF; 65507],     Auto,    false, Plain(Encoding::Hex)),
        ];
        for (name, bytes, encoding, live, expected) in table {
            let class = classify(bytes, *encoding, |id| id == OURS, || *live);
            assert_eq!(class, *expected, "{name}: {:02x?}", &bytes[..bytes.len().min(24)]);
        }
    }

    #[test]
    fn predicates_are_asked_only_where_they_decide() {
        let unasked = |_: &[u8; 8]| panic!("asked for a connection id");
        let class = classify(b"\xE4\xBD\xA0", Auto, unasked, || panic!("asked for a live connection"));
        assert_eq!(class, Plain(Encoding::Utf8));
    }

    /// Each random short header of 41 bytes or more from a live connection is QUIC, never a chat line.
    #[test]
    fn no_random_short_header_from_a_live_connection_is_a_line() {
        let seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut state = seed;
        for round in 0..1_000_000 {
            let mut packet = [0u8; 48];
            for chunk in packet.chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
            }
            packet[0] = 0x40 | (packet[0] & 0x3F);
            let len = 41 + (round % 8);
            let class = classify(&packet[..len], Auto, |_| false, || true);
            assert_eq!(class, Quic, "seed {seed:#x}, round {round}");
        }
    }
}
