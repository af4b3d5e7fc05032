//! How an event of the log looks to people: the formats `short` and `cat`. Called by `tail` and `chat`. Opens
//! nothing and writes nothing.

use crate::output::{escape, escape_line};
use crate::time::show_time;
use jiff::Zoned;
use netkit_proto::chat::plain::Encoding;
use netkit_proto::ids::Seq;
use netkit_proto::rpc::event::{Event, Record};

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Time, peer and text for people.
    Short,
    /// The bare text.
    Cat,
    /// One JSON object a line.
    Json,
}

/// What continues a text of several lines stands below the peer, so that no text can pass for an event of its own.
const INDENT: &str = "\n         ";

/// The text of a message, either way.
#[must_use]
pub(crate) fn text_of(event: &Event) -> Option<&str> {
    match event {
        Event::Received { text, .. } | Event::Queued { text, .. } => Some(text),
        _ => None,
    }
}

/// An event as a line for people; a `?` marks who did not prove who they are. `raw` is its JSON, shown where this
/// netkitctl does not know the kind.
#[must_use]
pub(crate) fn short(record: &Record, raw: &str, now: &Zoned) -> String {
    let time = show_time(record.at, now);
    let what = match &record.event {
        Event::Received { peer, room, verified, encoding, text, .. } => {
            let doubt = if *verified { "" } else { " ?" };
            let binary = if *encoding == Encoding::Hex { " [hex]" } else { "" };
            format!("{}{}{doubt}{binary} {}", escape_line(peer), in_room(room.as_deref()), indented(text))
        }
        Event::Queued { peer, room, text, .. } => {
            format!("-> {}{} {}", escape_line(peer), in_room(room.as_deref()), indented(text))
        }
        Event::Sent { message, peer } => format!("-> {} [message {message} sent]", escape_line(peer)),
        Event::Expired { message, peer, maybe_delivered } => {
            let doubt = if *maybe_delivered { "expired, it may have arrived" } else { "expired" };
            format!("-> {} [message {message} {doubt}]", escape_line(peer))
        }
        Event::Refused { message, peer, reason } => {
            format!("-> {} [message {message} refused: {}]", escape_line(peer), escape_line(reason))
        }
        Event::Gap { from, to, lost } => format!("[{}]", gap(*from, *to, *lost)),
        _ => escape_line(raw).into_owned(),
    };
    format!("{time} {what}")
}

/// What a gap means, as a sentence.
#[must_use]
pub(crate) fn gap(from: Seq, to: Seq, lost: u64) -> String {
    format!("{lost} events from {from} to {to} are gone: retention removed them before they were read")
}

fn in_room(room: Option<&str>) -> String {
    room.map(|room| format!(" @{}", escape_line(room))).unwrap_or_default()
}

fn indented(text: &str) -> String {
    escape(text).replace('\n', INDENT)
}

/// A number of bytes for people.
#[must_use]
pub(crate) fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::time::Timestamp;

    #[test]
    fn events_are_shown_as_lines() {
        let now: Zoned = "2026-11-23T08:30:00+00:00[+00:00]".parse().unwrap();
        let at = Timestamp::parse("2026-11-23T08:13:05.123Z").unwrap();
        let received = |text: &str, encoding, verified, room: Option<&str>| Event::Received {
            peer: "udp://10.0.0.9:9".into(),
            room: room.map(str::to_owned),
            verified,
            encoding,
            text: text.into(),
            bye: false,
        };
        let peer = "udp://10.0.0.9:9".to_owned();
        for (event, expected) in [
            (received("hi", Encoding::Utf8, false, None), "08:13:05 udp://10.0.0.9:9 ? hi"),
            (received("hi", Encoding::Utf8, true, Some("ops")), "08:13:05 udp://10.0.0.9:9 @ops hi"),
            (received("00ff", Encoding::Hex, false, None), "08:13:05 udp://10.0.0.9:9 ? [hex] 00ff"),
            (
                received("a\n08:13:06 bob b\x1b[2J", Encoding::Utf8, false, None),
                "08:13:05 udp://10.0.0.9:9 ? a\n         08:13:06 bob b\\u{1b}[2J",
            ),
            (
                Event::Sent { message: Seq(3), peer: peer.clone() },
                "08:13:05 -> udp://10.0.0.9:9 [message 3 sent]",
            ),
            (
                Event::Expired { message: Seq(3), peer: peer.clone(), maybe_delivered: true },
                "08:13:05 -> udp://10.0.0.9:9 [message 3 expired, it may have arrived]",
            ),
            (
                Event::Refused { message: Seq(3), peer, reason: "full\n".into() },
                "08:13:05 -> udp://10.0.0.9:9 [message 3 refused: full\\n]",
            ),
            (Event::Other, "08:13:05 {\"kind\":\"x\"}"),
        ] {
            assert_eq!(short(&Record { seq: Seq(7), at, event }, r#"{"kind":"x"}"#, &now), expected);
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_fitting_unit() {
        for (bytes, text) in [(0, "0 bytes"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (5 << 40, "5.0 TiB")] {
            assert_eq!(show_bytes(bytes), text);
        }
    }
}
