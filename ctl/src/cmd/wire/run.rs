//! The session: one loop around poll(2), which ends when somebody ends it, time is up, or what was waited for came.
//! Called by `wire`. `turn` waits and hands out, `receive` and `send` are the two directions, `obey` does what lines
//! say.

use super::command::Command;
use super::input::{Input, Writing};
use super::journal::Journal;
use super::limits;
use super::peers::{Peers, Target};
use super::prompt::Prompt;
use super::schedule::Schedule;
use super::screen::Screen;
use super::settings::Settings;
use super::socket::{self, Opened, Patience, Socket, show_address};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, escape_line};
use crate::wait::Signals;
use rustix::fd::OwnedFd;
use rustix::net::{Shutdown, SocketAddrAny, shutdown};
use std::time::Instant;

/// What the socket is, once it is open.
pub(super) enum Link {
    /// One socket for all peers; `fixed` is the one that we connected to, `is_connected` if there can be no other.
    Datagrams { fd: OwnedFd, fixed: Option<u32>, is_connected: bool },
    /// Clients come; none any more where there was to be one.
    Clients { fd: Option<OwnedFd> },
    /// One peer, which has the connection.
    Stream,
}

pub(super) struct Session {
    pub(super) settings: Settings,
    pub(super) signals: Signals,
    pub(super) link: Link,
    pub(super) local: SocketAddrAny,
    pub(super) peers: Peers,
    pub(super) journal: Journal,
    pub(super) writing: Writing,
    pub(super) target: Target,
    pub(super) input: Option<Input>,
    pub(super) prompt: Option<Prompt>,
    /// A message or command that nobody could take yet.
    pub(super) pending: Option<Command>,
    /// There are lines that were read and not dealt with.
    pub(super) is_behind: bool,
    pub(super) schedule: Option<Schedule>,
    pub(super) deadline: Option<Instant>,
    /// When something last went or came.
    pub(super) active: Instant,
    pub(super) arrived: u64,
    /// What was expected came.
    pub(super) is_seen: bool,
    /// Somebody said that it is enough.
    pub(super) is_ended: bool,
    /// The one stream is over; why, where it was not in order.
    pub(super) over: Option<Option<String>>,
    /// A message could not be sent, and nothing came since.
    pub(super) trouble: Option<Exit>,
    /// Something that was to be sent was not, and no person was there to see it.
    pub(super) has_refused: bool,
    pub(super) is_half_closed: bool,
    /// A full table or a lack of descriptors was told.
    pub(super) is_full_told: bool,
    pub(super) buffer: Vec<u8>,
    /// Removes a Unix socket's file at the end.
    _socket: Option<socket::SocketFile>,
}

/// Talks until the end.
///
/// # Errors
/// As the exit codes say.
pub(super) fn run(settings: Settings) -> Outcome {
    let signals = Signals::catch()?;
    let start = Instant::now();
    let deadline = settings.within.and_then(|within| start.checked_add(within));
    let patience = settings.within.map_or(limits::CONNECT, |within| within.max(limits::HANDSHAKE));
    let until = start + patience.min(limits::CONNECT);
    if let Some(record) = &settings.record {
        record.check()?; // before anybody is troubled
    }
    let socket = socket::open(&settings.endpoint, &Patience { signals: &signals, until })?;
    let (mut session, opened) = Session::begin(settings, socket, signals, deadline)?;
    let ended = session.announce(opened).and_then(|()| session.run());
    session.close(ended)
}

