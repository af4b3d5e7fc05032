//! Which language a connection to the file port speaks, told from its first bytes. The listener asks this after each
//! read; nothing is remembered.
//!
//! - 0x16 begins TLS.
//! - `METHOD SP (/ | * | http)` begins HTTP. What is a proper prefix of that waits for its newline.
//! - The rest is the tutorial's request: a bare file name, complete at its newline, at the end of what the client
//!   sends, or when nothing more came for a moment, since the tutorial's client sends no terminator.

use crate::limits;

/// The methods that begin HTTP (RFC 9110, RFC 5789; PRI: RFC 9113, section 3.4).
const METHODS: [&[u8]; 10] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH", b"PRI"];
/// What can follow a method and a space.
const TARGETS: [&[u8]; 3] = [b"/", b"*", b"http"];

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing came yet.
    Silent,
    /// May become HTTP: wait for a newline or the end.
    Undecided,
    /// A bare name so far: complete when nothing more comes for a moment.
    Name,
    /// A bare name of so many bytes, complete.
    CompleteName(usize),
    /// HTTP.
    Http,
    /// TLS.
    Tls,
    /// Nothing that begins here makes sense: too long for a name.
    TooLong,
}

/// Tells what `bytes` begin. `ended`: nothing more will come, or nothing more is waited for.
#[must_use]
pub fn classify(bytes: &[u8], ended: bool) -> Start {
    let Some(&first) = bytes.first() else { return Start::Silent };
    if first == 0x16 {
        return Start::Tls;
    }
    match begins_http(bytes) {
        Some(true) => return Start::Http,
        None if !ended => return Start::Undecided,
        Some(false) | None => {}
    }
    let newline = bytes.iter().position(|&b| b == b'\n');
    let length = newline.unwrap_or(bytes.len());
    if length > limits::BARE_NAME {
        Start::TooLong
    } else if newline.is_some() || ended {
        let name = &bytes[..length];
        Start::CompleteName(name.strip_suffix(b"\r").unwrap_or(name).len())
    } else {
        Start::Name
    }
}

/// Whether `bytes` begin as HTTP does; `None`: they may yet.
fn begins_http(bytes: &[u8]) -> Option<bool> {
    let mut may = false;
    for method in METHODS {
        for target in TARGETS {
            let pattern = method.iter().chain(b" ").chain(target);
            let length = method.len() + 1 + target.len();
            let agrees = pattern.zip(bytes).all(|(a, b)| a == b);
            if agrees && bytes.len() >= length {
                return Some(true);
            }
            may |= agrees;
        }
    }
    if may { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        for (bytes, open, ended) in [
            (&b""[..], Start::Silent, Start::Silent),
            (b"\x16\x03\x01", Start::Tls, Start::Tls),
            (b"GET / HTTP/1.1\r\n", Start::Http, Start::Http),
            (b"GET /", Start::Http, Start::Http),
            (b"GET http://x/", Start::Http, Start::Http),
            (b"OPTIONS *", Start::Http, Start::Http),
            (b"PRI * HTTP/2.0\r\n", Start::Http, Start::Http),
            (b"GET htt", Start::Undecided, Start::CompleteName(7)),
            (b"G", Start::Undecided, Start::CompleteName(1)),
            (b"GET", Start::Undecided, Start::CompleteName(3)),
            (b"GET\n", Start::CompleteName(3), Start::CompleteName(3)),
            (b"GET \r\n", Start::CompleteName(4), Start::CompleteName(4)),
            (b"GET file", Start::Name, Start::CompleteName(8)),
            (b"get / HTTP/1.1\n", Start::CompleteName(14), Start::CompleteName(14)),
            (b"PATCHES", Start::Name, Start::CompleteName(7)),
            (b"notes.txt", Start::Name, Start::CompleteName(9)),
            (b"notes.txt\r\nrest", Start::CompleteName(9), Start::CompleteName(9)),
            (b"\n", Start::CompleteName(0), Start::CompleteName(0)),
            (b"\xc4\xe3\xba\xc3", Start::Name, Start::CompleteName(4)),
        ] {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(classify(bytes, false), open, "{shown:?}");
            assert_eq!(classify(bytes, true), ended, "{shown:?} and no more");
        }
        let long = [b'x'; limits::BARE_NAME + 1];
        assert_eq!(classify(&long, false), Start::TooLong);
        assert_eq!(classify(&long[1..], true), Start::CompleteName(limits::BARE_NAME));
    }

    #[test]
    fn a_request_cut_anywhere_is_still_a_request() {
        for method in METHODS {
            let request = [method, b" /share/file HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
            for cut in 1..request.len() {
                let start = classify(&request[..cut], false);
                assert!(matches!(start, Start::Undecided | Start::Http), "{cut} of {request:?}: {start:?}");
            }
        }
    }
}
