//! How an event of the log looks to people: the formats `short` and `cat`. Called by `tail` and `chat`. Opens
//! nothing and writes nothing.

use crate::output::{escape, escape_line};
use crate::time::show_time;
use jiff::Zoned;
use netkit_proto::chat::plain::Encoding;
use netkit_proto::ids::Seq;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::event::{Event, PeerFacts, Record};

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
        Event::Sent { .. }
        | Event::Delivered { .. }
        | Event::Expired { .. }
        | Event::Refused { .. }
        | Event::PeerNew(_)
        | Event::PeerKnown(_)
        | Event::PeerTrusted(_)
        | Event::PeerBlocked(_)
        | Event::PeerRemoved(_)
        | Event::PeerRefused { .. }
        | Event::DownloadQueued { .. }
        | Event::DownloadActive { .. }
        | Event::DownloadRestarted { .. }
        | Event::DownloadPaused { .. }
        | Event::DownloadRetryWait { .. }
        | Event::DownloadVerifying { .. }
        | Event::DownloadDone { .. }
        | Event::DownloadFailed { .. }
        | Event::DownloadCancelled { .. }
        | Event::DownloadRemoved { .. }
        | Event::Gap { .. }
        | Event::Other => None,
    }
}

/// An event as a line for people. A `?` marks who did not prove who they are, `[new]` strangers: these proved which box
/// they are, but nobody here knows it. `raw` is the event's JSON, shown where this netkitctl does not know the kind.
#[must_use]
pub(crate) fn short(record: &Record, raw: &str, now: &Zoned) -> String {
    let time = show_time(record.at, now);
    let what = match &record.event {
        Event::Received { peer, room, verified, trust, encoding, text, .. } => {
            let doubt = match (verified, trust) {
                (false, _) => " ?",
                (true, Some(Trust::New)) => " [new]",
                (true, _) => "",
            };
            let binary = if *encoding == Encoding::Hex { " [hex]" } else { "" };
            format!("{}{}{doubt}{binary} {}", escape_line(peer), in_room(room.as_deref()), indented(text))
        }
        Event::Queued { peer, room, text, .. } => {
            // To a room, the room is the peer.
            let room = room.as_deref().filter(|room| peer.strip_prefix('@') != Some(room));
            format!("-> {}{} {}", escape_line(peer), in_room(room), indented(text))
        }
        Event::Sent { message, peer } => format!("-> {} [message {message} sent]", escape_line(peer)),
        Event::Delivered { messages, peer } => {
            let (noun, numbers) = (if messages.len() == 1 { "message" } else { "messages" }, runs(messages));
            format!("-> {} [{noun} {numbers} delivered]", escape_line(peer))
        }
        Event::Expired { message, peer, maybe_delivered } => {
            let doubt = if *maybe_delivered { "expired, it may have arrived" } else { "expired" };
            format!("-> {} [message {message} {doubt}]", escape_line(peer))
        }
        Event::Refused { message, peer, reason, maybe_delivered } => {
            let doubt = if *maybe_delivered { "refused, it may have arrived" } else { "refused" };
            format!("-> {} [message {message} {doubt}: {}]", escape_line(peer), escape_line(reason))
        }
        Event::PeerNew(facts) => peer_is(facts, "was seen for the first time"),
        Event::PeerKnown(facts) => peer_is(facts, "is known from now on"),
        Event::PeerTrusted(facts) => peer_is(facts, "is trusted from now on"),
        Event::PeerBlocked(facts) => peer_is(facts, "is blocked from now on"),
        Event::PeerRemoved(facts) => peer_is(facts, "was removed"),
        Event::PeerRefused { peer, id, address, reason } => {
            let (peer, reason) = (escape_line(peer), escape_line(reason));
            format!("[peer {peer}: {id} at {address} was not let in: {reason}]")
        }
        Event::Gap { from, to, lost } => format!("[{}]", gap(*from, *to, *lost)),
        Event::DownloadQueued { download, source, path } => {
            format!("[download {download} queued: {} to {}]", escape_line(source), escape_line(path))
        }
        Event::DownloadActive { download, bytes: 0 } => format!("[download {download} begins]"),
        Event::DownloadActive { download, bytes } => {
            format!("[download {download} goes on after {}]", show_bytes(*bytes))
        }
        Event::DownloadRestarted { download, lost, reason } => {
            let lost = show_bytes(*lost);
            format!("[download {download} starts over, {lost} again: {}]", escape_line(reason))
        }
        Event::DownloadPaused { download } => format!("[download {download} paused]"),
        Event::DownloadRetryWait { download, error, retry_at } => {
            let (at, why) = (show_time(*retry_at, now), escape_line(&error.message));
            format!("[download {download} is tried again at {at}: {why}]")
        }
        Event::DownloadVerifying { download } => format!("[download {download} is being verified]"),
        Event::DownloadDone { download, path, bytes, verified, .. } => {
            let (bytes, verified) = (show_bytes(*bytes), if *verified { ", verified" } else { "" });
            format!("[download {download} done: {}, {bytes}{verified}]", escape_line(path))
        }
        Event::DownloadFailed { download, error, .. } => {
            format!("[download {download} failed: {}]", escape_line(&error.message))
        }
        Event::DownloadCancelled { download } => format!("[download {download} cancelled]"),
        Event::DownloadRemoved { download } => format!("[download {download} removed]"),
        Event::Other => escape_line(raw).into_owned(),
    };
    format!("{time} {what}")
}

