//! The peer protocol `netkit/1`: what two netkit boxes say to each other on one bidirectional QUIC stream (RFC 9000,
//! section 2), which the one that dialled opens. Sans-IO: bytes in, frames out.
//!
//! A frame is its length (u32, big-endian, at most [`limits::FRAME`]) and that many bytes of JSON, an object whose member
//! `frame` says what it is. Unknown frames and members are ignored: that is the upgrade path.
//!
//! Both begin with `hello`, the dialler first, and then tell with `stored` up to which message they have what the other
//! one sent before. `say` numbers messages for each receiver; numbers begin above 0 and rise, by however much, to
//! [`limits::NUMBER`] at most, as do epochs: whoever says a higher one is no netkit box.
//! `stored` with `n` says that every message up to `n` is on the receiver's disk, but for those that it refused before
//! on this connection: it refuses all of a connection or none. Whoever is not told `stored` sends again on the next
//! connection, and the receiver passes over what it has.
//!
//! Not here: who may speak (the hub decides), retransmission, encryption and proof of identity (QUIC and TLS 1.3 do that).

use crate::ids::Epoch;
use crate::limits;
use crate::name::PeerName;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The protocol's name in TLS (RFC 7301).
pub const ALPN: &[u8] = b"netkit/1";
/// The version that `hello` names.
pub const VERSION: u32 = 1;

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum Frame {
    /// The first one, each way.
    Hello(Hello),
    /// The rooms that the sender is in now.
    Rooms {
        /// All of them.
        rooms: Vec<PeerName>,
    },
    /// A message.
    Say(Say),
    /// Every message up to `n` is stored here.
    Stored {
        /// 0: none yet.
        n: u64,
    },
    /// This message is not taken, and none of this connection will be.
    Refused {
        /// The message's number.
        n: u64,
        /// Why.
        code: RefusalCode,
    },
    /// Who has this content?
    Have {
        /// Its BLAKE3 hash, in hexadecimal digits.
        hash: String,
    },
    /// Whether it is here.
    Has {
        /// See [`Frame::Have`].
        hash: String,
        /// There is a file of that content that you may have.
        has: bool,
    },
    /// Of a newer netkitd.
    #[serde(other)]
    Unknown,
}

/// How a box introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it calls itself: a claim.
    pub name: PeerName,
    /// See [`VERSION`].
    pub version: u32,
    /// What it can do beyond the version's least.
    #[serde(default)]
    pub features: Vec<String>,
    /// Another number at each start of the program.
    pub instance: u64,
    /// Where it serves files; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_port: Option<u16>,
    /// The rooms that it is in.
    #[serde(default)]
    pub rooms: Vec<PeerName>,
    /// Which log the numbers of its messages belong to: with another one they begin anew.
    pub epoch: Epoch,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// Its number on the way from this sender to this receiver.
    pub n: u64,
    /// The room it was sent to; `all`: to everybody the sender knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<PeerName>,
    /// At most [`limits::TEXT`] bytes.
    pub text: String,
    /// When the sender queued it, by its clock.
    pub sent_at: Timestamp,
}

/// Why messages are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The receiver takes messages only of peers that it knows better.
    NotAccepted,
    /// Of a newer netkitd.
    #[serde(other)]
    Other,
}

/// Why what came is not the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is more than is allowed.
    #[error("a frame of {0} bytes, at most {max} are allowed", max = limits::FRAME)]
    TooLong(usize),
    /// Not JSON, or not of the form.
    #[error("a frame that can't be read: {0}")]
    Malformed(String),
    /// More rooms, features or text than is allowed.
    #[error("a frame with too many {0}")]
    TooMany(&'static str),
    /// A number that no netkitd gives.
    #[error("a frame with a number above {max}: {0}", max = limits::NUMBER)]
    TooHigh(u64),
}

/// Appends a frame to `out`.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    // An object of strings, numbers and lists always can be written, and a Vec takes it.
    if serde_json::to_writer(&mut *out, frame).is_err() {
        out.truncate(start);
        return;
    }
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

/// Makes frames of the bytes of a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Decoder {
    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame that is complete.
    ///
    /// # Errors
    /// See [`FrameError`]: nothing that follows can be read.
    pub fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            // A burst must not leave its memory to a connection that idles for days.
            self.buffer.shrink_to(limits::DECODER_KEPT);
        }
        let rest = &self.buffer[self.at..];
        let Some((head, body)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if len > limits::FRAME {
            return Err(FrameError::TooLong(len));
        }
        let Some(body) = body.get(..len) else { return Ok(None) };
        let frame = parse(body).map_err(|e| FrameError::Malformed(e.to_string()))?;
        self.at += 4 + len;
        check(&frame)?;
        Ok(Some(frame))
    }
}

/// A message is known by its first look and read as one: where it is one of many, serde holds all members aside until it
/// knows which, and that took twice as long.
fn parse(body: &[u8]) -> serde_json::Result<Frame> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        frame: Cow<'a, str>,
    }
    match serde_json::from_slice(body)? {
        Kind { frame } if frame == "say" => serde_json::from_slice(body).map(Frame::Say),
        _ => serde_json::from_slice(body),
    }
}

