//! A conversation at a terminal: a line editor, and above it what arrives while one types. One thread edits and
//! says, another listens and prints; they share nothing but the terminal.

use super::Settings;
use super::speaker::{Said, Speaker};
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::short;
use crate::listener::Listener;
use crate::output::{escape_line, tell};
use crate::time::now;
use crate::wait::{self, Signals};
use netkit_proto::rpc::call::EventsRead;
use netkit_proto::rpc::event::{Event, Filter, Record};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, Editor, ExternalPrinter, history::MemHistory};
use std::io::Write;

/// Lines of the conversation shown at its start.
const PAST: u32 = 10;

pub(crate) fn run(settings: &Settings) -> Outcome {
    let mut speaker = Speaker::open(settings)?;
    let (past, listener) = open(settings)?;
    let mut screen = std::io::stdout();
    for record in past {
        let _ = writeln!(screen, "{}", short(&record, "", &now())); // a terminal that is gone ends the editor
    }
    let broken = |what: &str, e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{what}: {e}"));
    let terminal = tcgetattr(std::io::stdin()).map_err(|e| broken("asking the terminal", &e))?;
    let signals = Signals::catch().map_err(|e| broken("catching signals", &e))?;
    let cooked = terminal.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            // The editor takes Ctrl-C as a key; between two lines, and from elsewhere, it is a signal.
            let _ = wait::readable(&[signals.fd()], None, None);
            leave(&cooked, &Failure::silent(signals.caught().unwrap_or(Exit::Failed)));
        })
        .map_err(|e| broken("starting a thread", &e))?;
    // Without bracketed paste pasted lines are lines (kept by rustyline's buffer-redux), and there is no mode but
    // termios to give back.
    let config = Config::builder().bracketed_paste(false).build();
    let mut editor: Editor<(), MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(|e| broken("opening the line editor", &e))?;
    let printer = editor.create_external_printer().map_err(|e| broken("opening the line editor", &e))?;
    let peer = settings.peer.clone();
    std::thread::Builder::new()
        .name("listener".into())
        .spawn(move || listen(listener, printer, &peer, &terminal))
        .map_err(|e| broken("starting a thread", &e))?;
    let prompt = format!("{}> ", escape_line(&settings.peer));
    loop {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {
                return Err(Failure::silent(Exit::Interrupted));
            }
            Err(e) => return Err(broken("reading a line", &e)),
        };
        if line.is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(&line); // without history one can still talk
        match speaker.say(&line)? {
            Said::Committed(_) => {}
            Said::Bye(_) => return Ok(()),
            Said::Refused(failure) => tell(&failure),
        }
    }
}

/// The end of the conversation so far, both ways, and a subscription that begins right after it.
fn open(settings: &Settings) -> Outcome<(Vec<Record>, Listener)> {
    let kinds = ["message.received", "message.queued"].map(str::to_owned).to_vec();
    let filter = Filter { topics: kinds, peer: Some(settings.peer.clone()), ..Filter::default() };
    let request = EventsRead { limit: Some(PAST), last: true, filter, ..EventsRead::default() };
    let page = Client::connect(&settings.socket)?.call(&request)?;
    let listener = Listener::open(settings.socket.clone(), settings.live(), Some(page.head))?;
    Ok((page.events, listener))
}

/// Prints what arrives, until the peer says bye or nothing more can come.
fn listen(mut listener: Listener, mut printer: impl ExternalPrinter, peer: &str, terminal: &Termios) {
    let failure = loop {
        match listener.next(None) {
            Ok(Some((record, _))) if matches!(record.event, Event::Received { bye: true, .. }) => break None,
            Ok(Some((record, raw))) => {
                let shown = match record.event {
                    // One's own line stands there already; that it went is no news.
                    Event::Queued { .. } | Event::Sent { .. } | Event::Other => continue,
                    _ => short(&record, &raw, &now()),
                };
                if let Err(e) = printer.print(shown + "\n") {
                    break Some(Failure::new(Exit::Failed, format!("printing above the prompt: {e}")));
                }
            }
            Ok(None) => {}
            Err(failure) => break Some(failure),
        }
    };
    leave(terminal, &failure.unwrap_or_else(|| Failure::new(Exit::Done, format!("{peer} said bye"))))
}

/// Gives the terminal back as it was and ends the process: the editor blocks in its read and nothing can call it back.
fn leave(terminal: &Termios, end: &Failure) -> ! {
    let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, terminal);
    let _ = writeln!(std::io::stdout());
    tell(end);
    std::process::exit(i32::from(end.exit as u8))
}
