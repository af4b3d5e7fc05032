//! How entries look to people: time, direction, peer, length, and the bytes as text, hex or both. Called by `journal`;
//! writes nothing.

use super::entry::{Entry, What};
use super::limits;
use super::text::{Encoding, dump, hex};
use jiff::tz::TimeZone;

/// What is printed of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Time, peer, length and text; what is no text as \xNN
    Text,
    /// Time, peer, length and hex
    Hex,
    /// The same with hex and text side by side
    Both,
    /// The bytes that arrive and nothing else
    Raw,
}

/// An entry as a line, or as several where hex and text stand side by side. At most so much of a message is shown.
pub(super) fn show(
    entry: &Entry<'_>,
    format: Format,
    encoding: Encoding,
    zone: &TimeZone,
    most: usize,
) -> String {
    let time = jiff::Timestamp::try_from(entry.at).unwrap_or_default().to_zoned(zone.clone());
    let time = time.strftime("%H:%M:%S%.3f");
    let who = format!("#{} {}", entry.peer.number, crate::output::escape_line(&entry.peer.name));
    let (arrow, bytes, cut) = match entry.what {
        What::Received { bytes, cut } => ("<-", bytes, cut),
        What::Sent { bytes, .. } => ("->", bytes, 0),
        What::Opened => return format!("{time} {who} is here"),
        What::Closed { trouble: None } => return format!("{time} {who} has left"),
        What::Closed { trouble: Some(why) } => return format!("{time} {who} is lost: {why}"),
    };
    let length = if bytes.len() == 1 { "1 byte".to_owned() } else { format!("{} bytes", bytes.len()) };
    let lost = if cut > 0 { format!(", {cut} more cut off") } else { String::new() };
    let shown = &bytes[..bytes.len().min(most)];
    let rest = if shown.len() < bytes.len() { " …" } else { "" };
    let body = match format {
        Format::Text | Format::Raw => format!(" {}", encoding.show(shown)),
        Format::Hex => format!(" {}", hex(shown)),
        Format::Both => dump(shown),
    };
    format!("{time} {arrow} {who} {length}{lost}:{body}{rest}")
}

/// What of a message is shown.
pub(super) fn most(is_terminal: bool) -> usize {
    if is_terminal { limits::SHOWN } else { usize::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::wire::peers::Facts;
    use std::net::SocketAddr;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_message_is_shown_with_time_peer_and_length() {
        let address = SocketAddr::from(([10, 0, 0, 9], 7890));
        let peer = Facts {
            number: 2,
            address: address.into(),
            name: address.to_string(),
            local: address.into(),
            came: true,
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_250);
        let shown =
            |what, format| show(&Entry { at, peer: &peer, what }, format, Encoding::Utf8, &TimeZone::UTC, 4);
        let received = |bytes| What::Received { bytes, cut: 0 };
        for (what, format, expected) in [
            (received(b"hi\n\x1b"), Format::Text, "<- #2 10.0.0.9:7890 4 bytes: hi\\n\\u{1b}"),
            (received(b"\xff"), Format::Text, "<- #2 10.0.0.9:7890 1 byte: \\xff"),
            (received(b"\x01\xff"), Format::Hex, "<- #2 10.0.0.9:7890 2 bytes: 01 ff"),
            (
                What::Sent { bytes: b"12345", typed: false },
                Format::Text,
                "-> #2 10.0.0.9:7890 5 bytes: 1234 …",
            ),
            (
                What::Received { bytes: b"", cut: 7 },
                Format::Text,
                "<- #2 10.0.0.9:7890 0 bytes, 7 more cut off: ",
            ),
            (What::Opened, Format::Text, "#2 10.0.0.9:7890 is here"),
            (What::Closed { trouble: Some("reset") }, Format::Text, "#2 10.0.0.9:7890 is lost: reset"),
        ] {
            assert_eq!(shown(what, format), format!("00:00:01.250 {expected}"));
        }
        assert!(
            shown(received(b"a"), Format::Both)
                .ends_with("1 byte:\n  0000  61                                                |a|")
        );
    }
}
