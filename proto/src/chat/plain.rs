//! The plain face of chat: one datagram is one line, as netcat, debugging assistants and `sendto()` send it.
//! There is no framing, no receipt and no identity; a line is text in UTF-8 or GB18030, or bytes shown as hex.

use crate::limits;
use encoding_rs::GB18030;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How the bytes of a line became its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Encoding {
    /// UTF-8 (RFC 3629).
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// GB18030, as debugging assistants in China send it; contains GBK and GB2312.
    #[serde(rename = "gb18030")]
    Gb18030,
    /// Not text: the bytes as lower-case hexadecimal digits.
    #[serde(rename = "hex")]
    Hex,
}

impl Encoding {
    /// The word for it in events and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Gb18030 => "gb18030",
            Encoding::Hex => "hex",
        }
    }
}

/// What the operator lets count as text (`chat.plain_encoding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlainEncoding {
    /// UTF-8 where it is valid, else GB18030 where it is printable.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// UTF-8 alone.
    #[serde(rename = "utf-8")]
    Utf8,
    /// GB18030 alone.
    #[serde(rename = "gb18030")]
    Gb18030,
}

/// A line as it arrived: its text without one trailing newline (`\n` or `\r\n`), or its bytes in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text.
    pub text: String,
    /// What it was decoded from.
    pub encoding: Encoding,
}

impl Line {
    /// Decodes a datagram that was classified as `encoding`; what turns out not to be text in it becomes hex.
    #[must_use]
    pub fn decode(datagram: &[u8], encoding: Encoding) -> Line {
        let text = match encoding {
            Encoding::Utf8 => std::str::from_utf8(datagram).ok().map(Cow::Borrowed),
            Encoding::Gb18030 => decode_gb18030(datagram),
            Encoding::Hex => None,
        };
        match text {
            Some(text) => Line { text: without_newline(&text).to_owned(), encoding },
            None => Line { text: hex(datagram), encoding: Encoding::Hex },
        }
    }

    /// Whether this line ends the conversation with its sender.
    #[must_use]
    pub fn is_bye(&self) -> bool {
        self.encoding != Encoding::Hex && is_bye(&self.text)
    }
}

/// Whether a text that is sent or received ends the conversation.
#[must_use]
pub fn is_bye(text: &str) -> bool {
    text == "bye"
}

/// A line that can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than [`limits::PLAIN_LINE`].
    #[error("the text is {0} bytes; a plain peer reads at most {max} of one datagram", max = limits::PLAIN_LINE)]
    TooLong(usize),
    /// A character that the peer's encoding does not have.
    #[error("the text has a character that GB18030, the peer's encoding, does not have")]
    Unmappable,
}

/// The datagram for `text` in `encoding` ([`Encoding::Hex`]: the peer sent binary, it is answered in UTF-8). No
/// newline is added.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(text: &str, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
    let bytes = match encoding {
        Encoding::Utf8 | Encoding::Hex => text.as_bytes().to_vec(),
        Encoding::Gb18030 => match GB18030.encode(text) {
            (_, _, true) => return Err(EncodeError::Unmappable),
            (bytes, ..) => bytes.into_owned(),
        },
    };
    if bytes.len() > limits::PLAIN_LINE {
        return Err(EncodeError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Whether `bytes` are GB18030 that a person could have typed: no control characters but tab and line ends, no
/// private-use characters (most two-byte pairs map somewhere, so validity alone says little).
#[must_use]
pub fn gb18030_is_printable(bytes: &[u8]) -> bool {
    decode_gb18030(bytes).is_some_and(|text| text.chars().all(is_printable))
}

fn is_printable(c: char) -> bool {
    let private_use = matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..);
    matches!(c, '\t' | '\n' | '\r') || (!c.is_control() && !private_use)
}

fn decode_gb18030(bytes: &[u8]) -> Option<Cow<'_, str>> {
    GB18030.decode_without_bom_handling_and_without_replacement(bytes)
}

fn without_newline(text: &str) -> &str {
    let Some(line) = text.strip_suffix('\n') else { return text };
    line.strip_suffix('\r').unwrap_or(line)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_newline_is_dropped() {
        for (bytes, text) in [
            ("hi", "hi"),
            ("hi\n", "hi"),
            ("hi\r\n", "hi"),
            ("hi\n\n", "hi\n"),
            ("hi\r", "hi\r"),
            ("a\nb\n", "a\nb"),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(Line::decode(bytes.as_bytes(), Encoding::Utf8).text, text, "{bytes:?}");
        }
    }

    #[test]
    fn bye_is_the_whole_line() {
        for (bytes, bye) in [
            (b"bye".as_slice(), true),
            (b"bye\n", true),
            (b"bye\r\n", true),
            (b"bye ", false),
            (b"Bye", false),
            (b"bye\n\n", false),
        ] {
            assert_eq!(Line::decode(bytes, Encoding::Utf8).is_bye(), bye, "{bytes:?}");
            assert_eq!(Line::decode(bytes, Encoding::Gb18030).is_bye(), bye, "{bytes:?}");
        }
        let hex_of_bye = Line { text: "bye".into(), encoding: Encoding::Hex };
        assert!(!hex_of_bye.is_bye());
    }

    #[test]
    fn gb18030_goes_both_ways() {
        let line = Line::decode(b"\xC4\xE3\xBA\xC3\xA3\xAC\xCD\xF8\xC2\xE7\n", Encoding::Gb18030);
        assert_eq!(line, Line { text: "你好，网络".into(), encoding: Encoding::Gb18030 });
        assert_eq!(encode("你好", Encoding::Gb18030), Ok(b"\xC4\xE3\xBA\xC3".to_vec()));
        assert_eq!(encode("😀", Encoding::Gb18030).map(|b| b.len()), Ok(4));
        assert_eq!(encode("\u{E5E5}", Encoding::Gb18030), Err(EncodeError::Unmappable));
    }

    #[test]
    fn what_is_not_text_becomes_hex() {
        assert_eq!(Line::decode(b"\x00\xffA\n", Encoding::Hex).text, "00ff410a");
        let wrongly_classified = Line::decode(b"\xff", Encoding::Utf8);
        assert_eq!(wrongly_classified, Line { text: "ff".into(), encoding: Encoding::Hex });
    }

    #[test]
    fn printable_gb18030_is_what_a_person_types() {
        assert!(gb18030_is_printable(b"\xCD\xF8\xC2\xE7\t!\r\n"));
        assert!(!gb18030_is_printable(b"\xCD\xF8\x00"));
        assert!(!gb18030_is_printable(b"\xCD"), "half a character");
        assert!(!gb18030_is_printable(b"\xAA\xA1"), "a private-use character");
    }

    #[test]
    fn length_is_counted_in_the_peers_encoding() {
        let text = "网".repeat(500);
        assert_eq!(encode(&text, Encoding::Utf8), Err(EncodeError::TooLong(1500)));
        assert_eq!(encode(&text, Encoding::Gb18030).map(|b| b.len()), Ok(1000));
        assert_eq!(encode(&"a".repeat(1024), Encoding::Utf8).map(|b| b.len()), Ok(1024));
        assert_eq!(encode(&"a".repeat(1025), Encoding::Hex), Err(EncodeError::TooLong(1025)));
    }
}
