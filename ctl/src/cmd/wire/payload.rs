//! What is sent, from what people write: hex, text with escapes, files. Called by `settings`, `reply` and `input`.
//! What is put behind it is in `append`.

use super::limits;
use super::text::Encoding;
use crate::exit::{Exit, Failure, Outcome, exit_of_io};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes to send; shared, since many peers may get the same.
pub(super) type Payload = Arc<[u8]>;

/// What stands where text could stand and begins so is hex.
pub(super) const HEX: &str = "hex:";
/// The same for a file.
pub(super) const FILE: &str = "file:";

/// Reads hex: `01 02 FF`, `0102ff`, `0x01,0x02`, `01:02`.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for group in
        text.split(|c: char| c.is_whitespace() || ",:-".contains(c)).filter(|group| !group.is_empty())
    {
        let digits = group.strip_prefix("0x").or_else(|| group.strip_prefix("0X")).unwrap_or(group);
        if digits.is_empty() || !digits.len().is_multiple_of(2) {
            return Err(format!("{group:?} in hex is not pairs of digits such as 01 or 0aff"));
        }
        for pair in digits.as_bytes().chunks(2) {
            let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else {
                return Err(format!("{group:?} is not hex such as 01 or 0aff"));
            };
            bytes.push(high << 4 | low);
        }
    }
    Ok(bytes)
}

/// Reads text with escapes: `\n \r \t \0 \\ \e \xNN \u{N}`; `\xNN` is a byte, whatever the encoding.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn unescape(text: &str, encoding: Encoding) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&encode(&rest[..at], encoding)?);
        let escape = &rest[at + 1..];
        let bad = || {
            let shown: String = escape.chars().take(4).collect();
            format!("\\{shown} is no escape; there are \\n \\r \\t \\0 \\\\ \\e \\xNN \\u{{N}}")
        };
        let simple = match escape.chars().next().ok_or_else(bad)? {
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            '0' => Some(0),
            'e' => Some(0x1b),
            '\\' => Some(b'\\'),
            _ => None,
        };
        rest = if let Some(byte) = simple {
            bytes.push(byte);
            &escape[1..]
        } else if let Some(digits) = escape.strip_prefix('x').and_then(|after| after.get(..2)) {
            bytes.extend(parse_hex(digits).map_err(|_| bad())?);
            &escape[3..]
        } else if let Some((digits, after)) =
            escape.strip_prefix("u{").and_then(|after| after.split_once('}'))
        {
            let found = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or_else(bad)?;
            bytes.extend_from_slice(&encode(found.encode_utf8(&mut [0; 4]), encoding)?);
            after
        } else {
            return Err(bad());
        };
    }
    bytes.extend_from_slice(&encode(rest, encoding)?);
    Ok(bytes)
}

/// Text without escapes.
///
/// # Errors
/// A sentence that names the character that the encoding does not have.
pub(super) fn encode(text: &str, encoding: Encoding) -> Result<Vec<u8>, String> {
    encoding.encode(text).map(std::borrow::Cow::into_owned).map_err(|what| format!("the text has {what}"))
}

/// All of a file.
///
/// # Errors
/// Why not.
pub(super) fn read_file(path: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limits::FILE + 1).read_to_end(&mut bytes));
    read.map_err(|e| Failure::new(exit_of_io(&e), format!("reading {}: {e}", path.display())))?;
    if bytes.len() as u64 > limits::FILE {
        let most = limits::FILE >> 20;
        let why = format!("{} is larger than {most} MiB, the most that is sent at once", path.display());
        return Err(Failure::new(Exit::Failed, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_as_people_write_it() {
        for text in ["01 02 FF", "0102ff", "0x01 0x02 0xFF", "01:02:ff", "01-02-FF", " 01,02,\tff\n"] {
            assert_eq!(parse_hex(text), Ok(vec![1, 2, 255]), "{text}");
        }
        assert_eq!(parse_hex(""), Ok(vec![]));
        for text in ["1", "0x", "0g", "010", "01 2", "你好", "+1"] {
            assert!(parse_hex(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_are_bytes() {
        for (text, encoding, bytes) in [
            (r"a\r\n\t\0\\\e", Encoding::Utf8, &b"a\r\n\t\0\\\x1b"[..]),
            (r"\xff\x00你", Encoding::Utf8, b"\xff\x00\xe4\xbd\xa0"),
            (r"\xff\u{4f60}你", Encoding::Gb18030, b"\xff\xc4\xe3\xc4\xe3"),
            ("", Encoding::Utf8, b""),
        ] {
            assert_eq!(unescape(text, encoding).unwrap(), bytes, "{text}");
        }
        for text in ["\\", "\\q", "\\x1", "\\xg0", "\\x你", "\\u{110000}", "\\u{", "\\u41", "\\你"] {
            assert!(unescape(text, Encoding::Utf8).is_err(), "{text}");
        }
        assert!(unescape("你", Encoding::Latin1).is_err());
    }
}
