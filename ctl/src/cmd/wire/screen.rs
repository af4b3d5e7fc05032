//! Where what is shown goes: stdout and stderr, or above the line that somebody edits. Called by `journal`. What it is
//! given is escaped already, but for talk.

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, escape_line, say};
use rustix::fd::BorrowedFd;
use std::sync::mpsc::{SyncSender, TrySendError};

pub(super) enum Screen {
    /// Data on stdout, talk on stderr.
    Plain(Out),
    /// Both above the prompt. A terminal that is slower than the wire misses lines, and is told how many: the wire
    /// must not wait for it.
    Prompt { lines: SyncSender<String>, missed: u64 },
}

impl Screen {
    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Screen::Plain(out) => out.is_terminal(),
            Screen::Prompt { .. } => true,
        }
    }

    /// For noticing that the reader of stdout has left.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Screen::Plain(out) => Some(out.fd()),
            Screen::Prompt { .. } => None,
        }
    }

    /// Prints a line of data.
    ///
    /// # Errors
    /// Where stdout does not take it, or the terminal is gone.
    pub(super) fn line(&mut self, text: &str) -> Outcome {
        match self {
            Screen::Plain(out) => out.line(text),
            Screen::Prompt { lines, missed } => {
                let note =
                    if *missed > 0 { format!("… {missed} lines were not shown\n") } else { String::new() };
                match lines.try_send(format!("{note}{text}\n")) {
                    Ok(()) => *missed = 0,
                    Err(TrySendError::Full(_)) => *missed += 1,
                    Err(TrySendError::Disconnected(_)) => {
                        return Err(Failure::new(Exit::Failed, "the terminal is gone"));
                    }
                }
                Ok(())
            }
        }
    }

    /// Prints JSON as a line.
    ///
    /// # Errors
    /// As [`Screen::line`].
    pub(super) fn json(&mut self, json: &str) -> Outcome {
        match self {
            Screen::Plain(out) => out.json(json),
            Screen::Prompt { .. } => self.line(&crate::output::escape_json(json)),
        }
    }

    /// Prints bytes as they are; a terminal is never given them.
    ///
    /// # Errors
    /// As [`Screen::line`].
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        match self {
            Screen::Plain(out) => out.bytes(bytes),
            Screen::Prompt { .. } => self.line(&escape_line(&String::from_utf8_lossy(bytes))),
        }
    }

    /// Says something; what a peer may have in it is escaped.
    pub(super) fn talk(&mut self, text: &str) {
        match self {
            Screen::Plain(out) => {
                let _ = out.flush(); // so that both stand in their order; what fails is told by the next line
                say(text);
            }
            Screen::Prompt { .. } => {
                let _ = self.line(&escape_line(text)); // the next line of data tells
            }
        }
    }

    /// Hands everything to the reader of stdout.
    ///
    /// # Errors
    /// As [`Screen::line`].
    pub(super) fn flush(&mut self) -> Outcome {
        match self {
            Screen::Plain(out) => out.flush(),
            Screen::Prompt { .. } => Ok(()),
        }
    }
}
