//! What this machine's kernel and files say of its network: read by `ip` and `port`, without netkitd. Each file reads
//! one thing, within a bound, and takes what it does not understand for absent. Nothing here sends or changes
//! anything.

pub(crate) mod interfaces;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod routes;
pub(crate) mod services;
pub(crate) mod sockets;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The lines of a file of the kernel's or of /etc, up to `bytes` of them; what is no UTF-8 is replaced. Also whether
/// there was more.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn read_lines(path: &Path, bytes: u64, mut take: impl FnMut(&str)) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(64 * 1024, File::open(path)?.take(bytes));
    let mut line = Vec::new();
    let mut read = 0;
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line)? {
            0 => return Ok(read >= bytes),
            n => read += n as u64,
        }
        take(String::from_utf8_lossy(&line).trim_end_matches('\n'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_asked_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |bytes| {
            let mut lines = Vec::new();
            let more = read_lines(file.path(), bytes, |line| lines.push(line.to_owned())).unwrap();
            (lines.join(","), more)
        };
        std::fs::write(file.path(), b"one\ntwo\xff\nthree").unwrap();
        assert_eq!(read(100), ("one,two\u{fffd},three".to_owned(), false));
        assert_eq!(read(6), ("one,tw".to_owned(), true));
        assert!(read_lines(Path::new("/no/such/file"), 1, |_| {}).is_err());
    }
}
