//! Whose a datagram is: QUIC's, a plain line, or nobody's. The chat loop asks for each one; the bytes are judged by
//! `proto::sniff`, which needs to know the connection ids that we gave away and who has a connection.

use super::live::Live;
use super::socket::Received;
use crate::config::{Accept, Chat};
use crate::hub::handle::Arrived;
use netkit_proto::chat::plain::{Encoding, Line};
use netkit_proto::sniff::{CONNECTION_ID, Class, classify};
use quinn_proto::{ConnectionId, ConnectionIdGenerator as _, HashedConnectionIdGenerator};
use std::sync::Arc;

/// What is to become of a datagram.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is the endpoint's.
    Quic,
    /// It is a line.
    Line(Arrived),
    /// It is dropped: from outside `chat.allow`.
    NotAllowed,
    /// It is dropped: a line, and such are not taken.
    NotAccepted,
}

/// What tells QUIC's packets.
pub(super) struct Marks {
    issued: HashedConnectionIdGenerator,
    live: Arc<Live>,
}

impl Marks {
    /// `cid_key` is the one that the endpoint makes its connection ids with.
    pub(super) fn new(cid_key: u64, live: Arc<Live>) -> Marks {
        Marks { issued: HashedConnectionIdGenerator::from_key(cid_key), live }
    }

    fn is_issued(&self, id: &[u8; CONNECTION_ID]) -> bool {
        self.issued.validate(&ConnectionId::new(id)).is_ok()
    }
}