impl Session {
    fn begin(
        mut settings: Settings,
        socket: Socket,
        signals: Signals,
        deadline: Option<Instant>,
    ) -> Outcome<(Session, Opened)> {
        let family = settings.endpoint.family.name();
        let local = show_address(&socket.local);
        let to = match &socket.opened {
            Opened::Datagrams { to, .. } => to.as_ref(),
            Opened::Stream { to, .. } => Some(to),
            Opened::Clients { .. } => None,
        };
        let there = to.map_or_else(|| local.clone(), show_address);
        let (screen, prompt) = if settings.is_interactive {
            let (prompt, lines) = Prompt::open(format!("{family} {}> ", escape_line(&there)))?;
            (Screen::Prompt { lines, missed: 0 }, Some(prompt))
        } else {
            (Screen::Plain(Out::stdout()), None)
        };
        let journal = match Journal::open(&settings, screen, &socket.local) {
            Ok(journal) => journal,
            Err(e) => {
                if let Some(prompt) = prompt {
                    prompt.leave();
                }
                return Err(e);
            }
        };
        let kind = settings.input;
        let writing = Writing {
            kind: kind.unwrap_or(super::input::Kind::Text),
            encoding: settings.encoding,
            append: settings.append.clone(),
        };
        let session = Session {
            link: Link::Stream,
            local: socket.local,
            peers: Peers::default(),
            journal,
            writing,
            target: settings.target,
            input: kind.filter(|_| prompt.is_none()).map(Input::new),
            prompt,
            pending: None,
            is_behind: false,
            schedule: settings.schedule.take(),
            deadline,
            active: Instant::now(),
            arrived: 0,
            is_seen: false,
            is_ended: false,
            over: None,
            trouble: None,
            has_refused: false,
            is_half_closed: false,
            is_full_told: false,
            buffer: vec![0; limits::DATAGRAM.max(limits::CHUNK)],
            settings,
            signals,
            _socket: socket.file,
        };
        Ok((session, socket.opened))
    }

    /// Says where we are, and takes in whom we connected to.
    fn announce(&mut self, opened: Opened) -> Outcome {
        let family = self.settings.endpoint.family.name();
        let local = show_address(&self.local);
        let listening = format!("listening on {family} {local}");
        match opened {
            Opened::Datagrams { fd, to: None, is_connected } => {
                self.link = Link::Datagrams { fd, fixed: None, is_connected };
                self.journal.announce(&listening, "listening")
            }
            Opened::Clients { fd } => {
                self.link = Link::Clients { fd: Some(fd) };
                self.journal.announce(&listening, "listening")
            }
            Opened::Datagrams { fd, to: Some(to), is_connected } => {
                let there = show_address(&to);
                let number = self.add_peer(to, None, false)?;
                self.link = Link::Datagrams { fd, fixed: Some(number), is_connected };
                self.aim_at(number);
                self.journal.talk(&format!("sending to {family} {there} from {local}"));
                Ok(())
            }
            Opened::Stream { fd, to } => {
                let there = show_address(&to);
                self.journal.talk(&format!("connected to {family} {there} from {local}"));
                let number = self.add_peer(to, Some(fd), false)?;
                self.aim_at(number);
                Ok(())
            }
        }
    }

    /// Whom we connected to is meant, whoever else is heard.
    fn aim_at(&mut self, number: u32) {
        if self.target == Target::Last {
            self.target = Target::One(number);
        }
    }

    fn run(&mut self) -> Outcome {
        loop {
            // First, so that what is held for want of room is taken up again as soon as there is some: nothing else
            // would wake us for it.
            self.flush_queues()?;
            self.send_due()?;
            self.obey_lines()?;
            self.part_with_leaving()?;
            self.half_close();
            self.journal.flush()?;
            if let Some(end) = self.verdict(Instant::now()) {
                return end;
            }
            self.turn()?;
        }
    }

