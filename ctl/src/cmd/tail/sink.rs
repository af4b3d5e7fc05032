//! Where events go: to stdout in one of the formats, or to a command, one run each.

use super::settings::Settings;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::{Format, short, text_of};
use crate::output::{Out, escape, say};
use crate::time::now;
use netkit_proto::rpc::event::{Event, Record};
use regex::Regex;
use rustix::fd::BorrowedFd;
use serde_json::value::RawValue;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

pub(crate) struct Sink {
    out: Out,
    format: Format,
    grep: Option<Regex>,
    exec: Option<String>,
}

impl Sink {
    pub(crate) fn new(out: Out, settings: &Settings) -> Sink {
        Sink { out, format: settings.format, grep: settings.grep.clone(), exec: settings.exec.clone() }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.out.fd()
    }

    pub(crate) fn runs_commands(&self) -> bool {
        self.exec.is_some()
    }

    /// Whether this event is to be printed, as far as netkitd can't tell.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let text = text_of(event);
        let shows = self.format != Format::Cat || self.exec.is_some() || text.is_some();
        let matches = self.grep.as_ref().is_none_or(|grep| text.is_some_and(|text| grep.is_match(text)));
        shows && matches
    }

    /// Prints an event or runs the command for it.
    pub(crate) fn emit(&mut self, record: &Record, raw: &RawValue) -> Outcome {
        if let Some(command) = &self.exec {
            return run_command(command, record, raw);
        }
        match self.format {
            Format::Json => self.out.json(raw.get()),
            Format::Short => self.out.line(&short(record, raw.get(), &now())),
            Format::Cat => {
                let text = text_of(&record.event).unwrap_or_default();
                if self.out.is_terminal() { self.out.line(&escape(text)) } else { self.out.line(text) }
            }
        }
    }

    /// Tells that events are missing.
    pub(crate) fn gap(&mut self, sentence: &str, raw: &RawValue) -> Outcome {
        if self.format == Format::Json && self.exec.is_none() {
            return self.out.json(raw.get());
        }
        // In its place among the lines, should both go to one terminal.
        self.out.flush()?;
        say(sentence);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Outcome {
        self.out.flush()
    }
}

/// The members of an event that the command gets, as they are in its JSON.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Members {
    kind: String,
    peer: String,
    id: String,
    trust: String,
    room: String,
    verified: bool,
    encoding: String,
    bye: bool,
}

fn run_command(command: &str, record: &Record, raw: &RawValue) -> Outcome {
    let failed = |why: String| {
        Failure::new(Exit::Failed, format!("the command for event {}: {why}", record.seq))
            .hint("the event was not done with: with --cursor the next tail begins with it")
    };
    let members: Members = serde_json::from_str(raw.get()).map_err(|e| failed(e.to_string()))?;
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("NETKIT_SEQ", record.seq.to_string())
        .env("NETKIT_AT", record.at.to_string())
        .env("NETKIT_KIND", members.kind)
        .env("NETKIT_PEER", members.peer)
        .env("NETKIT_ID", members.id)
        .env("NETKIT_TRUST", members.trust)
        .env("NETKIT_ROOM", members.room)
        .env("NETKIT_VERIFIED", members.verified.to_string())
        .env("NETKIT_ENCODING", members.encoding)
        .env("NETKIT_BYE", members.bye.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("starting sh: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let text = text_of(&record.event).unwrap_or_default();
        match stdin.write_all(format!("{text}\n").as_bytes()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => return Err(failed(format!("writing to it: {e}"))),
            _ => {} // it need not read what it has no use for
        }
    }
    let status = child.wait().map_err(|e| failed(format!("waiting for it: {e}")))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}