/// Judges a datagram; without `marks` there is no QUIC.
pub(super) fn judge(chat: &Chat, marks: Option<&Marks>, received: &Received<'_>) -> Verdict {
    // Port 0 can't be answered, and nothing honest sends from it.
    if !chat.allow.contains(received.from.ip()) || received.from.port() == 0 {
        return Verdict::NotAllowed;
    }
    let issued = |id: &[u8; CONNECTION_ID]| marks.is_some_and(|marks| marks.is_issued(id));
    let live = || marks.is_some_and(|marks| marks.live.contains(received.from));
    let encoding = match classify(received.bytes, chat.plain_encoding, issued, live) {
        Class::Plain(encoding) => encoding,
        Class::Quic if marks.is_some() => return Verdict::Quic,
        // Nobody could have a connection. Recorded like any other binary datagram.
        Class::Quic => Encoding::Hex,
    };
    // A plain peer proves nothing, so only `anyone` takes its lines.
    if !chat.plain || chat.accept != Accept::Anyone {
        return Verdict::NotAccepted;
    }
    let line = Line::decode(received.bytes, encoding);
    Verdict::Line(Arrived { from: received.from, local: received.local, line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::chat::plain::PlainEncoding;
    use std::net::SocketAddr;

    const KEY: u64 = 7;

    fn received<'a>(from: &str, bytes: &'a [u8]) -> Received<'a> {
        let from: SocketAddr = from.parse().unwrap();
        Received { from, local: None, bytes, source: from, destination: None, ecn: None }
    }

    fn short(id: &[u8], len: usize, filler: u8) -> Vec<u8> {
        let mut packet = [&[0x4A], id].concat();
        packet.resize(len, filler);
        packet
    }

    /// `quic`, the encoding of a line, or why it is dropped.
    fn verdict(config: &Chat, marks: Option<&Marks>, from: &str, bytes: &[u8]) -> String {
        match judge(config, marks, &received(from, bytes)) {
            Verdict::Quic => "quic".into(),
            Verdict::Line(arrived) => format!("{:?}", arrived.line.encoding).to_lowercase(),
            Verdict::NotAllowed => "not allowed".into(),
            Verdict::NotAccepted => "not accepted".into(),
        }
    }

    #[test]
    fn each_datagram_goes_to_whose_it_is() {
        let live = Arc::new(Live::default());
        let marks = Marks::new(KEY, Arc::clone(&live));
        let _entry = live.enter("10.0.0.1:7890".parse().unwrap());
        let ours = HashedConnectionIdGenerator::from_key(KEY).generate_cid();
        let foreign = HashedConnectionIdGenerator::from_key(KEY + 1).generate_cid();
        let config = Chat::default();
        let initial = [&b"\xC3\x00\x00\x00\x01"[..], &[0; 1195]].concat();
        let negotiation = b"\xC3\x00\x00\x00\x00\x08aaaabbbb\x00\x00\x00\x01".to_vec();
        // A stateless reset is random behind its first byte.
        let reset = short(&[0xEE, 0xFF, 0x80, 0x00, 0x91, 0xFE, 0x03, 0xC0], 40, 0xF5);
        let (known, other) = ("10.0.0.1:7890", "10.0.0.2:7890");
        #[rustfmt::skip]
        let table: &[(&str, &str, Vec<u8>, &str, &str)] = &[
            ("a handshake's first packet",         other, initial,                  "quic", "hex"),
            ("version negotiation",                other, negotiation,              "quic", "hex"),
            ("another version",                    other, b"\xC3\x6B\x33\x43\xCF ".to_vec(), "hex", "hex"),
            ("a packet with our id",               other, short(&ours, 22, 0xFF),   "quic", "hex"),
            ("... from a live address",            known, short(&ours, 1200, 0xFF), "quic", "hex"),
            ("... too short",                      other, short(&ours, 20, 0xFF),   "hex",  "hex"),
            ("a packet with another's id",         other, short(&foreign, 40, 0xFF), "hex", "hex"),
            ("a reset by a live peer",             known, reset.clone(),            "quic", "hex"),
            ("... from another port of its",       "10.0.0.1:7", reset.clone(),     "hex",  "hex"),
            ("... by nobody we know",              other, reset,                    "hex",  "hex"),
            ("a line",                             other, b"hello".to_vec(),        "utf8", "utf8"),
            ("... of a live peer",                 known, b"Just a line that is long enough".to_vec(), "utf8", "utf8"),
            ("... in GB18030",                     other, b"\xC4\xE3\xBA\xC3".to_vec(), "gb18030", "gb18030"),
            ("... of a live peer, in GB18030",     known, b"\xC4\xE3\xBA\xC3, netkit and all the others".to_vec(), "gb18030", "gb18030"),
            ("binary",                             known, b"\x80\xFF\x00".to_vec(), "hex",  "hex"),
            ("nothing",                            known, vec![],                   "utf8", "utf8"),
            ("64 KiB of text",                     known, vec![b'a'; 65507],        "utf8", "utf8"),
            ("from outside",                       "192.0.2.1:7890", b"hello".to_vec(), "not allowed", "not allowed"),
            ("a packet with our id from outside",  "192.0.2.1:7890", short(&ours, 40, 0xFF), "not allowed", "not allowed"),
            ("port 0",                             "10.0.0.1:0", b"hello".to_vec(), "not allowed", "not allowed"),
        ];
        for (what, from, bytes, with, without) in table {
            assert_eq!(verdict(&config, Some(&marks), from, bytes), *with, "{what}");
            assert_eq!(verdict(&config, None, from, bytes), *without, "{what}, where nobody can connect");
        }
    }

    #[test]
    fn closing_the_plain_face_leaves_quic_open() {
        let marks = Marks::new(KEY, Arc::default());
        let ours = HashedConnectionIdGenerator::from_key(KEY).generate_cid();
        let from = "10.0.0.1:7890";
        let changes: [fn(&mut Chat); 2] =
            [|config| config.plain = false, |config| config.accept = Accept::Known];
        for change in changes {
            let mut config = Chat::default();
            change(&mut config);
            assert_eq!(verdict(&config, Some(&marks), from, b"hello"), "not accepted");
            assert_eq!(verdict(&config, Some(&marks), from, &short(&ours, 40, 1)), "quic");
        }
        let config = Chat { plain_encoding: PlainEncoding::Gb18030, ..Chat::default() };
        assert_eq!(verdict(&config, Some(&marks), from, &short(&ours, 40, 1)), "quic");
    }
}
