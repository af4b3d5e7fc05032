//! The lines of stdin for `send -l`, in batches as they arrive. Called by `send` alone.

use super::input::{BadLine, check, without_newline};
use crate::exit::{Exit, Failure, Outcome};
use netkit_proto::limits;
use std::io::Read;

/// Bytes asked of stdin at once.
const READ: usize = 64 * 1024;

/// A batch takes further lines until its texts have so many bytes. Then it is at most twice the longest text, and
/// even escaped to six times its size it fits a JSON-RPC line together with the members around each text.
const BATCH_BYTES: usize = limits::TEXT;

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
