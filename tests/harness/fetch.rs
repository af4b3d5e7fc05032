//! Clients of the file port that know nothing of HTTP but its words, and the tutorial's, which knows not even those.

use super::DEADLINE;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A connection with a deadline on every wait.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Asks as the tutorial does: the bare name in one piece, nothing behind it; reads 1,024 bytes at a time to the end.
pub fn fetch_bare(mut stream: TcpStream, name: impl AsRef<[u8]>) -> std::io::Result<Vec<u8>> {
    stream.write_all(name.as_ref())?;
    let (mut all, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(all),
            len => all.extend_from_slice(&piece[..len]),
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// `METHOD target` with these header lines, on a connection of its own.
pub fn http(to: SocketAddr, request: &str, headers: &[&str]) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let host = if headers.to_ascii_lowercase().contains("host:") {
        String::new()
    } else {
        format!("Host: {to}\r\n")
    };
    raw(to, format!("{request} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").as_bytes())
}

/// Bytes as they are, and what comes back until the end.
pub fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(to);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    parse(&answer)
}

/// An answer that came whole.
#[track_caller]
pub fn parse(answer: &[u8]) -> Answer {
    let end =
        answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, head, body: answer[end + 4..].to_vec() };
    if answer.header("transfer-encoding").is_some() {
        return Answer { body: unchunked(&answer.body), ..answer };
    }
    answer
}

/// The content of a chunked body (RFC 9112, section 7.1).
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return all;
        }
        all.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