    /// How it ends, if it does now.
    fn verdict(&self, now: Instant) -> Option<Outcome> {
        if let Some(exit) = self.signals.caught() {
            return Some(Err(Failure::silent(exit)));
        }
        if self.is_seen {
            return Some(Ok(())); // that decides alone
        }
        // Scripts are told at the end, whatever else was sent or answered.
        let in_order = || if self.has_refused { Err(Failure::silent(Exit::Failed)) } else { Ok(()) };
        if self.has_enough() {
            return Some(in_order());
        }
        let is_waited_for = self.settings.expect.is_some() || self.settings.stop_after.is_some();
        if let Some(why) = &self.over {
            return Some(match why {
                _ if is_waited_for => Err(Failure::new(
                    Exit::Unfinished,
                    "the connection ended before what was waited for came",
                )),
                Some(_) => Err(Failure::silent(Exit::Failed)),
                None => in_order(),
            });
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            let waited = crate::time::show_duration(self.settings.within.unwrap_or_default());
            return Some(match self.trouble {
                _ if is_waited_for => {
                    let what = if self.settings.expect.is_some() { "what was expected" } else { "enough" };
                    Err(Failure::new(Exit::Unfinished, format!("{what} did not come within {waited}")))
                }
                Some(exit) => Err(Failure::silent(exit)),
                None => in_order(),
            });
        }
        let is_silent = self.lingers_until().is_some_and(|until| now >= until);
        is_silent.then(|| self.trouble.map_or_else(in_order, |exit| Err(Failure::silent(exit))))
    }

    /// Whether what was waited for came, or somebody said that it is enough: nothing more is taken in then.
    pub(super) fn has_enough(&self) -> bool {
        let is_enough = self.settings.stop_after.is_some_and(|most| self.arrived >= most);
        self.is_seen || is_enough || self.is_ended
    }

    /// Until when answers are awaited where nothing tells that there will be none: to datagrams, and to a replay. All is
    /// sent then, and nothing else is to be waited for.
    pub(super) fn lingers_until(&self) -> Option<Instant> {
        match self.link {
            Link::Datagrams { fixed: Some(_), .. } => {}
            Link::Stream if self.settings.is_replay => {}
            Link::Datagrams { .. } | Link::Stream | Link::Clients { .. } => return None,
        }
        let waits = self.prompt.is_some()
            || self.settings.within.is_some()
            || self.settings.expect.is_some()
            || self.settings.stop_after.is_some()
            || !self.settings.rules.is_empty();
        // Where stdin gave nothing at all, as in a service, whoever sends here is heard until the end.
        let was_piped = self.input.as_ref().is_some_and(|input| input.was_there);
        let has_tried = self.journal.sent.messages > 0 || self.trouble.is_some() || was_piped;
        (!waits && has_tried && self.has_said_all()).then(|| self.active + limits::LINGER)
    }

    /// Whether nothing more is to be sent by itself or from stdin.
    fn has_said_all(&self) -> bool {
        self.schedule.as_ref().is_none_or(|schedule| schedule.due(self.active).is_none())
            && self.pending.is_none()
            && !self.is_behind
            && self.input.as_ref().is_none_or(Input::is_over)
            && self.peers.iter().all(|peer| !peer.has_queued())
    }

    /// The end of what was piped in is told to the far end of a stream, as it may wait for that.
    fn half_close(&mut self) {
        let was_piped = self.input.as_ref().is_some_and(|input| input.was_there);
        if matches!(self.link, Link::Stream) && was_piped && !self.is_half_closed && self.has_said_all() {
            self.is_half_closed = true;
            for fd in self.peers.iter().filter_map(|peer| peer.stream.as_ref()) {
                let _ = shutdown(fd, Shutdown::Write); // where it is gone, reading tells
            }
        }
    }

    /// The last words, and the terminal as it was.
    fn close(mut self, ended: Outcome) -> Outcome {
        let left: usize = self.peers.iter().map(super::peers::Peer::queued).sum();
        if left > 0 {
            self.journal.warn(&format!("{left} bytes were not sent any more"));
        }
        if let Link::Datagrams { fd, .. } = &self.link
            && let Some(dropped) = socket::dropped(fd).filter(|&dropped| dropped > 0)
        {
            self.journal.warn(&format!("{dropped} datagrams came faster than they were read, and are lost"));
        }
        let closed = self.journal.close();
        let prompt = self.prompt.take();
        drop(self);
        if let Some(prompt) = prompt {
            prompt.leave();
        }
        ended.and(closed)
    }
}