/// What a gap means, as a sentence.
#[must_use]
pub(crate) fn gap(from: Seq, to: Seq, lost: u64) -> String {
    format!("{lost} events from {from} to {to} are gone: retention removed them before they were read")
}

fn peer_is(facts: &PeerFacts, what: &str) -> String {
    format!("[peer {} ({}) {what}]", escape_line(&facts.peer), facts.id.short())
}

/// Numbers in rising order: `3-5, 8`.
fn runs(numbers: &[Seq]) -> String {
    let runs = numbers.chunk_by(|a, b| a.next() == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.first().map(ToString::to_string).unwrap_or_default(),
    });
    runs.collect::<Vec<_>>().join(", ")
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
            id: None,
            trust: None,
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
                Event::Refused { message: Seq(3), peer, reason: "full\n".into(), maybe_delivered: true },
                "08:13:05 -> udp://10.0.0.9:9 [message 3 refused, it may have arrived: full\\n]",
            ),
            (Event::Other, "08:13:05 {\"kind\":\"x\"}"),
        ] {
            assert_eq!(short(&Record { seq: Seq(7), at, event }, r#"{"kind":"x"}"#, &now), expected);
        }
    }

    #[test]
    fn what_peers_say_and_get_is_shown_as_lines() {
        let now: Zoned = "2026-11-23T08:30:00+00:00[+00:00]".parse().unwrap();
        let id = "a".repeat(52);
        let received = |members: &str| {
            format!(
                r#""message.received","peer":"bob",{members},"verified":true,"encoding":"utf-8","text":"hi""#
            )
        };
        for (event, expected) in [
            (received(r#""trust":"known""#), "bob hi".to_owned()),
            (received(r#""trust":"new""#), "bob [new] hi".into()),
            (received(r#""trust":"trusted","room":"ops""#), "bob @ops hi".into()),
            (
                r#""message.queued","peer":"@ops","room":"ops","to":["bob"],"text":"hi","expires":"2026-11-23T08:13:05Z""#
                    .into(),
                "-> @ops hi".into(),
            ),
            (r#""message.delivered","peer":"bob","messages":[7]"#.into(), "-> bob [message 7 delivered]".into()),
            (
                r#""message.delivered","peer":"bob","messages":[7,9,10,11,13]"#.into(),
                "-> bob [messages 7, 9-11, 13 delivered]".into(),
            ),
            (
                format!(r#""peer.new","peer":"bob","id":"{id}""#),
                "[peer bob (aaaaaa) was seen for the first time]".into(),
            ),
            (
                format!(r#""peer.trusted","peer":"bob","id":"{id}""#),
                "[peer bob (aaaaaa) is trusted from now on]".into(),
            ),
            (
                format!(
                    r#""peer.refused","peer":"bob","id":"{id}","address":"10.0.0.9:7890","reason":"a\u001bb""#
                ),
                format!("[peer bob: {id} at 10.0.0.9:7890 was not let in: a\\u{{1b}}b]"),
            ),
        ] {
            let raw = format!(r#"{{"seq":1,"at":"2026-11-23T08:13:05Z","kind":{event}}}"#);
            let record: Record = serde_json::from_str(&raw).unwrap();
            assert_eq!(short(&record, &raw, &now), format!("08:13:05 {expected}"));
        }
    }

    #[test]
    fn every_event_of_a_download_has_its_line() {
        let now: Zoned = "2026-11-23T08:30:00+00:00[+00:00]".parse().unwrap();
        for (members, expected) in [
            (r#""queued","source":"http://a/x\u001b","path":"/d/x""#, "queued: http://a/x\\u{1b} to /d/x"),
            (r#""active","bytes":0"#, "begins"),
            (r#""active","bytes":2048"#, "goes on after 2.0 KiB"),
            (r#""restarted","lost":2048,"reason":"a\nb""#, "starts over, 2.0 KiB again: a\\nb"),
            (r#""paused""#, "paused"),
            (
                r#""retry_wait","error":{"kind":"network","message":"a\rb"},"retry_at":"2026-11-23T08:14:00Z""#,
                "is tried again at 08:14:00: a\\rb",
            ),
            (r#""verifying""#, "is being verified"),
            (
                r#""done","source":"s","path":"/d/x","bytes":2048,"verified":true,"blake3":"0""#,
                "done: /d/x, 2.0 KiB, verified",
            ),
            (
                r#""done","source":"s","path":"/d/x","bytes":1,"verified":false,"blake3":"0""#,
                "done: /d/x, 1 bytes",
            ),
            (r#""failed","source":"s","error":{"kind":"short","message":"a\tb"}"#, "failed: a\tb"),
            (r#""cancelled""#, "cancelled"),
            (r#""removed""#, "removed"),
        ] {
            let raw = format!(
                r#"{{"seq":1,"at":"2026-11-23T08:13:05Z","download":7,"kind":"download.{}}}"#,
                &members[1..]
            );
            let record: Record = serde_json::from_str(&raw).unwrap();
            assert_eq!(short(&record, &raw, &now), format!("08:13:05 [download 7 {expected}]"));
            assert_eq!(text_of(&record.event), None);
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_fitting_unit() {
        for (bytes, text) in [(0, "0 bytes"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (5 << 40, "5.0 TiB")] {
            assert_eq!(show_bytes(bytes), text);
        }
    }
}
