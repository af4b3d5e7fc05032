//! What a [`Source`](super::Source) answers: honest, or nasty in one of the ways that servers are.

use super::source::{Request, Shared};
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a connection ends in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As if that were all.
    Clean,
    /// What the kernel has not sent yet, 128 KiB at most, does not arrive.
    Reset,
}

/// What is said of the body's length.
#[derive(Clone, Copy)]
enum Length {
    True,
    Told(usize),
    Chunked,
}

/// An answer. To a bare name only its body is sent.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: String,
    bytes: Arc<[u8]>,
    range: Range<usize>,
    length: Length,
    piece: usize,
    rate: Option<u64>,
    stall_after: Option<usize>,
    cut_after: Option<(usize, End)>,
    endless: bool,
}

impl Reply {
    /// 200 and these bytes.
    pub fn bytes(bytes: &Arc<[u8]>) -> Reply {
        Reply {
            status: 200,
            headers: String::new(),
            bytes: bytes.clone(),
            range: 0..bytes.len(),
            length: Length::True,
            piece: 64 << 10,
            rate: None,
            stall_after: None,
            cut_after: None,
            endless: false,
        }
    }

    /// This status and a text for people.
    pub fn status(status: u16) -> Reply {
        let text = format!("<h1>{status}</h1>\n").into_bytes();
        Reply { status, ..Reply::bytes(&text.into()) }
    }

    pub fn redirect(to: &str) -> Reply {
        Reply::status(302).header(&format!("Location: {to}"))
    }

    pub fn with_status(self, status: u16) -> Reply {
        Reply { status, ..self }
    }

    pub fn header(mut self, line: &str) -> Reply {
        self.headers.push_str(line);
        self.headers.push_str("\r\n");
        self
    }

    /// Only this part of the bytes, whatever was asked for.
    pub fn part(self, range: Range<usize>) -> Reply {
        Reply { range, ..self }
    }

    /// No length is told.
    pub fn chunked(self) -> Reply {
        Reply { length: Length::Chunked, ..self }
    }

    /// The length is told wrong.
    pub fn announce(self, length: usize) -> Reply {
        Reply { length: Length::Told(length), ..self }
    }

    /// In pieces of so many bytes.
    pub fn pieces(self, piece: usize) -> Reply {
        Reply { piece, ..self }
    }

    /// So many bytes a second.
    pub fn rate(self, rate: u64) -> Reply {
        let piece = self.piece.min(usize::try_from(rate / 50).unwrap().max(1));
        Reply { rate: Some(rate), piece, ..self }
    }

    /// Sends nothing behind so many bytes of the body until [`Source::go_on`](super::Source::go_on).
    pub fn stall_after(self, len: usize) -> Reply {
        Reply { stall_after: Some(len), ..self }
    }

    /// Ends the connection behind so many bytes of the body.
    pub fn cut_after(self, len: usize, end: End) -> Reply {
        Reply { cut_after: Some((len, end)), ..self }
    }

    /// The bytes again and again.
    pub fn endless(self) -> Reply {
        Reply { endless: true, ..self }
    }

    /// The status line and the headers.
    pub(super) fn head(&self) -> String {
        let length = match self.length {
            Length::True => format!("Content-Length: {}\r\n", self.range.len()),
            Length::Told(told) => format!("Content-Length: {told}\r\n"),
            Length::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        format!("HTTP/1.1 {} Word\r\n{length}{}\r\n", self.status, self.headers)
    }

    /// Sends the body. `Some`: the connection is to end, in this way.
    pub(super) fn send(&self, mut to: &TcpStream, shared: &Shared, request: &Request) -> Option<End> {
        let begin = Instant::now();
        let (mut sent, chunked) = (0, matches!(self.length, Length::Chunked));
        loop {
            let stop = self.cut_after.filter(|(at, _)| sent == *at);
            if let Some((_, end)) = stop {
                return Some(end);
            }
            if self.stall_after == Some(sent) && !shared.wait_to_go_on() {
                return Some(End::Reset);
            }
            let at = if self.endless { sent % self.range.len() } else { sent };
            // Up to the next place where something happens.
            let marks = [self.cut_after.map(|(at, _)| at), self.stall_after];
            let room = marks.into_iter().flatten().filter(|&mark| mark > sent).map(|mark| mark - sent);
            let len = room.chain([self.piece, self.range.len() - at]).min().unwrap();
            if len == 0 {
                break;
            }
            if let Some(rate) = self.rate.filter(|_| !shared.is_hurried()) {
                let due = begin + Duration::from_secs_f64((sent + len) as f64 / rate as f64);
                shared.wait_until(due);
            }
            let piece = &self.bytes[self.range.start + at..][..len];
            let written = if chunked {
                to.write_all(&[format!("{len:x}\r\n").as_bytes(), piece, b"\r\n"].concat())
            } else {
                to.write_all(piece)
            };
            if written.is_err() {
                return Some(End::Clean);
            }
            sent += len;
            shared.count(request, len);
        }
        if chunked && to.write_all(b"0\r\n\r\n").is_err() {
            return Some(End::Clean);
        }
        let is_short = matches!(self.length, Length::Told(told) if told != sent);
        is_short.then_some(End::Clean)
    }
}

/// A file as an honest server has it.
#[derive(Clone)]
pub struct File {
    pub bytes: Arc<[u8]>,
    etag: Option<String>,
    modified: bool,
    ranges: bool,
}

impl File {
    /// With ranges and a strong validator.
    pub fn new(bytes: &Arc<[u8]>) -> File {
        File { bytes: bytes.clone(), etag: Some("\"one\"".into()), modified: true, ranges: true }
    }

    pub fn etag(self, etag: &str) -> File {
        File { etag: Some(etag.to_owned()), ..self }
    }

    /// Nothing tells it from another.
    pub fn without_validator(self) -> File {
        File { etag: None, modified: false, ..self }
    }

    /// Always whole.
    pub fn without_ranges(self) -> File {
        File { ranges: false, ..self }
    }

    /// What an honest server answers.
    pub fn answer(&self, request: &Request) -> Reply {
        let mut reply = Reply::bytes(&self.bytes);
        if let Some(etag) = &self.etag {
            reply = reply.header(&format!("ETag: {etag}"));
        }
        if self.modified {
            reply = reply.header("Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT");
        }
        if !self.ranges {
            return reply;
        }
        reply = reply.header("Accept-Ranges: bytes");
        // A weak validator never matches (RFC 9110, section 13.1.5).
        let is_same = request.if_range.as_ref().is_none_or(|validator| {
            let is_etag = Some(validator) == self.etag.as_ref() && !validator.starts_with("W/");
            is_etag || (self.modified && validator == "Wed, 01 Jan 2020 00:00:00 GMT")
        });
        let Some((from, to)) = request.wanted().filter(|_| is_same) else { return reply };
        let len = self.bytes.len();
        if from >= len {
            return Reply::status(416).header(&format!("Content-Range: bytes */{len}"));
        }
        let end = to.map_or(len, |to| len.min(to + 1));
        reply.partial(from..end)
    }
}

impl Reply {
    /// 206 and this part of the bytes.
    pub fn partial(self, range: Range<usize>) -> Reply {
        let told = format!("Content-Range: bytes {}-{}/{}", range.start, range.end - 1, self.bytes.len());
        self.part(range).with_status(206).header(&told)
    }
}
