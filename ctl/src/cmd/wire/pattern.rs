//! What is looked for in what arrives, by `--expect` and `--reply`: a regular expression over the text, or bytes in
//! hex of which some may be any. `Memory` holds as much of a stream as a pattern may need. Opens nothing.

use super::limits;
use super::payload::{HEX, parse_hex};
use super::text::Encoding;
use regex::bytes::{Captures, Regex, RegexBuilder};
use std::borrow::Cow;
use std::time::Instant;

/// What to look for.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Of text; bytes are looked for as they are.
    encoding: Encoding,
}

/// Where a pattern was found, in bytes as they arrived.
pub(super) struct Found {
    pub(super) end: usize,
    /// What an answer says with this match, if it says anything of it.
    pub(super) expanded: Option<Vec<u8>>,
}

impl Pattern {
    /// Reads `REGEX`, or `hex:01 ?? ff` with `??` for any byte.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) fn parse(text: &str, encoding: Encoding) -> Result<Pattern, String> {
        let Some(hex) = text.strip_prefix(HEX) else {
            return Ok(Pattern { regex: compile(text)?, encoding });
        };
        let mut regex = String::from("(?s-u)");
        for (at, known) in hex.split("??").enumerate() {
            regex.push_str(if at == 0 { "" } else { "." });
            for byte in parse_hex(known)? {
                regex.push_str(&format!("\\x{byte:02x}"));
            }
        }
        if regex.ends_with(')') {
            return Err("hex: stands before no bytes".into());
        }
        Ok(Pattern { regex: compile(&regex)?, encoding: Encoding::Utf8 })
    }

    /// The first match in `bytes`; `template` is filled with its groups (`$1`, `${name}`, `$$` for a dollar).
    pub(super) fn find(&self, bytes: &[u8], template: Option<&[u8]>) -> Option<Found> {
        let text: Cow<'_, [u8]> = match self.encoding {
            Encoding::Utf8 => Cow::Borrowed(bytes),
            other => match other.decode(bytes) {
                Some(text) => Cow::Owned(text.into_owned().into_bytes()),
                None => Cow::Borrowed(bytes),
            },
        };
        let captures = self.regex.captures(&text)?;
        let end = captures.get(0).map_or(0, |all| all.end());
        let expanded = template.map(|template| expand(&captures, template));
        Some(Found { end: self.in_bytes(&text, end).min(bytes.len()), expanded })
    }

    /// How many bytes the text up to `end` was.
    fn in_bytes(&self, text: &[u8], end: usize) -> usize {
        let before = text.get(..end).and_then(|text| std::str::from_utf8(text).ok());
        before.and_then(|text| self.encoding.encode(text).ok()).map_or(end, |bytes| bytes.len())
    }
}

fn compile(regex: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(regex).multi_line(true).size_limit(limits::PROGRAM).build();
    built.map_err(|e| format!("{regex:?} is no regular expression: {e}"))
}

fn expand(captures: &Captures<'_>, template: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    captures.expand(template, &mut out);
    out
}

/// The end of what a peer sent, as far as it matched nothing yet.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bytes: Vec<u8>,
    heard: Option<Instant>,
}

impl Memory {
    /// Adds what arrived. Of a datagram nothing stays: it is a message of its own; a stream that paused begins anew.
    pub(super) fn hear(&mut self, bytes: &[u8], is_stream: bool, now: Instant) {
        let paused = self.heard.is_some_and(|at| now.saturating_duration_since(at) >= limits::PAUSE);
        if !is_stream || paused {
            self.bytes.clear();
        }
        self.heard = Some(now);
        self.bytes.extend_from_slice(bytes);
        let excess = self.bytes.len().saturating_sub(limits::MEMORY);
        self.bytes.drain(..excess);
    }

    /// What is kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what matched, and the end of its line.
    pub(super) fn forget(&mut self, end: usize) {
        let rest = self.bytes.get(end..).unwrap_or_default();
        let line_end = rest.starts_with(b"\r\n").then_some(2).or(rest.starts_with(b"\n").then_some(1));
        self.bytes.drain(..(end + line_end.unwrap_or(0)).min(self.bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn is_in(pattern: &str, bytes: &[u8]) -> bool {
        Pattern::parse(pattern, Encoding::Utf8).unwrap().find(bytes, None).is_some()
    }

    #[test]
    fn patterns_are_text_or_hex() {
        for (pattern, bytes, is_found) in [
            ("^OK", &b"x\nOK\r\n"[..], true),
            ("你+", "你好".as_bytes(), true),
            ("a.c", b"a\nc", false),
            ("hex:01 ?? ff", b"\x00\x01\x0a\xff", true),
            ("hex:01????ff", b"\x01\xff\x0a\xff", true),
            ("hex:fffe", b"\xff\xfe", true),
            ("hex:01 ff", b"\x01\x02\xff", false),
        ] {
            assert_eq!(is_in(pattern, bytes), is_found, "{pattern}");
        }
        for pattern in ["(", "hex:", "hex:1", "hex:zz", "a{1000}{1000}"] {
            assert!(Pattern::parse(pattern, Encoding::Utf8).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_match_ends_where_its_bytes_end() {
        let pattern = Pattern::parse("你(.)", Encoding::Gb18030).unwrap();
        let found = pattern.find(b"a\xc4\xe3\xba\xc3z", Some("$1!$$".as_bytes())).unwrap();
        assert_eq!((found.end, found.expanded.unwrap()), (5, "好!$".as_bytes().to_vec()));
    }

    #[test]
    fn a_stream_is_remembered_up_to_a_bound_and_a_pause() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        memory.hear(b"PI", true, start);
        memory.hear(b"NG\r\nPING", true, start);
        memory.forget(4);
        assert_eq!(memory.bytes(), b"PING");
        memory.hear(b"x", true, start + Duration::from_secs(2));
        assert_eq!(memory.bytes(), b"x");
        memory.hear(b"y", false, start + Duration::from_secs(2));
        assert_eq!(memory.bytes(), b"y");
        for _ in 0..100 {
            memory.hear(&[b'z'; 4096], true, start + Duration::from_secs(2));
        }
        assert_eq!(memory.bytes().len(), limits::MEMORY);
        memory.forget(usize::MAX - 2);
        assert!(memory.bytes().is_empty());
    }
}
