//! Reads a record back, message by message and never more than one of them at a time: `json` lines, or `pcapng`, ours
//! or another program's. Called by `schedule`, which paces what is found here.

mod json;
mod pcapng;

use crate::exit::{Exit, Failure, Outcome, exit_of_io};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// What of a record is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// What was sent.
    Sent,
    /// What was received.
    Received,
    /// What this address sent, from any port or from this one.
    From(IpAddr, Option<u16>),
}

impl Pick {
    /// Reads `ADDRESS` or `ADDRESS:PORT`.
    ///
    /// # Errors
    /// A sentence that says what it looks like.
    pub(super) fn from(text: &str) -> Result<Pick, String> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Pick::From(socket.ip().to_canonical(), Some(socket.port())));
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let ip: Result<IpAddr, _> = bare.parse();
        ip.map(|ip| Pick::From(ip.to_canonical(), None))
            .map_err(|_| format!("{text:?} is no address such as 10.0.0.9 or 10.0.0.9:7890"))
    }

    fn takes(self, from: SocketAddr) -> bool {
        match self {
            Pick::From(ip, port) => {
                from.ip().to_canonical() == ip && port.is_none_or(|port| from.port() == port)
            }
            Pick::Sent | Pick::Received => false,
        }
    }
}

/// A message of the record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Since the Unix epoch.
    pub(super) at: Duration,
    pub(super) bytes: Vec<u8>,
}

/// A record that is being read.
pub(super) struct Reader {
    form: Form,
    path: String,
    found: u64,
}

enum Form {
    Json(json::Lines<BufReader<File>>),
    Pcapng(Box<pcapng::Packets<BufReader<File>>>),
}

impl Reader {
    /// Opens a record; its first byte tells of which kind it is.
    ///
    /// # Errors
    /// That it can't be read, or is none.
    pub(super) fn open(path: &Path, pick: Pick) -> Outcome<Reader> {
        let name = path.display().to_string();
        let failed = |e: std::io::Error| Failure::new(exit_of_io(&e), format!("reading {name}: {e}"));
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let is_json = file.fill_buf().map_err(failed)?.first() == Some(&b'{');
        let form = if is_json {
            Form::Json(json::Lines::new(file, pick))
        } else {
            let packets = pcapng::Packets::new(file, pick).map_err(|why| {
                Failure::new(Exit::Failed, format!("reading {name}: {why}"))
                    .hint("a record is pcapng or JSON lines; `editcap FILE out.pcapng` makes the first of other captures")
            });
            Form::Pcapng(Box::new(packets?))
        };
        Ok(Reader { form, path: name, found: 0 })
    }

    /// The next message; nothing at the end.
    ///
    /// # Errors
    /// That the record is broken, or has nothing of what was picked.
    pub(super) fn next(&mut self) -> Outcome<Option<Recorded>> {
        let next = match &mut self.form {
            Form::Json(lines) => lines.next(),
            Form::Pcapng(packets) => packets.next(),
        };
        let next = next.map_err(|why| Failure::new(Exit::Failed, format!("reading {}: {why}", self.path)))?;
        if next.is_none() && self.found == 0 {
            let nothing = Failure::new(Exit::Failed, format!("{} has nothing to send again", self.path));
            return Err(nothing
                .hint("--side received sends what was received; --from ADDRESS[:PORT] what that one sent"));
        }
        self.found += u64::from(next.is_some());
        Ok(next)
    }
}
