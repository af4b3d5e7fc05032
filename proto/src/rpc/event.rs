//! The entries of the log, as JSON: `{"seq":…,"at":…,"kind":…, …}`.
//!
//! What happens is an [`Event`]; numbered and timed it is a [`Record`]. netkitd writes an event's JSON once
//! ([`Event::to_body`]), keeps it, and hands it out again without looking inside ([`write_line`]).

use crate::chat::plain::Encoding;
use crate::ids::{PeerId, Seq};
use crate::rpc::call::{Failure, Trust};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind")]
pub enum Event {
    /// A message arrived.
    #[serde(rename = "message.received")]
    Received {
        /// Who sent it: `udp://ADDRESS:PORT` for a plain peer, else as destinations name it. Answers go there.
        peer: String,
        /// Which box sent it, where that is proved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PeerId>,
        /// How far it was trusted then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trust: Option<Trust>,
        /// The room it was sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
        /// Whether the sender proved who it is. A plain peer can't.
        verified: bool,
        /// How the text was encoded; `hex` = the message was not text and `text` is its bytes in hex.
        encoding: Encoding,
        /// The text without its final newline.
        text: String,
        /// Whether this ended the conversation.
        #[serde(default, skip_serializing_if = "is_false")]
        bye: bool,
    },
    /// A message of ours was committed and will be sent. Its `seq` is the message's id.
    #[serde(rename = "message.queued")]
    Queued {
        /// To whom: a peer, or `@room`.
        peer: String,
        /// To a room: the peers that it goes to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        to: Vec<String>,
        /// To which room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
        /// The text.
        text: String,
        /// Whether this ends the conversation.
        #[serde(default, skip_serializing_if = "is_false")]
        bye: bool,
        /// When it will be given up.
        expires: Timestamp,
    },
    /// A message of ours left this box. For a plain peer this is the last that is known of it.
    #[serde(rename = "message.sent")]
    Sent {
        /// The message's id.
        message: Seq,
        /// To whom.
        peer: String,
    },
    /// A peer has messages of ours on its disk.
    #[serde(rename = "message.delivered")]
    Delivered {
        /// The messages' ids.
        messages: Vec<Seq>,
        /// Who has them.
        peer: String,
    },
    /// A message of ours was given up.
    #[serde(rename = "message.expired")]
    Expired {
        /// The message's id.
        message: Seq,
        /// To whom it should have gone.
        peer: String,
        /// Whether it may have arrived all the same.
        maybe_delivered: bool,
    },
    /// A message of ours is refused: by this box, or by the peer.
    #[serde(rename = "message.refused")]
    Refused {
        /// The message's id.
        message: Seq,
        /// To whom it should have gone.
        peer: String,
        /// Why.
        reason: String,
        /// Whether it may have arrived all the same. Missing in older logs.
        #[serde(default)]
        maybe_delivered: bool,
    },
    /// A peer was seen for the first time.
    #[serde(rename = "peer.new")]
    PeerNew(PeerFacts),
    /// Somebody here wants to hear of a peer.
    #[serde(rename = "peer.known")]
    PeerKnown(PeerFacts),
    /// Somebody here compared a peer's id.
    #[serde(rename = "peer.trusted")]
    PeerTrusted(PeerFacts),
    /// Somebody here wants nothing of a peer.
    #[serde(rename = "peer.blocked")]
    PeerBlocked(PeerFacts),
    /// A peer was forgotten.
    #[serde(rename = "peer.removed")]
    PeerRemoved(PeerFacts),
    /// A box claims to be what another one is: it is not let in.
    #[serde(rename = "peer.refused")]
    PeerRefused {
        /// The peer that it is not.
        peer: String,
        /// Which box it is.
        id: PeerId,
        /// Where it is.
        address: SocketAddr,
        /// What it claims, and what to do about it.
        reason: String,
    },
    /// A download waits for its turn: it was added, resumed, or is to be tried again.
    #[serde(rename = "download.queued")]
    DownloadQueued {
        /// Its id.
        download: u64,
        /// Where it comes from.
        source: String,
        /// Where the file is meant to go.
        path: String,
    },
    /// A download has its turn.
    #[serde(rename = "download.active")]
    DownloadActive {
        /// Its id.
        download: u64,
        /// Bytes that were there already.
        bytes: u64,
    },
    /// What came of a download is of no use: it starts over.
    #[serde(rename = "download.restarted")]
    DownloadRestarted {
        /// Its id.
        download: u64,
        /// Bytes that are fetched again.
        lost: u64,
        /// Why.
        reason: String,
    },
    /// A download was paused.
    #[serde(rename = "download.paused")]
    DownloadPaused {
        /// Its id.
        download: u64,
    },
    /// A try failed; there will be another.
    #[serde(rename = "download.retry_wait")]
    DownloadRetryWait {
        /// Its id.
        download: u64,
        /// Why it failed.
        error: Failure,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// All bytes of a download are there and are being checked.
    #[serde(rename = "download.verifying")]
    DownloadVerifying {
        /// Its id.
        download: u64,
    },
    /// A file is complete under its name.
    #[serde(rename = "download.done")]
    DownloadDone {
        /// Its id.
        download: u64,
        /// Where it came from.
        source: String,
        /// Where the file is.
        path: String,
        /// Its size in bytes.
        bytes: u64,
        /// Whether the content was checked against a checksum.
        verified: bool,
        /// What `b3sum` prints for it.
        blake3: String,
    },
    /// A download was given up.
    #[serde(rename = "download.failed")]
    DownloadFailed {
        /// Its id.
        download: u64,
        /// Where it should have come from.
        source: String,
        /// Why.
        error: Failure,
    },
    /// Somebody did not want a download any more.
    #[serde(rename = "download.cancelled")]
    DownloadCancelled {
        /// Its id.
        download: u64,
    },
    /// A download was taken off the list.
    #[serde(rename = "download.removed")]
    DownloadRemoved {
        /// Its id.
        download: u64,
    },
    /// Events that a reader had not read yet are gone: retention removed them. Never stored; its `seq` is `to`.
    #[serde(rename = "gap")]
    Gap {
        /// The first number that is gone.
        from: Seq,
        /// The last number that is gone.
        to: Seq,
        /// How many are gone.
        lost: u64,
    },
    /// Something that a newer netkitd tells of.
    #[serde(other, rename = "other")]
    Other,
}

/// Which peer an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerFacts {
    /// As destinations name it.
    pub peer: String,
    /// Which box it is.
    pub id: PeerId,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What events are about: the first word of their kinds. A topic is a kind, known or of a newer netkitd, or its first
/// words.
pub const NOUNS: [&str; 3] = ["message", "download", "peer"];

/// Bytes that most events fit into.
const MOST_BODIES: usize = 512;

impl Event {
    /// The event's JSON object, as it is stored.
    #[must_use]
    pub fn to_body(&self) -> Box<str> {
        let mut body = Vec::with_capacity(MOST_BODIES);
        // An object of strings, numbers and booleans always can be written.
        let written = serde_json::to_writer(&mut body, self).ok().and_then(|()| str::from_utf8(&body).ok());
        written.unwrap_or(r#"{"kind":"other"}"#).into() // copied: to shrink what was too large costs more
    }

    /// Whether a stranger caused this, by a message, with or without proof of who sent it, or by coming: the first to go
    /// when room is needed.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        matches!(
            self,
            Event::Received { verified: false, .. }
                | Event::Received { trust: Some(Trust::New), .. }
                | Event::PeerNew(_)
                | Event::PeerRefused { .. }
        )
    }
}

