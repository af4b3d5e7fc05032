//! Text on the wire: how what is typed becomes bytes, and how bytes look to a person. Called by `payload`, `pattern`
//! and `show`. What could act on a terminal is escaped here, by `output`'s rule.

use crate::output::escape_line;
use encoding_rs::{GB18030, mem};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The encodings that text is read and written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Encoding {
    /// UTF-8 (RFC 3629)
    #[default]
    #[value(name = "utf-8")]
    Utf8,
    /// GB 18030, which holds GBK and GB 2312
    Gb18030,
    /// ISO 8859-1: each byte is the character of its number
    #[value(name = "latin-1")]
    Latin1,
}

impl Encoding {
    /// `text` as bytes.
    ///
    /// # Errors
    /// The character that this encoding does not have.
    pub(super) fn encode(self, text: &str) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Encoding::Utf8 => Ok(Cow::Borrowed(text.as_bytes())),
            // Has all of Unicode but one private-use character.
            Encoding::Gb18030 => match GB18030.encode(text) {
                (bytes, _, false) => Ok(bytes),
                (_, _, true) => Err("a character that gb18030 does not have".into()),
            },
            Encoding::Latin1 => match text.chars().find(|&c| u32::from(c) > 0xff) {
                None => Ok(mem::encode_latin1_lossy(text)),
                Some(c) => Err(format!("{c:?}, which latin-1 does not have")),
            },
        }
    }

    /// `bytes` as text, where all of them are text.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Encoding::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Encoding::Gb18030 => GB18030.decode_without_bom_handling_and_without_replacement(bytes),
            Encoding::Latin1 => Some(mem::decode_latin1(bytes)),
        }
    }

    /// `bytes` on one line, for a person: bytes that are no text as `\xNN`, what acts on a terminal escaped.
    pub(super) fn show(self, bytes: &[u8]) -> String {
        if let Some(text) = self.decode(bytes) {
            return escape_line(&text).replace('\t', "\\t");
        }
        match self {
            Encoding::Utf8 => show_pieces(bytes),
            // After a broken sequence nobody knows where the next one begins: only ASCII is sure.
            Encoding::Gb18030 | Encoding::Latin1 => bytes.iter().fold(String::new(), |mut out, &byte| {
                show_byte(&mut out, byte);
                out
            }),
        }
    }
}

fn show_pieces(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for piece in bytes.utf8_chunks() {
        out.push_str(&escape_line(piece.valid()).replace('\t', "\\t"));
        for byte in piece.invalid() {
            let _ = write!(out, "\\x{byte:02x}"); // writing to a String can't fail
        }
    }
    out
}

fn show_byte(out: &mut String, byte: u8) {
    match byte {
        0x20..=0x7e => out.push(char::from(byte)),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            let _ = write!(out, "\\x{byte:02x}"); // writing to a String can't fail
        }
    }
}

/// `bytes` as hex, `01 02 ff`.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for (at, byte) in bytes.iter().enumerate() {
        let _ = write!(out, "{}{byte:02x}", if at == 0 { "" } else { " " }); // can't fail
    }
    out
}

/// `bytes` as lines of sixteen: offset, hex and text side by side.
pub(super) fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, line) in bytes.chunks(16).enumerate() {
        let text: String =
            line.iter().map(|&b| if (0x20..0x7f).contains(&b) { char::from(b) } else { '.' }).collect();
        let (first, second) = line.split_at(line.len().min(8));
        let _ = write!(out, "\n  {:04x}  {:<23}  {:<23}  |{text}|", at * 16, hex(first), hex(second)); // can't fail
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        for (encoding, text, bytes) in [
            (Encoding::Utf8, "a你", &b"a\xe4\xbd\xa0"[..]),
            (Encoding::Gb18030, "a你", b"a\xc4\xe3"),
            (Encoding::Gb18030, "😀", b"\x94\x39\xfc\x36"),
            (Encoding::Latin1, "é\u{80}", b"\xe9\x80"),
        ] {
            assert_eq!(encoding.encode(text).unwrap(), bytes, "{encoding:?}");
            assert_eq!(encoding.decode(bytes).unwrap(), text, "{encoding:?}");
        }
        assert!(Encoding::Latin1.encode("a你").unwrap_err().contains('你'));
        assert!(Encoding::Utf8.decode(b"\xff").is_none() && Encoding::Gb18030.decode(b"\xff").is_none());
    }

    #[test]
    fn nothing_that_is_shown_acts_on_a_terminal() {
        let all: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Utf8, Encoding::Gb18030, Encoding::Latin1] {
            for bytes in [&all[..], b"\x1b[2J\x07\r\n\t", b"\xc2\x9b31m", "\u{202e}\u{feff}".as_bytes()] {
                let shown = encoding.show(bytes);
                assert!(!shown.contains(netkit_proto::name::is_unsafe), "{encoding:?} {shown:?}");
            }
        }
        assert_eq!(Encoding::Utf8.show(b"a\xff\xe4\xbd\xa0\n"), "a\\xff你\\n");
        assert_eq!(Encoding::Gb18030.show(b"a\xff\x1b"), "a\\xff\\x1b");
        assert_eq!(Encoding::Latin1.show(b"\xe9\x9b"), "é\\u{9b}");
    }

    #[test]
    fn hex_stands_beside_its_text() {
        assert_eq!(hex(b"\x01\xfe"), "01 fe");
        assert_eq!(
            dump(b"0123456789abcdef\x00\xff"),
            "\n  0000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\
             \n  0010  00 ff                                             |..|"
        );
        assert_eq!(dump(b""), "");
    }
}
