//! What is read from stdin, as messages: lines as text, with escapes or in hex, or the bytes as they come. Called by
//! `run`, which reads no more while nobody takes what was read.

use super::append::{Append, append};
use super::limits;
use super::payload::{Payload, encode, parse_hex, unescape};
use super::text::Encoding;
use crate::exit::{Exit, Failure, Outcome};
use netkit_proto::rpc::line::{Line, LineBuffer};
use std::io::{ErrorKind, Read};

/// How stdin is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Each line is a message, without its newline; --append lf puts one behind it
    Text,
    /// The same with escapes such as \r\n and \xff
    Escaped,
    /// Each line is a message in hex
    Hex,
    /// The bytes as they come, newlines and all
    Raw,
    /// It is not read
    None,
}

/// Turns what was written into what is sent.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    pub(super) kind: Kind,
    pub(super) encoding: Encoding,
    pub(super) append: Vec<Append>,
}

impl Writing {
    /// The message of a line; none where there is nothing to send.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the line.
    pub(super) fn message(&self, line: &str) -> Result<Option<Payload>, String> {
        let bytes = match self.kind {
            Kind::Hex => parse_hex(line)?,
            Kind::Escaped => unescape(line, self.encoding)?,
            Kind::Text | Kind::Raw | Kind::None => encode(line, self.encoding)?,
        };
        Ok(self.finished(bytes))
    }

    /// The same of hex, whatever lines are.
    ///
    /// # Errors
    /// As [`Writing::message`].
    pub(super) fn of_hex(&self, hex: &str) -> Result<Option<Payload>, String> {
        parse_hex(hex).map(|bytes| self.finished(bytes))
    }

    fn finished(&self, mut bytes: Vec<u8>) -> Option<Payload> {
        append(&mut bytes, &self.append);
        (!bytes.is_empty()).then(|| bytes.into())
    }
}

/// stdin.
pub(super) struct Input {
    raw: Option<Payload>,
    lines: LineBuffer,
    is_raw: bool,
    /// Whether anything ever came.
    pub(super) was_there: bool,
    is_at_end: bool,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// A line.
    Line(String),
    /// Bytes to be sent as they are.
    Raw(Payload),
}

impl Input {
    pub(super) fn new(kind: Kind) -> Input {
        Input {
            raw: None,
            lines: LineBuffer::new(limits::LINE).with_blank_lines(),
            is_raw: kind == Kind::Raw,
            was_there: false,
            is_at_end: false,
        }
    }

    /// Whether there is nothing more, and will not be.
    pub(super) fn is_over(&self) -> bool {
        self.is_at_end
    }

    /// Reads once; call [`Input::next`] until it gives nothing before reading more.
    ///
    /// # Errors
    /// That stdin can't be read.
    pub(super) fn read(&mut self, mut from: impl Read) -> Outcome {
        let mut chunk = [0; limits::DATAGRAM]; // as one of these it may go
        let read = match from.read(&mut chunk) {
            Ok(read) => read,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => return Ok(()),
            Err(e) => return Err(Failure::new(Exit::Failed, format!("reading stdin: {e}"))),
        };
        self.was_there |= read > 0;
        self.is_at_end = read == 0;
        if self.is_raw {
            self.raw = (read > 0).then(|| chunk[..read].into());
        } else if read > 0 {
            self.lines.push(&chunk[..read]);
        } else {
            self.lines.end();
        }
        Ok(())
    }

    /// The next message.
    ///
    /// # Errors
    /// A sentence that says why a line was passed over.
    pub(super) fn next(&mut self) -> Option<Result<Came, String>> {
        if let Some(raw) = self.raw.take() {
            return Some(Ok(Came::Raw(raw)));
        }
        Some(match self.lines.next_line()? {
            Line::Complete(bytes) => match String::from_utf8(bytes) {
                Ok(line) => Ok(Came::Line(line)),
                Err(_) => {
                    Err("a line that is not UTF-8 text was not sent; --input raw sends bytes as they are"
                        .into())
                }
            },
            Line::TooLong => {
                Err(format!("a line longer than {} bytes was not sent; --input raw sends any", limits::LINE))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writing(kind: Kind, append: &[Append]) -> Writing {
        Writing { kind, encoding: Encoding::Utf8, append: append.to_vec() }
    }

    #[test]
    fn lines_become_messages() {
        for (kind, append, line, expected) in [
            (Kind::Text, &[][..], r"a\n", Some(&br"a\n"[..])),
            (Kind::Text, &[], "", None),
            (Kind::Text, &[Append::Crlf], "", Some(b"\r\n")),
            (Kind::Escaped, &[Append::Lf], r"a\x00", Some(b"a\0\n")),
            (Kind::Hex, &[Append::Sum8], "01 02", Some(b"\x01\x02\x03")),
        ] {
            assert_eq!(writing(kind, append).message(line).unwrap().as_deref(), expected, "{kind:?} {line}");
        }
        assert!(writing(Kind::Hex, &[]).message("xyz").is_err());
    }

    #[test]
    fn stdin_is_read_to_its_end() {
        let mut input = Input::new(Kind::Text);
        input.read(&b"one\r\n\n\xff\nlast"[..]).unwrap();
        let mut came = Vec::new();
        while let Some(next) = input.next() {
            came.push(next.ok());
        }
        input.read(&b""[..]).unwrap();
        came.push(input.next().unwrap().ok());
        let line = |text: &str| Some(Came::Line(text.to_owned()));
        assert_eq!(came, [line("one"), line(""), None, line("last")]);
        assert!(input.is_over() && input.was_there && input.next().is_none());

        let mut input = Input::new(Kind::Raw);
        input.read(&b"a\n\xff"[..]).unwrap();
        assert_eq!(input.next(), Some(Ok(Came::Raw(b"a\n\xff"[..].into()))));
    }
}