fn check(frame: &Frame) -> Result<(), FrameError> {
    match frame {
        Frame::Hello(hello) if hello.features.len() > limits::FEATURES => {
            Err(FrameError::TooMany("features"))
        }
        Frame::Hello(Hello { rooms, .. }) | Frame::Rooms { rooms } if rooms.len() > limits::ROOMS => {
            Err(FrameError::TooMany("rooms"))
        }
        Frame::Say(say) if say.text.len() > limits::TEXT => Err(FrameError::TooMany("bytes of text")),
        Frame::Say(Say { n, .. })
        | Frame::Stored { n }
        | Frame::Refused { n, .. }
        | Frame::Hello(Hello { epoch: Epoch(n), .. })
            if *n > limits::NUMBER =>
        {
            Err(FrameError::TooHigh(*n))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            name: "bob".parse().unwrap(),
            version: VERSION,
            features: vec!["x".into()],
            instance: u64::MAX,
            file_port: Some(7891),
            rooms: vec!["ops".parse().unwrap()],
            epoch: Epoch(7),
        }
    }

    fn say(text: &str) -> Frame {
        Frame::Say(Say { n: 5, room: None, text: text.into(), sent_at: Timestamp(1_800_000_000_000) })
    }

    fn raw(json: &str) -> Vec<u8> {
        [&u32::try_from(json.len()).unwrap().to_be_bytes(), json.as_bytes()].concat()
    }

    #[test]
    fn frames_come_back_however_the_stream_is_cut() {
        let frames = [
            Frame::Hello(hello()),
            Frame::Rooms { rooms: vec![] },
            say("a \"line\"\n你好"),
            Frame::Stored { n: 0 },
            Frame::Refused { n: 9, code: RefusalCode::NotAccepted },
            Frame::Have { hash: "ab".into() },
            Frame::Has { hash: "ab".into(), has: true },
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| encode(frame, &mut bytes));
        for cut in [1, 2, 3, 5, 7, 64, 1000] {
            let (mut decoder, mut got) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.frame().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames, "{cut}");
        }
    }

    #[test]
    fn the_longest_text_fits_however_it_is_escaped() {
        let mut bytes = Vec::new();
        encode(&say(&"\u{1}".repeat(limits::TEXT)), &mut bytes);
        assert!(bytes.len() < limits::FRAME, "{}", bytes.len());
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        assert!(matches!(decoder.frame(), Ok(Some(Frame::Say(_)))));
    }

    #[test]
    fn what_a_newer_netkitd_says_is_passed_over() {
        let mut decoder = Decoder::default();
        decoder.push(&raw(r#"{"frame":"dance","steps":3}"#));
        decoder.push(&raw(r#"{"frame":"stored","n":4,"more":true}"#));
        decoder.push(&raw(r#"{"frame":"refused","n":4,"code":"because"}"#));
        assert_eq!(decoder.frame(), Ok(Some(Frame::Unknown)));
        assert_eq!(decoder.frame(), Ok(Some(Frame::Stored { n: 4 })));
        assert_eq!(decoder.frame(), Ok(Some(Frame::Refused { n: 4, code: RefusalCode::Other })));
        assert_eq!(decoder.frame(), Ok(None));
    }

    #[test]
    fn a_message_is_one_however_its_members_stand() {
        let mut decoder = Decoder::default();
        decoder.push(&raw(
            r#"{"new":[1],"text":"a","n":5,"sent_at":"2027-01-15T08:00:00.000Z","frame":"s\u0061y"}"#,
        ));
        assert_eq!(decoder.frame().unwrap(), Some(say("a")));
    }

    #[test]
    fn numbers_have_an_end() {
        let decode = |frame: &Frame| {
            let (mut decoder, mut bytes) = (Decoder::default(), Vec::new());
            encode(frame, &mut bytes);
            decoder.push(&bytes);
            decoder.frame()
        };
        for n in [limits::NUMBER, limits::NUMBER + 1, u64::MAX] {
            for frame in [
                Frame::Say(Say { n, room: None, text: "x".into(), sent_at: Timestamp(0) }),
                Frame::Stored { n },
                Frame::Refused { n, code: RefusalCode::NotAccepted },
                Frame::Hello(Hello { epoch: Epoch(n), ..hello() }),
            ] {
                let expected =
                    if n > limits::NUMBER { Err(FrameError::TooHigh(n)) } else { Ok(Some(frame.clone())) };
                assert_eq!(decode(&frame), expected);
            }
        }
    }

    #[test]
    fn what_is_not_the_protocol_ends_it() {
        let rooms =
            format!(r#"{{"frame":"rooms","rooms":[{}]}}"#, vec![r#""r""#; limits::ROOMS + 1].join(","));
        let text = format!(
            r#"{{"frame":"say","n":1,"text":"{}","sent_at":"2026-01-01T00:00:00.000Z"}}"#,
            "x".repeat(limits::TEXT + 1)
        );
        for bytes in [
            (limits::FRAME as u32 + 1).to_be_bytes().to_vec(),
            raw("{}"),
            raw("no json"),
            raw(r#"{"frame":"stored"}"#),
            raw(r#"{"frame":"rooms","rooms":["a b"]}"#),
            raw("\u{ff}"),
            raw(&rooms),
            raw(&text),
        ] {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            assert!(decoder.frame().is_err(), "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
        }
    }
}
