//! Keeps what happens: counts it, shows it to people or programs, records it. Called by `run`, `receive` and `send` for
//! every entry; `screen` is where what is shown goes.

use super::entry::{Entry, Line, What};
use super::peers::{Counter, Peer};
use super::record::Record;
use super::screen::Screen;
use super::settings::Settings;
use super::show::{Format, most, show};
use super::socket::{Family, show_address};
use super::text::Encoding;
use crate::exit::Outcome;
use jiff::tz::TimeZone;
use rustix::net::SocketAddrAny;
use std::time::SystemTime;

pub(super) struct Journal {
    pub(super) screen: Screen,
    record: Option<Record>,
    pub(super) received: Counter,
    pub(super) sent: Counter,
    pub(super) format: Format,
    encoding: Encoding,
    family: Family,
    local: String,
    json: bool,
    quiet: bool,
    /// Whether what is sent is shown to people, too.
    shows_sent: bool,
    zone: TimeZone,
}

impl Journal {
    /// Begins the record, and says where we are.
    ///
    /// # Errors
    /// Where the record can't be made.
    pub(super) fn open(settings: &Settings, screen: Screen, local: &SocketAddrAny) -> Outcome<Journal> {
        let local = show_address(local);
        let family = settings.endpoint.family;
        let record = settings.record.as_ref();
        let record =
            record.map(|record| Record::create(record, family, &local, settings.encoding)).transpose()?;
        Ok(Journal {
            record,
            received: Counter::default(),
            sent: Counter::default(),
            format: settings.format,
            encoding: settings.encoding,
            family,
            local,
            json: settings.json,
            quiet: settings.quiet,
            shows_sent: settings.shows_sent,
            zone: crate::time::now().time_zone().clone(),
            screen,
        })
    }

    /// Tells people and programs where we listen, or whom we are connected to.
    pub(super) fn announce(&mut self, text: &str, kind: &str) -> Outcome {
        self.talk(text);
        if self.json {
            self.screen.json(&Line::about(kind, self.family.name(), &self.local).json())?;
        }
        Ok(())
    }

    /// Says something to people, not to programs.
    pub(super) fn talk(&mut self, text: &str) {
        if !self.quiet {
            self.screen.talk(text);
        }
    }

    /// Says something that is said even if they asked for quiet.
    pub(super) fn warn(&mut self, text: &str) {
        self.screen.talk(text);
    }

    /// Takes an entry down.
    ///
    /// # Errors
    /// Where stdout or the record does not take it.
    pub(super) fn enter(&mut self, peer: &mut Peer, what: What<'_>) -> Outcome {
        match what {
            What::Received { bytes, .. } => {
                peer.received.count(bytes.len());
                self.received.count(bytes.len());
            }
            What::Sent { bytes, .. } => {
                peer.sent.count(bytes.len());
                self.sent.count(bytes.len());
            }
            What::Opened | What::Closed { .. } => {}
        }
        let entry = Entry { at: SystemTime::now(), peer: &peer.facts, what };
        if let Some(record) = &mut self.record {
            record.add(&entry)?;
        }
        self.show(&entry)
    }

    fn show(&mut self, entry: &Entry<'_>) -> Outcome {
        if self.json {
            let line = Line::of(entry, self.family.name(), self.encoding).json();
            return self.screen.json(&line);
        }
        let most = most(self.screen.is_terminal());
        let shown = |format| show(entry, format, self.encoding, &self.zone, most);
        match entry.what {
            What::Received { bytes, .. } if self.format == Format::Raw => self.screen.bytes(bytes),
            What::Received { .. } => self.screen.line(&shown(self.format)),
            What::Sent { typed, .. } if self.shows_sent && !typed => self.screen.line(&shown(self.format)),
            What::Sent { .. } => Ok(()),
            // Of datagrams nobody comes or goes, and that we connected was told.
            What::Opened if !entry.peer.came => Ok(()),
            What::Opened | What::Closed { .. } if !self.family.is_stream() => Ok(()),
            What::Opened | What::Closed { .. } => {
                let line = shown(Format::Text);
                self.talk(&line);
                Ok(())
            }
        }
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// As [`Journal::enter`].
    pub(super) fn flush(&mut self) -> Outcome {
        let recorded = self.record.as_mut().map_or(Ok(()), Record::flush);
        self.screen.flush().and(recorded)
    }

    /// The last words.
    pub(super) fn close(&mut self) -> Outcome {
        if self.json {
            let mut line = Line::about("totals", self.family.name(), &self.local);
            (line.received, line.sent) = (Some(self.received.into()), Some(self.sent.into()));
            let told = self.screen.json(&line.json());
            return self.flush().and(told); // the record is to be whole though nobody reads this
        }
        self.talk(&format!("received {}, sent {}", counted(self.received), counted(self.sent)));
        self.flush()
    }
}

/// A counter for people.
pub(super) fn counted(counter: Counter) -> String {
    let s = if counter.messages == 1 { "" } else { "s" };
    format!("{} message{s}, {} bytes", counter.messages, counter.bytes)
}
