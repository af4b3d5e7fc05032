//! The record of a session: a file that `--record` makes, as pcapng or as JSON lines. Called by `journal` for each
//! entry. Reading it back is in `replay`.

mod packets;
mod pcapng;

use super::entry::{Entry, Line};
use super::socket::Family;
use super::text::Encoding;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::show_bytes;
use crate::output::say;
use packets::Packets;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

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
    /// JSON lines by the name's end, else pcapng.
    fn is_json(&self) -> bool {
        let end = self.path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ["json", "jsonl", "ndjson"].contains(&end)
    }
}

/// A record that is being written.
pub(super) struct Record {
    settings: Recording,
    file: BufWriter<File>,
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
        let opened = options.open(&settings.path).map_err(|e| {
            let failed = Failure::new(Exit::Failed, format!("recording to {}: {e}", settings.path.display()));
            match e.kind() {
                io::ErrorKind::AlreadyExists => failed.hint("--force replaces it"),
                _ => failed,
            }
        });
        let mut record = Record {
            settings: settings.clone(),
            file: BufWriter::new(opened?),
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
        self.file.write_all(bytes).map_err(|e| failed(&self.settings, &e))
    }

    /// Hands all to the system.
    ///
    /// # Errors
    /// As [`Record::add`].
    pub(super) fn flush(&mut self) -> Outcome {
        self.file.flush().map_err(|e| failed(&self.settings, &e))
    }
}

fn failed(settings: &Recording, e: &io::Error) -> Failure {
    let exit = if e.kind() == io::ErrorKind::StorageFull { Exit::NoSpace } else { Exit::Failed };
    Failure::new(exit, format!("recording to {}: {e}", settings.path.display()))
}
