//! What happened on the wire, one entry at a time, and as the JSON line that `--json` prints, `--record` keeps and
//! `replay` reads. Made by `journal`; `show` and `record` render it.

use super::peers::{Counter, Facts};
use super::text::{Encoding, hex};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) at: SystemTime,
    pub(super) peer: &'a Facts,
    pub(super) what: What<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What<'a> {
    /// A connection, or a peer that was not known before.
    Opened,
    /// It arrived; `cut` bytes of it were too many and are lost.
    Received { bytes: &'a [u8], cut: usize },
    /// It went; `typed` stands on the terminal already.
    Sent { bytes: &'a [u8], typed: bool },
    /// A connection ended; why, where it was not in order.
    Closed { trouble: Option<&'a str> },
}

/// An entry as JSON. Fields are added, never changed.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Line {
    /// RFC 3339, in UTC.
    pub(super) at: String,
    /// `listening`, `opened`, `received`, `sent`, `closed` or `totals`.
    pub(super) kind: String,
    /// `udp`, `tcp`, `unix` or `unix-dgram`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) family: Option<String>,
    /// The peer's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<u32>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<String>,
    /// Our address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) local: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    /// The bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hex: Option<String>,
    /// The same, where all of them are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// Bytes that were too many and are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<u64>,
    /// Why a connection ended, where it was not in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// What was received and sent in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) received: Option<Total>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<Total>,
}

/// One way's total.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Total {
    messages: u64,
    bytes: u64,
}

impl From<Counter> for Total {
    fn from(counter: Counter) -> Total {
        Total { messages: counter.messages, bytes: counter.bytes }
    }
}

impl Line {
    /// A line that is about no peer.
    pub(super) fn about(kind: &str, family: &str, local: &str) -> Line {
        Line {
            at: timestamp(SystemTime::now()),
            kind: kind.to_owned(),
            family: Some(family.to_owned()),
            local: Some(local.to_owned()),
            ..Line::default()
        }
    }

    pub(super) fn of(entry: &Entry<'_>, family: &str, encoding: Encoding) -> Line {
        let kind = match entry.what {
            What::Opened => "opened",
            What::Received { .. } => "received",
            What::Sent { .. } => "sent",
            What::Closed { .. } => "closed",
        };
        let bytes = match entry.what {
            What::Received { bytes, .. } | What::Sent { bytes, .. } => Some(bytes),
            What::Opened | What::Closed { .. } => None,
        };
        Line {
            at: timestamp(entry.at),
            kind: kind.to_owned(),
            family: Some(family.to_owned()),
            number: Some(entry.peer.number),
            peer: Some(entry.peer.name.clone()),
            local: Some(super::socket::show_address(&entry.peer.local)),
            bytes: bytes.map(|bytes| bytes.len() as u64),
            hex: bytes.map(|bytes| hex(bytes).replace(' ', "")),
            text: bytes.and_then(|bytes| encoding.decode(bytes)).map(Into::into),
            cut: match entry.what {
                What::Received { cut, .. } if cut > 0 => Some(cut as u64),
                _ => None,
            },
            error: match entry.what {
                What::Closed { trouble } => trouble.map(str::to_owned),
                _ => None,
            },
            ..Line::default()
        }
    }

    /// As one line, without its newline.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // strings and numbers can't fail
    }
}

fn timestamp(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    format!("{at:.6}")
}
