//! `netkitctl tail`: what arrived, from the log, and what arrives. `settings` reads the flags, `history` reads the
//! log, `follow` waits for more, `position` keeps the place and the cursor, `sink` prints or runs a command.

mod follow;
mod history;
mod position;
mod settings;
mod sink;
#[cfg(test)]
mod tests;

pub(crate) use settings::Args;

use crate::address::is_plain;
use crate::client::Client;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::incoming::CallError;
use crate::listener::BackOff;
use crate::output::{Out, say, tell};
use crate::time::now;
use crate::wait::Signals;
use netkit_proto::ids::Epoch;
use netkit_proto::rpc::call::PeersShow;
use netkit_proto::rpc::code::Kind;
use netkit_proto::rpc::event::{Event, Record};
use position::Position;
use serde_json::value::RawValue;
use settings::Settings;
use sink::Sink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Prints what the flags ask for.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let mut settings = settings::resolve(args, context.json, &now())?;
    let sink = Sink::new(Out::stdout(), &settings);
    let signals = Signals::catch()?;
    let mut client = context.connect()?;
    if let Some(peer) = &mut settings.filter.peer {
        *peer = as_events_name_it(&mut client, peer)?;
    }
    Tail::new(context.socket.clone(), client, settings, sink, signals).run()
}

/// What netkitd calls a peer now. One that it does not know may be in the log all the same; of one that could be several
/// nothing is printed.
fn as_events_name_it(client: &mut Client, peer: &str) -> Outcome<String> {
    if is_plain(peer) || peer.starts_with('@') {
        return Ok(peer.to_owned());
    }
    match client.call(&PeersShow { peer: peer.to_owned() }) {
        Ok(found) => Ok(found.peer),
        Err(CallError::Answer(error)) if error.kind() != Kind::Refused => Ok(peer.to_owned()),
        Err(error) => Err(error.into()),
    }
}

/// Why a tail ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything asked for was printed, or nobody reads any more.
    Done,
    /// `-W` is over.
    TimeIsUp,
    /// A signal came.
    Signal(Exit),
}

/// Why a session could not go on.
#[derive(Debug)]
enum Stop {
    /// A call failed; where netkitd is only away, another session may go on.
    Call(CallError),
    /// Anything else: nothing more can be done.
    Failed(Failure),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Stop {
        Stop::Call(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

struct Tail {
    socket: PathBuf,
    client: Client,
    settings: Settings,
    sink: Sink,
    signals: Signals,
    position: Position,
    back_off: BackOff,
    /// When netkitd went away last.
    lost_at: Option<Instant>,
    /// When following ends, and how.
    deadline: Option<(Instant, End)>,
    /// How many events may still be printed.
    left: Option<u64>,
}

impl Tail {
    fn new(socket: PathBuf, client: Client, settings: Settings, sink: Sink, signals: Signals) -> Tail {
        let now = Instant::now();
        let deadlines = [(settings.within, End::TimeIsUp), (settings.until, End::Done)];
        let deadlines = deadlines.into_iter().filter_map(|(time, end)| Some((now.checked_add(time?)?, end)));
        let deadline = deadlines.min_by_key(|(at, _)| *at);
        let left = settings.count;
        let position = Position::new(settings.cursor.clone());
        let back_off = BackOff::default();
        Tail { socket, client, settings, sink, signals, position, back_off, lost_at: None, deadline, left }
    }

    fn run(mut self) -> Outcome {
        let ended = self.work();
        // What is in hand is written whatever happened, and only what was written moves the cursor.
        let written = self.flush();
        let settled = self.settle();
        let verdict = match ended {
            Ok(End::Done) => written,
            Ok(End::TimeIsUp) => Err(Failure::silent(Exit::Unfinished)),
            Ok(End::Signal(exit)) => Err(Failure::silent(exit)),
            Err(failure) => Err(failure),
        };
        match settled {
            Err(failure) if verdict.is_err() => {
                tell(&failure);
                verdict
            }
            settled => verdict.and(settled),
        }
    }

    /// Session after session until there is an end.
    fn work(&mut self) -> Outcome<End> {
        loop {
            // A netkitd that does not answer is not waited for beyond a signal, or beyond `-W`; it has a moment all
            // the same, so that the past is printed however short that is.
            let soonest = Instant::now() + Duration::from_secs(1);
            let within =
                self.deadline.filter(|(_, end)| *end == End::TimeIsUp).map(|(at, _)| at.max(soonest));
            self.client.wait_until(within, self.signals.fd_to_keep().ok());
            let stop = match self.session() {
                Ok(end) => return Ok(end),
                Err(stop) => stop,
            };
            if let Some(exit) = self.signals.caught() {
                return Ok(End::Signal(exit));
            }
            match stop {
                Stop::Failed(failure) => return Err(failure),
                Stop::Call(error) if self.settings.follow && self.can_wait_for(&error) => {
                    self.flush()?;
                    if let Some(end) = self.reconnect() {
                        return Ok(end);
                    }
                }
                Stop::Call(error) => return Err(error.into()),
            }
        }
    }

    /// One session with netkitd: the cursor, what is in the log already, what comes.
    fn session(&mut self) -> Result<End, Stop> {
        self.open_cursor()?;
        if let Some(end) = self.read_history()? {
            return Ok(end);
        }
        if !self.settings.follow {
            return Ok(End::Done);
        }
        self.follow()
    }

    /// Prints one event if it is wanted, and steps past it. `Some` where that was the last thing to do.
    fn on_event(&mut self, epoch: Epoch, record: &Record, raw: &RawValue) -> Result<Option<End>, Stop> {
        if let Event::Gap { from, to, lost } = record.event {
            self.sink.gap(&crate::format::gap(from, to, lost), raw)?;
        } else if self.sink.wants(&record.event) {
            if let Err(failure) = self.sink.emit(record, raw) {
                // Ctrl-C at a terminal reaches the command too; then it is no failure of the command.
                return self
                    .signals
                    .caught()
                    .map(|exit| Some(End::Signal(exit)))
                    .ok_or(Stop::Failed(failure));
            }
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        self.position.handled(epoch, record.seq);
        if self.sink.runs_commands() {
            // What the command did can't be taken back: on disk before the next one runs.
            self.flush()?;
            self.commit()?;
        }
        if self.left == Some(0) {
            return Ok(Some(End::Done));
        }
        Ok(self.signals.caught().map(End::Signal))
    }

    fn flush(&mut self) -> Outcome {
        self.sink.flush()?;
        self.position.flushed();
        Ok(())
    }

    fn say_replaced(&self) {
        say("netkitd's log was replaced since (a restored backup or a new state directory)");
    }
}
