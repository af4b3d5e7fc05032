//! JSON lines as `--record` and `--json` write them. Called by `replay`.

use super::{Pick, Recorded};
use crate::cmd::wire::entry::Line;
use crate::cmd::wire::limits;
use crate::cmd::wire::payload::parse_hex;
use std::io::{BufRead, Read};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) struct Lines<R> {
    input: R,
    pick: Pick,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, pick: Pick) -> Lines<R> {
        Lines { input, pick, number: 0 }
    }

    /// The next message.
    ///
    /// # Errors
    /// A sentence that names the line that is none.
    pub(super) fn next(&mut self) -> Result<Option<Recorded>, String> {
        loop {
            let mut line = Vec::new();
            let most = limits::JSON_LINE as u64 + 1;
            let read =
                self.input.by_ref().take(most).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
            self.number += 1;
            if read == 0 {
                return Ok(None);
            }
            let number = self.number;
            if line.len() > limits::JSON_LINE {
                return Err(format!("line {number} is longer than {} KiB", limits::JSON_LINE / 1024));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(&line).map_err(|e| format!("line {number}: {e}"))?;
            let source = match line.kind.as_str() {
                "sent" => line.local.as_deref(),
                "received" => line.peer.as_deref(),
                _ => continue,
            };
            let is_picked = match self.pick {
                Pick::Sent => line.kind == "sent",
                Pick::Received => line.kind == "received",
                Pick::From(..) => source
                    .and_then(|from| from.parse::<SocketAddr>().ok())
                    .is_some_and(|from| self.pick.takes(from)),
            };
            if !is_picked {
                continue;
            }
            let at: jiff::Timestamp =
                line.at.parse().map_err(|_| format!("line {number}: {:?} is no time", line.at))?;
            let bytes = parse_hex(line.hex.as_deref().unwrap_or_default())
                .map_err(|e| format!("line {number}: {e}"))?;
            let at = Duration::from_nanos(u64::try_from(at.as_nanosecond()).unwrap_or_default());
            return Ok(Some(Recorded { at, bytes }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_picked_by_side_or_sender() {
        let record = concat!(
            r#"{"at":"1970-01-01T00:00:01.5Z","kind":"sent","local":"10.0.0.1:5","peer":"10.0.0.2:6","hex":"01"}"#,
            "\n\n",
            r#"{"at":"1970-01-01T00:00:02Z","kind":"received","local":"10.0.0.1:5","peer":"10.0.0.2:6","hex":"02","new":1}"#,
            "\n",
            r#"{"at":"1970-01-01T00:00:03Z","kind":"totals"}"#,
        );
        for (pick, expected) in [
            (Pick::Sent, vec![(1500, 1)]),
            (Pick::Received, vec![(2000, 2)]),
            (Pick::from("10.0.0.2").unwrap(), vec![(2000, 2)]),
            (Pick::from("10.0.0.1:5").unwrap(), vec![(1500, 1)]),
            (Pick::from("10.0.0.1:6").unwrap(), vec![]),
        ] {
            let mut lines = Lines::new(record.as_bytes(), pick);
            let found: Vec<_> = std::iter::from_fn(|| lines.next().unwrap()).collect();
            let found: Vec<_> = found.iter().map(|m| (m.at.as_millis(), m.bytes[0])).collect();
            assert_eq!(found, expected, "{pick:?}");
        }
        for broken in [
            "{",
            "[]",
            r#"{"at":"x","kind":"sent"}"#,
            r#"{"at":"1970-01-01T00:00:01Z","kind":"sent","hex":"1"}"#,
        ] {
            assert!(Lines::new(broken.as_bytes(), Pick::Sent).next().is_err(), "{broken}");
        }
        let endless = std::io::BufReader::new(std::io::repeat(b' '));
        assert!(Lines::new(endless, Pick::Sent).next().unwrap_err().contains("longer"));
    }
}
