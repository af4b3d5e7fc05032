//! The line editor: one thread edits, one draws above it, and both talk with the loop of `run` over short channels.
//! The editor goes on only when its last line was dealt with, so that a session that ends leaves the terminal alone.

use super::limits;
use crate::exit::{Exit, Failure, Outcome};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use std::fmt::Display;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// How long the last lines may take to be drawn.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Up and down again: nothing to see. The editor has room for one line that waits, so that it has drawn all before the
/// second of these when it takes in the first of them.
const NOTHING: &str = "\x1b[A\n";

/// What came of the editor.
pub(super) enum Typed {
    Line(String),
    /// Ctrl-D.
    End,
    /// Ctrl-C.
    Interrupted,
    Broken(String),
}

pub(super) struct Prompt {
    typed: Receiver<Typed>,
    go_on: SyncSender<()>,
    wake: UnixStream,
    terminal: Termios,
    drawn: Receiver<()>,
}

impl Prompt {
    /// Shows the prompt. Lines that are sent to the second one are drawn above it.
    ///
    /// # Errors
    /// Where the terminal does not play along.
    pub(super) fn open(prompt: String) -> Outcome<(Prompt, SyncSender<String>)> {
        let broken = |e: &dyn Display| Failure::new(Exit::Failed, format!("opening the line editor: {e}"));
        let terminal = tcgetattr(std::io::stdin()).map_err(|e| broken(&e))?;
        // Without bracketed paste pasted lines are lines, and there is no mode but termios to give back.
        let config = Config::builder().bracketed_paste(false).build();
        let mut editor: Editor<(), MemHistory> =
            Editor::with_history(config, MemHistory::new()).map_err(|e| broken(&e))?;
        let mut printer = editor.create_external_printer().map_err(|e| broken(&e))?;
        let (wake, mut waker) = UnixStream::pair().map_err(|e| broken(&e))?;
        wake.set_nonblocking(true).map_err(|e| broken(&e))?;
        let (send_typed, typed) = sync_channel(1);
        let (go_on, may_go_on) = sync_channel(1);
        let (send_line, lines) = sync_channel::<String>(limits::UNDRAWN);
        let (send_drawn, drawn) = sync_channel(1);
        let draw = move || {
            for line in lines {
                if printer.print(line).is_err() {
                    break;
                }
            }
            for _ in 0..2 {
                let _ = printer.print(NOTHING.to_owned()); // a lost terminal needs none
            }
            let _ = send_drawn.send(()); // nobody may wait for it any more
        };
        let edit = move || {
            loop {
                let typed = match editor.readline(&prompt) {
                    Ok(line) => {
                        if !line.is_empty() {
                            let _ = editor.add_history_entry(&line); // without history one can still talk
                        }
                        Typed::Line(line)
                    }
                    Err(ReadlineError::Eof) => Typed::End,
                    Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Typed::Interrupted,
                    Err(e) => Typed::Broken(format!("reading a line: {e}")),
                };
                let is_last = !matches!(typed, Typed::Line(_));
                let is_over = send_typed.send(typed).is_err() || waker.write_all(b"!").is_err();
                if is_last || is_over || may_go_on.recv().is_err() {
                    return;
                }
            }
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run).map_err(|e| broken(&e))
        };
        spawn("drawing", Box::new(draw))?;
        spawn("editor", Box::new(edit))?;
        Ok((Prompt { typed, go_on, wake, terminal, drawn }, send_line))
    }

    /// Readable when something was typed.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// What was typed, if something was.
    pub(super) fn typed(&mut self) -> Option<Typed> {
        let mut bytes = [0; 8];
        let _ = self.wake.read(&mut bytes); // only wakes
        self.typed.try_recv().ok()
    }

    /// The line was dealt with: another one can be typed.
    pub(super) fn go_on(&self) {
        let _ = self.go_on.try_send(()); // an editor that has ended needs none
    }

    /// Gives the terminal back as it was, once what is to be drawn is drawn. Whoever draws must have let go by then.
    pub(super) fn leave(self) {
        let _ = self.drawn.recv_timeout(LAST_LINES);
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.terminal); // a lost terminal needs none
        let _ = writeln!(std::io::stdout());
    }
}
