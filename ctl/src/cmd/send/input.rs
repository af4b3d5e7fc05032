//! Where the text of `send` comes from: the command line, all of stdin, or its lines. Called by `send` alone.

use crate::exit::{Exit, Failure, Outcome};
use netkit_proto::limits;
use std::io::Read;

/// Bytes asked of stdin at once.
const READ: usize = 64 * 1024;

/// A batch takes further lines until its texts have so many bytes. Then it is at most twice the longest text, and
/// even escaped to six times its size it fits a JSON-RPC line together with the members around each text.
const BATCH_BYTES: usize = limits::TEXT;

/// Where the text comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Text(String),
    /// All of stdin is one message.
    Stdin,
    /// Each line of stdin is one.
    Lines,
}

/// Which source the flags mean.
pub(crate) fn source(text: Option<String>, lines: bool, stdin_is_terminal: bool) -> Outcome<Source> {
    match (text.as_deref(), lines) {
        (Some("-"), true) => Ok(Source::Lines),
        (Some("-"), false) => Ok(Source::Stdin),
        (Some(_), true) => {
            Err(Failure::new(Exit::Usage, "-l sends the lines of stdin, but there is also a TEXT")
                .hint("leave one of them away"))
        }
        (None, _) if stdin_is_terminal => {
            Err(nothing_to_send().hint("give a TEXT, or - to type it, or pipe it in; netkitctl chat talks"))
        }
        (None, true) => Ok(Source::Lines),
        (None, false) => Ok(Source::Stdin),
        (Some(_), false) => Ok(Source::Text(text.unwrap_or_default())),
    }
}

fn nothing_to_send() -> Failure {
    Failure::new(Exit::Usage, "nothing to send")
}

/// All of `input` as one text, without one newline at its end.
pub(crate) fn read_all(input: impl Read) -> Outcome<String> {
    let mut bytes = Vec::new();
    let most = limits::TEXT + 1; // and its newline
    let read = input.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::new(Exit::Failed, format!("reading stdin: {e}")))?;
    let text = without_newline(&bytes);
    if text.is_empty() {
        return Err(nothing_to_send().hint("stdin was empty"));
    }
    check(text).map_err(|BadLine(why)| {
        Failure::new(Exit::Failed, format!("stdin as one message: {why}"))
            .hint("with -l each line is a message of its own")
    })
}

/// A line that can't be sent, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine(pub String);

fn check(text: &[u8]) -> Result<String, BadLine> {
    if text.len() > limits::TEXT {
        return Err(BadLine(format!("it is longer than {} KiB", limits::TEXT / 1024)));
    }
    let text = std::str::from_utf8(text).map_err(|_| BadLine("it is not UTF-8 text".into()))?;
    Ok(text.to_owned())
}

fn without_newline(bytes: &[u8]) -> &[u8] {
    let Some(line) = bytes.strip_suffix(b"\n") else { return bytes };
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Lines with their numbers, from 1.
pub(crate) type Batch = Vec<(u64, Result<String, BadLine>)>;

/// Cuts stdin into batches of lines, never waiting for more while there is something to send.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
    /// Where the next line starts in `bytes`.
    start: usize,
    number: u64,
    /// Inside a line that is too long; it was reported.
    skipping: bool,
    ended: bool,
}

impl<R: Read> Lines<R> {
    /// The lines of `input`.
    pub(crate) fn new(input: R) -> Lines<R> {
        Lines { input, bytes: Vec::new(), start: 0, number: 0, skipping: false, ended: false }
    }

    /// The next lines, at most a JSON-RPC batch of them; waits only for the first one. `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Outcome<Option<Batch>> {
        loop {
            let mut batch = Batch::new();
            let mut size = 0;
            while batch.len() < limits::RPC_BATCH && size < BATCH_BYTES {
                let Some(line) = self.next_line() else { break };
                size += line.as_ref().map_or(0, String::len);
                batch.push((self.number, line));
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            self.read()?;
        }
    }

