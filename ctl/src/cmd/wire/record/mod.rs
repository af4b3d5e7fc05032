//! The record of a session: a file that `--record` makes, as pcapng or as JSON lines. Called by `journal` for each
//! entry. Reading it back is in `replay`.

mod packets;
mod pcapng;
mod whole;

use super::entry::{Entry, Line};
use super::socket::Family;
use super::text::Encoding;
use crate::exit::{Failure, Outcome, exit_of_io};
use crate::format::show_bytes;
use crate::output::say;
use packets::Packets;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use whole::Whole;

/// What to record to.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) path: PathBuf,
    /// Whether a file that is there is replaced.
    pub(super) force: bool,
    /// Bytes; past it nothing more is recorded.
    pub(super) limit: u64,
}

impl Recording {
    /// That the file may be made, as far as that can be told without making it.
    ///
    /// # Errors
    /// That it is there already.
    pub(super) fn check(&self) -> Outcome {
        let is_there = !self.force && self.path.symlink_metadata().is_ok();
        if is_there { Err(cant_make(self, &rustix::io::Errno::EXIST.into())) } else { Ok(()) }
    }

    /// JSON lines by the name's end, else pcapng.
    fn is_json(&self) -> bool {
        let end = self.path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ["json", "jsonl", "ndjson"].contains(&end)
    }
}

/// A record that is being written.
pub(super) struct Record {
    settings: Recording,
    file: Whole,
    form: Form,
    family: Family,
    encoding: Encoding,
    written: u64,
    is_full: bool,
}

enum Form {
    Json,
    Pcapng(Packets),
}

impl Record {
    /// Makes the file.
    ///
    /// # Errors
    /// Why it can't be made; that it is there already.
    pub(super) fn create(
        settings: &Recording,
        family: Family,
        local: &str,
        encoding: Encoding,
    ) -> Outcome<Record> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).create_new(!settings.force);
        let opened = options.open(&settings.path).map_err(|e| cant_make(settings, &e));
        let mut record = Record {
            settings: settings.clone(),
            file: Whole::new(opened?),
            form: if settings.is_json() { Form::Json } else { Form::Pcapng(Packets::new(family)) },
            family,
            encoding,
            written: 0,
            is_full: false,
        };
        let head = match record.form {
            Form::Json => Vec::new(),
            Form::Pcapng(_) => pcapng::head(&format!("{} {local}", family.name())),
        };
        record.write(&head)?;
        record.flush()?;
        Ok(record)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// That the disk does not take it.
    pub(super) fn add(&mut self, entry: &Entry<'_>) -> Outcome {
        if self.is_full {
            return Ok(());
        }
        let bytes = match &mut self.form {
            Form::Json => {
                let mut line = Line::of(entry, self.family.name(), self.encoding).json().into_bytes();
                line.push(b'\n');
                line
            }
            Form::Pcapng(packets) => {
                packets.of(entry).iter().flat_map(|packet| pcapng::block(packet, entry.at)).collect()
            }
        };
        if self.written + bytes.len() as u64 > self.settings.limit {
            self.is_full = true;
            let limit = show_bytes(self.settings.limit);
            say(&format!("{} is full at {limit}: nothing more is recorded", self.settings.path.display()));
            return Ok(());
        }
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome {
        self.written += bytes.len() as u64;
        let added = self.file.add(bytes);
        self.told(added)
    }

    /// Hands all to the system.
    ///
    /// # Errors
    /// As [`Record::add`].
    pub(super) fn flush(&mut self) -> Outcome {
        let flushed = self.file.flush();
        self.told(flushed)
    }

    /// What the disk did not take ends the record.
    fn told(&mut self, done: io::Result<()>) -> Outcome {
        self.is_full |= done.is_err();
        done.map_err(|e| failed(&self.settings, &e))
    }
}

fn cant_make(settings: &Recording, e: &io::Error) -> Failure {
    match e.kind() {
        io::ErrorKind::AlreadyExists => failed(settings, e).hint("--force replaces it"),
        _ => failed(settings, e),
    }
}

fn failed(settings: &Recording, e: &io::Error) -> Failure {
    Failure::new(exit_of_io(e), format!("recording to {}: {e}", settings.path.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::entry::What;
    use super::super::peers::Facts;
    use super::*;
    use std::net::SocketAddr;
    use std::time::{Duration, SystemTime};

    /// A record of a stream: `ask` went a second after the epoch, `answer` came.
    pub(in super::super) fn sample() -> Vec<u8> {
        let (peer, local) = (SocketAddr::from(([10, 0, 0, 9], 502)), SocketAddr::from(([10, 0, 0, 1], 4000)));
        let peer = Facts {
            number: 1,
            address: peer.into(),
            name: peer.to_string(),
            local: local.into(),
            came: false,
        };
        let mut packets = Packets::new(Family::Tcp);
        let mut file = pcapng::head("tcp");
        for what in [
            What::Opened,
            What::Sent { bytes: b"ask", typed: false },
            What::Received { bytes: b"answer", cut: 0 },
            What::Closed { trouble: None },
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            let packets = packets.of(&Entry { at, peer: &peer, what });
            file.extend(packets.iter().flat_map(|packet| pcapng::block(packet, at)));
        }
        file
    }

    #[test]
    fn blocks_are_whole_words_and_end_with_their_length() {
        let file = sample();
        let (mut rest, mut blocks) = (&file[..], 0);
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(rest[4..8], rest[length - 4..length]);
            rest = &rest[length..];
            blocks += 1;
        }
        assert_eq!(blocks, 2 + 3 + 2 + 3, "two of the head, a handshake, two messages, a good end");
    }
}