/// A numbered, timed event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Its number in the log.
    pub seq: Seq,
    /// When it was committed here.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Appends a record's JSON to `out`, made of the body that [`Event::to_body`] gave.
pub fn write_line(out: &mut String, seq: Seq, at: Timestamp, body: &str) {
    let members = body.strip_prefix('{').unwrap_or(body);
    // Writing to a String can't fail.
    let _ = write!(out, r#"{{"seq":{seq},"at":"{at}",{members}"#);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line of a plain peer.
    pub(in crate::rpc) fn received(peer: &str) -> Event {
        Event::Received {
            peer: peer.into(),
            id: None,
            trust: None,
            room: None,
            verified: false,
            encoding: Encoding::Utf8,
            text: "a \"line\"\n\u{1b}[31m".into(),
            bye: false,
        }
    }

    #[test]
    fn a_stored_body_becomes_the_records_line() {
        let event = received("udp://10.0.0.9:9999");
        let mut line = String::new();
        write_line(&mut line, Seq(7), Timestamp(0), &event.to_body());
        assert_eq!(
            line,
            "{\"seq\":7,\"at\":\"1970-01-01T00:00:00.000Z\",\"kind\":\"message.received\",\
             \"peer\":\"udp://10.0.0.9:9999\",\"verified\":false,\"encoding\":\"utf-8\",\
             \"text\":\"a \\\"line\\\"\\n\\u001b[31m\"}"
        );
        let record: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(record, Record { seq: Seq(7), at: Timestamp(0), event });
    }

    #[test]
    fn a_refusal_of_an_older_netkitd_is_read() {
        let line = r#"{"seq":7,"at":"1970-01-01T00:00:00.000Z","kind":"message.refused","message":4,"peer":"bob","reason":"no"}"#;
        let event = serde_json::from_str::<Record>(line).unwrap().event;
        let (message, peer, reason) = (Seq(4), "bob".to_owned(), "no".to_owned());
        assert_eq!(event, Event::Refused { message, peer, reason, maybe_delivered: false });
    }

    #[test]
    fn kinds_of_a_newer_netkitd_are_read() {
        let line = r#"{"seq":7,"at":"1970-01-01T00:00:00.000Z","kind":"share.added","id":4}"#;
        assert_eq!(serde_json::from_str::<Record>(line).unwrap().event, Event::Other);
    }
}
