//! What comes: clients, streams, datagrams; and what follows from it, answers by rule and the end of waiting. Called by
//! `turn`.

use super::entry::What;
use super::limits;
use super::reply::next_answer;
use super::run::{Link, Session};
use super::socket::{inet_of, local_towards, show_address};
use crate::exit::{Exit, Failure, Outcome};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, acceptfrom_with, getsockname, recv, recvfrom,
    sockopt,
};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

impl Session {
    /// A peer that was not there before.
    pub(super) fn add_peer(
        &mut self,
        address: SocketAddrAny,
        stream: Option<OwnedFd>,
        came: bool,
    ) -> Outcome<u32> {
        let local = stream.as_ref().and_then(|fd| getsockname(fd).ok());
        let local = local.unwrap_or_else(|| self.local_towards(&address));
        let (number, _) = self.peers.add(address, local, stream, came);
        if let Some(peer) = self.peers.get_mut(number) {
            self.journal.enter(peer, What::Opened)?;
        }
        Ok(number)
    }

    /// Our address as that peer sees it: that of the socket, unless it is every address of the box.
    fn local_towards(&self, peer: &SocketAddrAny) -> SocketAddrAny {
        let found = inet_of(&self.local).filter(|local| local.ip().is_unspecified()).and_then(|local| {
            let ip = local_towards(inet_of(peer)?)?;
            Some(SocketAddrAny::from(SocketAddr::new(ip, local.port())))
        });
        found.unwrap_or_else(|| self.local.clone())
    }

    /// Takes clients in, as far as there is room.
    pub(super) fn accept_clients(&mut self) -> Outcome {
        for _ in 0..limits::BURST {
            let Link::Clients { fd: Some(listener) } = &self.link else { return Ok(()) };
            if self.peers.len() >= limits::CLIENTS {
                self.tell_full(&format!("{} clients are here, the most: others wait", limits::CLIENTS));
                return Ok(());
            }
            match acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((fd, address)) => {
                    let address = address.unwrap_or_else(|| SocketAddrUnix::new_unnamed().into());
                    let _ = sockopt::set_tcp_nodelay(&fd, true); // a Unix socket has no such delay
                    if self.settings.once {
                        self.link = Link::Clients { fd: None };
                    }
                    self.add_peer(address, Some(fd), true)?;
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) if !self.peers.is_empty() => {
                    self.tell_full("this process may open no more: other clients wait; see `ulimit -n`");
                    return Ok(());
                }
                // The client has gone, or the network had its say (accept(2)): the next one may be there.
                Err(
                    Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::NETDOWN | Errno::HOSTUNREACH,
                ) => {}
                Err(e) => {
                    let why = io::Error::from(e);
                    return Err(Failure::new(Exit::Failed, format!("accepting a client: {why}")));
                }
            }
        }
        Ok(())
    }

    /// Until somebody leaves nobody is taken in; it is told once.
    fn tell_full(&mut self, text: &str) {
        if !self.is_full_told {
            self.journal.warn(text);
        }
        self.is_full_told = true;
    }

    /// Reads once from a stream.
    pub(super) fn receive_stream(&mut self, number: u32) -> Outcome {
        let Some(peer) = self.peers.get_mut(number) else { return Ok(()) };
        let Some(fd) = &peer.stream else { return Ok(()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = recv(fd, &mut buffer[..limits::CHUNK], RecvFlags::empty());
        let done = match read {
            Ok((0, _)) => {
                peer.is_silent = true;
                peer.is_leaving = true;
                Ok(())
            }
            Ok((read, _)) => self.on_data(number, &buffer[..read], 0),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(e) => self.lose(number, Some(&io::Error::from(e).to_string())),
        };
        self.buffer = buffer;
        done
    }

    /// Reads what datagrams are there, up to a bound.
    pub(super) fn receive_datagrams(&mut self) -> Outcome {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut done = Ok(());
        for _ in 0..limits::BURST {
            let Link::Datagrams { fd, fixed, is_connected } = &self.link else { break };
            let known = fixed.filter(|_| *is_connected);
            // With TRUNC the real length is told, also where it is more than fits (recv(2)).
            match recvfrom(fd, &mut buffer[..limits::DATAGRAM], RecvFlags::TRUNC) {
                Ok((read, length, from)) => {
                    let number = known.map_or_else(|| self.peer_of(from), Ok);
                    let arrived = &buffer[..read.min(limits::DATAGRAM)];
                    done =
                        number.and_then(|n| self.on_data(n, arrived, length.saturating_sub(arrived.len())));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // What an earlier datagram met (ICMP, RFC 1122 4.1.3.3): the socket goes on.
                Err(e @ (Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::CONNRESET)) => {
                    self.on_undelivered(e);
                }
                Err(e) => {
                    let why = io::Error::from(e);
                    done = Err(Failure::new(Exit::Failed, format!("receiving: {why}")));
                }
            }
            if done.is_err() || self.has_enough() {
                break;
            }
        }
        self.buffer = buffer;
        done
    }

    fn peer_of(&mut self, from: Option<SocketAddrAny>) -> Outcome<u32> {
        let from = from.unwrap_or_else(|| SocketAddrUnix::new_unnamed().into());
        match self.peers.at(&from) {
            Some(number) => Ok(number),
            None => self.add_peer(from, None, true),
        }
    }

    /// The far end told that nobody takes what was sent.
    pub(super) fn on_undelivered(&mut self, e: Errno) {
        let there = match self.link {
            Link::Datagrams { fixed: Some(number), .. } => {
                self.peers.get(number).map(|peer| peer.facts.name.clone())
            }
            _ => None,
        };
        let there = there.unwrap_or_else(|| show_address(&self.local));
        let why = io::Error::from(e);
        let exit = if e == Errno::CONNREFUSED { Exit::Refused } else { Exit::Failed };
        if self.trouble != Some(exit) {
            let hint = if e == Errno::CONNREFUSED { ": nothing listens there" } else { "" };
            self.journal.warn(&format!("{there} did not take what was sent: {why}{hint}"));
        }
        self.trouble = Some(exit);
        self.active = Instant::now();
    }

    fn on_data(&mut self, number: u32, bytes: &[u8], cut: usize) -> Outcome {
        let now = Instant::now();
        self.active = now;
        self.trouble = None;
        self.arrived += 1;
        self.peers.heard(number);
        let Some(peer) = self.peers.get_mut(number) else { return Ok(()) };
        self.journal.enter(peer, What::Received { bytes, cut })?;
        let is_stream = peer.stream.is_some();
        if let Some(expected) = &self.settings.expect {
            peer.said.hear(bytes, is_stream, now);
            self.is_seen |= expected.find(peer.said.bytes(), None).is_some();
        }
        if self.settings.rules.is_empty() {
            return Ok(());
        }
        peer.asked.hear(bytes, is_stream, now);
        self.answer(number)
    }

    /// Answers what was asked, as far as the peer takes answers; `flush_queues` goes on with the rest.
    pub(super) fn answer(&mut self, number: u32) -> Outcome {
        loop {
            let Some(peer) = self.peers.get_mut(number) else { return Ok(()) };
            peer.owes = !peer.takes_more() && !peer.is_leaving;
            if !peer.takes_more() {
                return Ok(());
            }
            let Some(answer) = next_answer(&self.settings.rules, &mut peer.asked) else { return Ok(()) };
            peer.enqueue(answer, false);
            peer.is_leaving |= self.settings.hang_up;
            self.flush(number)?;
        }
    }
}
