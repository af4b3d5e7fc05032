//! A conversation over pipes: each line of stdin is a message, each message a line of stdout. At the end of stdin it
//! ends once everything is sent.

use super::Settings;
use super::speaker::{Said, Speaker};
use crate::cmd::delivery::{Pending, TOPICS};
use crate::exit::{Exit, Failure, Outcome, common};
use crate::listener::Listener;
use crate::output::{Out, escape_line, say, tell};
use crate::wait::{self, Ready};
use netkit_proto::chat::plain::Encoding;
use netkit_proto::limits;
use netkit_proto::rpc::event::Event;
use netkit_proto::rpc::line::{Line, LineBuffer};
use rustix::fd::AsFd;
use std::io::Read;
use std::time::{Duration, Instant};

/// How long to wait, after the end of stdin, for netkitd to send what it has.
const SEND_OFF: Duration = Duration::from_secs(60);

pub(crate) fn run(settings: &Settings) -> Outcome {
    let listener = {
        let kinds = [&TOPICS[..], &["message.received"]].concat();
        Listener::open(settings.socket.clone(), settings.filter(&kinds), None)?
    };
    let speaker = Speaker::open(settings)?;
    let conversation = Conversation {
        listener,
        speaker,
        out: Out::stdout(),
        settings,
        pending: Pending::of(&settings.peer),
        refused: Vec::new(),
        // Longer ones netkitd refuses, with a reason.
        lines: LineBuffer::new(limits::TEXT),
        deadline: None,
    };
    conversation.run()
}

struct Conversation<'a> {
    listener: Listener,
    speaker: Speaker<'a>,
    out: Out,
    settings: &'a Settings,
    pending: Pending,
    /// Of lines that were not taken, each told already.
    refused: Vec<Exit>,
    lines: LineBuffer,
    /// Set at the end of stdin: nothing more is to be said.
    deadline: Option<Instant>,
}

impl Conversation<'_> {
    fn run(mut self) -> Outcome {
        let stdin = std::io::stdin();
        loop {
            if self.print_arrived()? {
                say(&format!("{} said bye", self.settings.peer));
                return Ok(());
            }
            if self.deadline.is_some() && self.pending.is_empty() {
                break;
            }
            let inputs = [self.listener.fd(), stdin.as_fd()];
            let inputs = if self.deadline.is_some() { &inputs[..1] } else { &inputs[..] };
            let ready = wait::readable(inputs, Some(self.out.fd()), self.deadline);
            match ready.map_err(|e| Failure::new(Exit::Failed, format!("waiting for a line: {e}")))? {
                Ready::Input(0) if self.listener.fill(self.deadline)? => {}
                Ready::Input(0) => break,
                Ready::Input(_) => self.read_lines(&mut stdin.lock())?,
                Ready::OutputClosed => return Ok(()),
                Ready::Deadline => break,
            }
        }
        match common(self.refused) {
            Some(exit) => Err(Failure::silent(exit)),
            None => self.pending.verdict(),
        }
    }

    /// Prints what has arrived; `true` where the peer ended the conversation.
    fn print_arrived(&mut self) -> Outcome<bool> {
        while let Some((record, raw)) = self.listener.arrived()? {
            let Event::Received { peer, text, encoding, .. } = &record.event else {
                self.pending.on_event(&record);
                continue;
            };
            if !self.settings.is_of_it(&record.event) {
                continue;
            }
            if self.settings.json {
                self.out.json(&raw)?;
            }
            if self.settings.is_bye(&record.event) {
                self.out.flush()?;
                return Ok(true);
            }
            if !self.settings.json {
                // In a room several talk.
                let who = self.settings.room.as_ref().map(|_| format!("{}: ", escape_line(peer)));
                let binary = if *encoding == Encoding::Hex { "[hex] " } else { "" };
                self.out.line(&format!("{}{binary}{}", who.unwrap_or_default(), escape_line(text)))?;
            }
        }
        self.out.flush()?;
        Ok(false)
    }

    fn read_lines(&mut self, stdin: &mut impl Read) -> Outcome {
        let mut chunk = [0; 64 * 1024];
        let read = stdin.read(&mut chunk);
        let read = read.map_err(|e| Failure::new(Exit::Failed, format!("reading stdin: {e}")))?;
        self.lines.push(if read == 0 { b"\n" } else { &chunk[..read] });
        while let Some(line) = self.lines.next_line() {
            if self.say_line(line)? {
                self.no_more();
                return Ok(());
            }
        }
        if read == 0 {
            self.no_more();
        }
        Ok(())
    }

    fn no_more(&mut self) {
        self.deadline = Some(Instant::now() + SEND_OFF);
    }

    /// Says one line; `true` where it was `bye`.
    fn say_line(&mut self, line: Line) -> Outcome<bool> {
        let text = match line {
            Line::Complete(bytes) => String::from_utf8(bytes).map_err(|_| "a line that is not UTF-8 text"),
            Line::TooLong => Err("a line longer than 64 KiB"),
        };
        let said = match text {
            Ok(text) => self.speaker.say(&text)?,
            Err(why) => Said::Refused(Failure::new(Exit::Failed, format!("{why} was not sent"))),
        };
        match said {
            Said::Committed(sent) => self.pending.add(sent.id, &sent.to),
            Said::Bye(sent) => {
                self.pending.add(sent.id, &sent.to);
                return Ok(true);
            }
            Said::Refused(failure) => {
                tell(&failure);
                self.refused.push(failure.exit);
            }
        }
        Ok(false)
    }
}
