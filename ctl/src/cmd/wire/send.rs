//! What goes: into the peers' queues, from there to the system, and what happens where it does not go. Called by `run`
//! each turn, and by `receive` for answers.

use super::entry::What;
use super::limits;
use super::payload::Payload;
use super::peers::Target;
use super::run::{Link, Session};
use crate::exit::{Exit, Outcome};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, sendto, shutdown};
use std::io;
use std::time::Instant;

impl Session {
    /// Whether somebody is meant by `target`, and all of them take more.
    pub(super) fn takes_more(&self, target: Target) -> bool {
        let meant = self.peers.meant(target);
        !meant.is_empty()
            && meant.iter().all(|&n| self.peers.get(n).is_some_and(super::peers::Peer::takes_more))
    }

    /// Sends to all that are meant.
    pub(super) fn send(&mut self, target: Target, payload: &Payload, typed: bool) -> Outcome {
        for number in self.peers.meant(target) {
            if let Some(peer) = self.peers.get_mut(number) {
                peer.enqueue(Payload::clone(payload), typed);
            }
            self.flush(number)?;
        }
        Ok(())
    }

    /// Sends what is due by itself.
    pub(super) fn send_due(&mut self) -> Outcome {
        for _ in 0..limits::BURST {
            let now = Instant::now();
            let is_due =
                self.schedule.as_ref().and_then(|schedule| schedule.due(now)).is_some_and(|due| due <= now);
            if !is_due || !self.takes_more(self.target) {
                return Ok(());
            }
            let Some(schedule) = &mut self.schedule else { return Ok(()) };
            if let Some(payload) = schedule.take(now)? {
                self.send(self.target, &payload, false)?;
            }
        }
        Ok(())
    }

    /// Goes on with what could not go at once.
    pub(super) fn flush_queues(&mut self) -> Outcome {
        let waiting: Vec<(u32, bool)> = self
            .peers
            .iter()
            .filter(|p| p.has_queued() || p.owes)
            .map(|p| (p.facts.number, p.owes))
            .collect();
        for (number, owes) in waiting {
            self.flush(number)?;
            if owes && self.peers.get(number).is_some_and(super::peers::Peer::takes_more) {
                self.answer(number)?;
            }
        }
        Ok(())
    }

    /// Hands a peer's queue to the system, up to a bound, so that others get their turn.
    pub(super) fn flush(&mut self, number: u32) -> Outcome {
        for _ in 0..limits::BURST {
            let Some(peer) = self.peers.get_mut(number) else { return Ok(()) };
            let Some((payload, from, typed)) = peer.next() else { return Ok(()) };
            let rest = payload.get(from..).unwrap_or_default();
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let (sent, is_stream) = match (&peer.stream, &self.link) {
                (Some(fd), _) => (send(fd, &rest[..rest.len().min(limits::CHUNK)], flags), true),
                (None, Link::Datagrams { fd, is_connected: true, .. }) => (send(fd, rest, flags), false),
                (None, Link::Datagrams { fd, .. }) => (sendto(fd, rest, flags, &peer.facts.address), false),
                (None, _) => return Ok(()),
            };
            match sent {
                Ok(sent) => {
                    peer.went(sent);
                    if sent > 0 || !is_stream {
                        let bytes = &rest[..sent.min(rest.len())];
                        self.journal.enter(peer, What::Sent { bytes, typed })?;
                        self.active = Instant::now();
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) if is_stream => {
                    peer.drop_queue();
                    return self.lose(number, Some(&io::Error::from(e).to_string()));
                }
                // What an earlier datagram met; this one was not sent yet.
                Err(e @ Errno::CONNREFUSED) if self.trouble.is_none() => self.on_undelivered(e),
                Err(e) => {
                    peer.drop_next();
                    let name = peer.facts.name.clone();
                    self.on_unsendable(&name, rest.len(), e);
                }
            }
        }
        Ok(())
    }

    /// A datagram that the system refuses is told and gone; others may go.
    fn on_unsendable(&mut self, name: &str, length: usize, e: Errno) {
        let why = match e {
            Errno::MSGSIZE => format!("{length} bytes are more than a datagram holds"),
            Errno::ACCESS => {
                "it is a broadcast address, which needs --broadcast, or a firewall forbids it".into()
            }
            Errno::INVAL | Errno::DESTADDRREQ | Errno::NOTCONN if name == "unnamed" => {
                "it has bound no address, so it can't be answered".into()
            }
            _ => io::Error::from(e).to_string(),
        };
        self.journal.warn(&format!("not sent to {name}: {why}"));
        self.has_refused |= e == Errno::MSGSIZE && self.prompt.is_none();
        let is_refused = matches!(e, Errno::CONNREFUSED | Errno::ACCESS | Errno::PERM);
        self.trouble = Some(if is_refused { Exit::Refused } else { Exit::Failed });
        self.active = Instant::now();
    }

    /// Parts with those that are leaving and have been sent all.
    pub(super) fn part_with_leaving(&mut self) -> Outcome {
        let now = Instant::now();
        let leaving: Vec<u32> =
            self.peers.iter().filter(|p| p.is_leaving && !p.has_queued()).map(|p| p.facts.number).collect();
        for number in leaving {
            let Some(peer) = self.peers.get_mut(number) else { continue };
            match (&peer.stream, peer.leaves_by) {
                (Some(fd), None) if !peer.is_silent => {
                    // Its end is awaited a while: closed at once, what it still sends would reset what we sent.
                    let _ = shutdown(fd, Shutdown::Write); // where it is gone, reading tells
                    peer.leaves_by = Some(now + limits::GOODBYE);
                }
                (Some(_), Some(by)) if !peer.is_silent && now < by => {}
                _ => self.lose(number, None)?,
            }
        }
        Ok(())
    }

    /// A connection whose end can't be read, since nothing is read of it at present.
    pub(super) fn lose_if_broken(&mut self, number: u32) -> Outcome {
        let error = self.peers.get(number).and_then(|peer| peer.stream.as_ref());
        let error = error.and_then(|fd| rustix::net::sockopt::socket_error(fd).ok()).and_then(Result::err);
        let why =
            error.map_or_else(|| "it left before it had all".to_owned(), |e| io::Error::from(e).to_string());
        self.lose(number, Some(&why))
    }

    /// Forgets a peer.
    pub(super) fn lose(&mut self, number: u32, trouble: Option<&str>) -> Outcome {
        let Some(mut peer) = self.peers.remove(number) else { return Ok(()) };
        self.is_full_told = false;
        let is_over = match self.link {
            Link::Stream | Link::Clients { fd: None } => true,
            Link::Clients { fd: Some(_) } | Link::Datagrams { .. } => false,
        };
        if is_over && self.over.is_none() {
            self.over = Some(trouble.map(str::to_owned));
        }
        self.journal.enter(&mut peer, What::Closed { trouble })
    }
}
