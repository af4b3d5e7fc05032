//! A conversation at a terminal: a line editor, and above it what arrives while one types. One thread edits and
//! says, another listens and prints; they share nothing but the terminal.

use super::Settings;
use super::marks::Marks;
use super::speaker::{Said, Speaker};
use crate::address::is_plain;
use crate::client::Client;
use crate::cmd::delivery::TOPICS;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::short;
use crate::listener::Listener;
use crate::output::{escape_line, tell};
use crate::time::now;
use crate::wait::{self, Signals};
use netkit_proto::rpc::call::EventsRead;
use netkit_proto::rpc::event::{Event, Record};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, Editor, ExternalPrinter, history::MemHistory};
use std::io::Write;
use std::time::Instant;

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
    let signals = Signals::catch()?;
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
    let heard = settings.clone();
    std::thread::Builder::new()
        .name("listener".into())
        .spawn(move || listen(listener, printer, &heard, &terminal))
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
    let kinds = ["message.received", "message.queued"];
    let mut filter = settings.filter(&kinds);
    filter.room.clone_from(&settings.room);
    let request = EventsRead { limit: Some(PAST), last: true, filter, ..EventsRead::default() };
    let page = Client::connect(&settings.socket)?.call(&request)?;
    let live = settings.filter(&[&TOPICS[..], &kinds].concat());
    let listener = Listener::open(settings.socket.clone(), live, Some(page.head))?;
    let past = page.events.into_iter().filter(|record| settings.is_of_it(&record.event));
    Ok((past.collect(), listener))
}

/// Prints what arrives, until the peer says bye or nothing more can come.
fn listen(
    mut listener: Listener,
    mut printer: impl ExternalPrinter,
    settings: &Settings,
    terminal: &Termios,
) {
    let mut marks = Marks::default();
    let peer = escape_line(&settings.peer);
    let failure = loop {
        let lines = match listener.next(marks.due()) {
            Ok(Some((record, _))) if settings.is_of_it(&record.event) && settings.is_bye(&record.event) => {
                break None;
            }
            Ok(Some((record, raw))) => match &record.event {
                event if settings.is_of_it(event) => match event {
                    // One's own line stands there already.
                    Event::Queued { to, .. } => {
                        marks.queued(Instant::now(), record.seq, to.len());
                        continue;
                    }
                    _ => vec![short(&record, &raw, &now())],
                },
                // That it went is no news.
                Event::Sent { message, peer } => {
                    if is_plain(peer) {
                        marks.ended(*message);
                    }
                    continue;
                }
                Event::Delivered { messages, peer } => {
                    let late = messages.iter().filter(|message| marks.ended(**message) == Some(true));
                    let peer = escape_line(peer);
                    late.map(|message| format!("[{peer} has message {message} now]")).collect()
                }
                Event::Refused { message, .. } | Event::Expired { message, .. } => {
                    let is_ours = marks.ended(*message).is_some() || settings.room.is_none();
                    is_ours.then(|| short(&record, &raw, &now())).into_iter().collect()
                }
                Event::Gap { .. } => vec![short(&record, &raw, &now())],
                _ => continue,
            },
            Ok(None) => {
                let late = marks.overdue(Instant::now()).into_iter();
                late.map(|message| format!("[{peer} does not have message {message} yet: it waits]"))
                    .collect()
            }
            Err(failure) => break Some(failure),
        };
        if let Some(e) = lines.into_iter().find_map(|line| printer.print(line + "\n").err()) {
            break Some(Failure::new(Exit::Failed, format!("printing above the prompt: {e}")));
        }
    };
    let bye = || Failure::new(Exit::Done, format!("{} said bye", settings.peer));
    leave(terminal, &failure.unwrap_or_else(bye))
}

/// Gives the terminal back as it was and ends the process: the editor blocks in its read and nothing can call it back.
fn leave(terminal: &Termios, end: &Failure) -> ! {
    let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, terminal);
    let _ = writeln!(std::io::stdout());
    tell(end);
    std::process::exit(i32::from(end.exit as u8))
}