    /// The next line that is complete in `bytes`.
    fn next_line(&mut self) -> Option<Result<String, BadLine>> {
        loop {
            let rest = &self.bytes[self.start..];
            let end = match rest.iter().position(|&b| b == b'\n') {
                Some(newline) => newline + 1,
                None if self.ended && !rest.is_empty() => rest.len(),
                None if rest.len() > limits::TEXT + 1 => {
                    // Reported once and forgotten, so that an endless line holds no memory.
                    let len = rest.len();
                    if std::mem::replace(&mut self.skipping, true) {
                        self.start += len;
                        return None;
                    }
                    return Some(self.take(len));
                }
                None => return None,
            };
            if std::mem::take(&mut self.skipping) {
                self.start += end;
                continue;
            }
            return Some(self.take(end));
        }
    }

    fn take(&mut self, len: usize) -> Result<String, BadLine> {
        let line = &self.bytes[self.start..self.start + len];
        self.start += len;
        self.number += 1;
        check(without_newline(line))
    }

    fn read(&mut self) -> Outcome {
        self.bytes.drain(..self.start);
        self.start = 0;
        let old = self.bytes.len();
        self.bytes.resize(old + READ, 0);
        let read = loop {
            match self.input.read(&mut self.bytes[old..]) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(old + *read.as_ref().unwrap_or(&0));
        self.ended = read.map_err(|e| Failure::new(Exit::Failed, format!("reading stdin: {e}")))? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one piece per read, as a slow pipe does.
    struct Pieces(Vec<&'static [u8]>);
    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn texts(batch: Batch) -> Vec<(u64, String)> {
        batch.into_iter().map(|(n, line)| (n, line.unwrap_or_else(|BadLine(why)| why))).collect()
    }

    fn batches(mut lines: Lines<impl Read>) -> Vec<Vec<(u64, String)>> {
        std::iter::from_fn(|| lines.next_batch().unwrap().map(texts)).collect()
    }

    #[test]
    fn the_source_follows_from_the_flags() {
        let text = |t: &str| Some(t.to_owned());
        for (given, lines, terminal, expected) in [
            (text("hi"), false, true, Ok(Source::Text("hi".into()))),
            (text("-"), false, true, Ok(Source::Stdin)),
            (text("-"), true, false, Ok(Source::Lines)),
            (None, false, false, Ok(Source::Stdin)),
            (None, true, false, Ok(Source::Lines)),
            (None, false, true, Err(Exit::Usage)),
            (text("hi"), true, false, Err(Exit::Usage)),
        ] {
            let found = source(given.clone(), lines, terminal).map_err(|f| f.exit);
            assert_eq!(found, expected, "{given:?} {lines} {terminal}");
        }
    }

    #[test]
    fn one_newline_at_the_end_is_dropped() {
        for (input, expected) in [
            ("a\n", Ok("a")),
            ("a\nb\n\n", Ok("a\nb\n")),
            ("a", Ok("a")),
            ("\n", Err(Exit::Usage)),
            ("", Err(Exit::Usage)),
        ] {
            let read = read_all(input.as_bytes()).map_err(|f| f.exit);
            assert_eq!(read.as_deref(), expected.as_deref(), "{input:?}");
        }
        assert!(read_all(&b"\xff"[..]).is_err());
        assert!(read_all("a".repeat(limits::TEXT).as_bytes()).is_ok());
        assert!(read_all("a".repeat(limits::TEXT + 1).as_bytes()).is_err());
    }

    #[test]
    fn a_line_on_a_slow_pipe_goes_at_once() {
        let found = batches(Lines::new(Pieces(vec![b"one\n", b"two\r\nth", b"ree\n\nfour"])));
        let line = |n, text: &str| (n, text.to_owned());
        assert_eq!(
            found,
            [
                vec![line(1, "one")],
                vec![line(2, "two")],
                vec![line(3, "three"), line(4, "")],
                vec![line(5, "four")]
            ]
        );
        assert!(batches(Lines::new(&b""[..])).is_empty());
    }

    #[test]
    fn batches_are_bounded_and_bad_lines_keep_their_numbers() {
        let many = "x\n".repeat(limits::RPC_BATCH + 1);
        assert_eq!(batches(Lines::new(many.as_bytes())).iter().map(Vec::len).collect::<Vec<_>>(), [100, 1]);
        let mut input = vec![b'y'; 5 * limits::TEXT];
        input.extend_from_slice(b"\n\xff\nok\n");
        let found = batches(Lines::new(&input[..])).concat();
        assert_eq!(found.len(), 3);
        assert!(found[0].1.contains("longer than 64 KiB") && found[1].1.contains("not UTF-8"));
        assert_eq!(found[2], (3, "ok".to_owned()));
    }
}
