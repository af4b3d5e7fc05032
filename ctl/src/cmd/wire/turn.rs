//! One wait of the session, and who gets what came of it. Called by `run` once a turn.

use super::limits;
use super::prompt::Typed;
use super::run::{Link, Session};
use super::socket::{failure, timespec};
use crate::exit::{Exit, Failure, Outcome};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::time::Instant;

/// Who waits.
#[derive(Clone, Copy)]
enum Waiter {
    Signals,
    Output,
    Input,
    Editor,
    Socket,
    Peer(u32),
}

impl Session {
    /// Waits for something to happen or to be due, and deals with it.
    pub(super) fn turn(&mut self) -> Outcome {
        let stdin = std::io::stdin();
        let mut waiters = vec![Waiter::Signals];
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.fd(), PollFlags::IN)];
        let mut add = |waiter, fd, flags| {
            waiters.push(waiter);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        if let Some(fd) = self.journal.screen.fd() {
            add(Waiter::Output, fd, PollFlags::empty()); // a pipe without reader is reported all the same
        }
        if self.pending.is_none() && !self.is_behind {
            if self.input.as_ref().is_some_and(|input| !input.is_over()) {
                add(Waiter::Input, stdin.as_fd(), PollFlags::IN);
            }
            if let Some(prompt) = &self.prompt {
                add(Waiter::Editor, prompt.fd(), PollFlags::IN);
            }
        }
        match &self.link {
            Link::Datagrams { fd, .. } => add(Waiter::Socket, fd.as_fd(), PollFlags::IN),
            Link::Clients { fd: Some(fd) } if self.peers.len() < limits::CLIENTS && !self.is_full_told => {
                add(Waiter::Socket, fd.as_fd(), PollFlags::IN);
            }
            Link::Clients { .. } | Link::Stream => {}
        }
        for peer in self.peers.iter() {
            let Some(fd) = &peer.stream else { continue };
            let mut flags = PollFlags::empty();
            let may_read = !peer.is_silent && (peer.takes_more() || peer.is_leaving);
            flags.set(PollFlags::IN, may_read);
            flags.set(PollFlags::OUT, peer.has_queued());
            add(Waiter::Peer(peer.facts.number), fd.as_fd(), flags);
        }
        let timeout = self.next_time().map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failure("waiting for something to happen".into(), e)),
        }
        let ready: Vec<(Waiter, PollFlags)> = waiters
            .into_iter()
            .zip(fds.iter().map(PollFd::revents))
            .filter(|(_, flags)| !flags.is_empty())
            .collect();
        drop(fds);
        ready.into_iter().try_for_each(|(waiter, flags)| self.on_ready(waiter, flags))
    }

    /// When something is due that no descriptor tells.
    fn next_time(&self) -> Option<Instant> {
        let now = Instant::now();
        let is_taken = || self.takes_more(self.target);
        let scheduled = self.schedule.as_ref().and_then(|schedule| schedule.due(now)).filter(|_| is_taken());
        let leaving = self.peers.iter().filter_map(|peer| peer.leaves_by).min();
        // A datagram that the system has no room for: nothing tells when it has, for some families.
        let waits = matches!(self.link, Link::Datagrams { .. })
            && self.peers.iter().any(super::peers::Peer::has_queued);
        let again = waits.then(|| now + limits::TICK);
        let behind = self.is_behind.then_some(now);
        [behind, scheduled, leaving, again, self.deadline, self.lingers_until()].into_iter().flatten().min()
    }

    fn on_ready(&mut self, waiter: Waiter, flags: PollFlags) -> Outcome {
        if self.has_enough() {
            return Ok(());
        }
        match waiter {
            Waiter::Signals => Ok(()), // the verdict asks for them
            Waiter::Output => Err(Failure::silent(Exit::Done)),
            Waiter::Input => match &mut self.input {
                Some(input) => input.read(std::io::stdin().lock()),
                None => Ok(()),
            },
            Waiter::Editor => self.on_typed(),
            Waiter::Socket => match self.link {
                Link::Datagrams { .. } => self.receive_datagrams(),
                Link::Clients { .. } => self.accept_clients(),
                Link::Stream => Ok(()),
            },
            Waiter::Peer(number) => {
                let has_ended = flags.intersects(PollFlags::HUP | PollFlags::ERR);
                let may_read = self
                    .peers
                    .get(number)
                    .is_some_and(|peer| !peer.is_silent && (peer.takes_more() || peer.is_leaving));
                if flags.contains(PollFlags::IN) || (has_ended && may_read) {
                    self.receive_stream(number)?;
                }
                if has_ended && !may_read { self.lose_if_broken(number) } else { Ok(()) }
            }
        }
    }

    fn on_typed(&mut self) -> Outcome {
        let Some(typed) = self.prompt.as_mut().and_then(super::prompt::Prompt::typed) else { return Ok(()) };
        match typed {
            Typed::Line(line) => self.obey_typed(&line),
            Typed::End => {
                self.is_ended = true;
                Ok(())
            }
            Typed::Interrupted => Err(Failure::silent(Exit::Interrupted)),
            Typed::Broken(why) => Err(Failure::new(Exit::Failed, why)),
        }
    }
}
