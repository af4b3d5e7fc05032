//! Connections to many ports of a host at once, on one thread: non-blocking sockets and poll. Called by `check`, which
//! says what it asks for and prints what came of it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with, sockopt,
};
use serde::Serialize;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Connections tried at once: far fewer than the descriptors that a process may have, and no burden for a small box.
const AT_ONCE: usize = 64;

/// What came of a port, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// A connection stood.
    Open,
    /// The host said that nobody listens.
    Refused,
    /// Nothing came back in time.
    Filtered,
    /// This machine, a router or the host's link said no.
    Unreachable,
}

/// The best that came of a port.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// Which of the host's addresses gave it.
    pub address: IpAddr,
    /// What it is.
    pub state: State,
    /// How long it took.
    pub took: Duration,
    /// What the kernel says to it, where that is not in the state.
    pub because: Option<String>,
}

/// A connection under way.
struct Probe {
    /// Which of the ports.
    nth: usize,
    /// Which of the addresses.
    address: usize,
    socket: OwnedFd,
    begun: Instant,
}

/// All connections, those to come, and what came of those that were.
pub(super) struct Probes<'a> {
    addresses: &'a [SocketAddr],
    ports: &'a [u16],
    within: Duration,
    under_way: Vec<Probe>,
    next: usize,
    /// By port: the best until now, and whether that is final.
    answers: Vec<(Option<Answer>, bool)>,
}

impl<'a> Probes<'a> {
    /// Connections to all `ports`, at the first of `addresses` where one is open; each has as long as `within`.
    pub(super) fn new(addresses: &'a [SocketAddr], ports: &'a [u16], within: Duration) -> Probes<'a> {
        let answers = vec![(None, false); ports.len()];
        Probes { addresses, ports, within, under_way: Vec::new(), next: 0, answers }
    }

    /// What came of a port, once it is known.
    pub(super) fn answer(&self, nth: usize) -> Option<&Answer> {
        let (answer, is_final) = self.answers.get(nth)?;
        answer.as_ref().filter(|_| *is_final)
    }

    /// Begins what can be begun, then waits until something came of it.
    ///
    /// # Errors
    /// Where the system can't wait.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        while self.next < self.ports.len() && self.under_way.len() < AT_ONCE {
            self.begin(self.next, 0);
            self.next += 1;
        }
        let Some(first) = self.under_way.iter().map(|probe| probe.begun).min() else { return Ok(()) };
        // A millisecond more, so that none comes back early and polls many times.
        let left = self.within.saturating_sub(first.elapsed()).saturating_add(Duration::from_millis(1));
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds: Vec<PollFd<'_>> =
            self.under_way.iter().map(|probe| PollFd::new(&probe.socket, PollFlags::OUT)).collect();
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for (probe, is_ready) in std::mem::take(&mut self.under_way).into_iter().zip(ready) {
            let result = if is_ready {
                sockopt::socket_error(&probe.socket).and_then(|result| result)
            } else if probe.begun.elapsed() >= self.within {
                Err(Errno::TIMEDOUT)
            } else {
                self.under_way.push(probe);
                continue;
            };
            if !self.ended(&probe, result) {
                self.begin(probe.nth, probe.address + 1);
            }
        }
        Ok(())
    }

    /// Begins a connection to a port, at the address with this number or the next one that takes it.
    fn begin(&mut self, nth: usize, mut address: usize) {
        while let Some(to) = self.addresses.get(address).copied() {
            let begun = Instant::now();
            let is_final = match start(to, self.ports[nth]) {
                Ok((socket, false)) => {
                    self.under_way.push(Probe { nth, address, socket, begun });
                    return;
                }
                Ok((socket, true)) => self.ended(&Probe { nth, address, socket, begun }, Ok(())),
                Err(e) => self.note(nth, address, begun, Err(e)),
            };
            if is_final {
                return;
            }
            address += 1;
        }
    }

    /// Notes what came of a connection; whether that is all there is to the port.
    fn ended(&mut self, probe: &Probe, result: Result<(), Errno>) -> bool {
        let result = result.and_then(|()| {
            // Where nobody listens at one of our own ports the kernel may connect the socket to itself.
            let itself = getpeername(&probe.socket)? == Some(getsockname(&probe.socket)?);
            if itself { Err(Errno::CONNREFUSED) } else { Ok(()) }
        });
        self.note(probe.nth, probe.address, probe.begun, result)
    }

    fn note(&mut self, nth: usize, address: usize, begun: Instant, result: Result<(), Errno>) -> bool {
        let (state, because) = match result {
            Ok(()) => (State::Open, None),
            Err(Errno::CONNREFUSED) => (State::Refused, None),
            Err(Errno::TIMEDOUT) => (State::Filtered, None),
            Err(e) => (State::Unreachable, Some(io::Error::from(e).to_string())),
        };
        let answer = Answer { address: self.addresses[address].ip(), state, took: begun.elapsed(), because };
        let (best, is_final) = &mut self.answers[nth];
        if best.as_ref().is_none_or(|best| state < best.state) {
            *best = Some(answer);
        }
        *is_final = state == State::Open || address + 1 == self.addresses.len();
        *is_final
    }
}

/// Begins to connect; also whether the connection stands already.
fn start(mut to: SocketAddr, port: u16) -> Result<(OwnedFd, bool), Errno> {
    to.set_port(port);
    let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &to) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_best_of_several_addresses_counts() {
        let addresses = ["10.0.0.1:0", "10.0.0.2:0"].map(|address| address.parse().unwrap());
        let mut probes = Probes::new(&addresses, &[22], Duration::from_secs(1));
        assert!(!probes.note(0, 0, Instant::now(), Err(Errno::CONNREFUSED)));
        assert_eq!(probes.answer(0), None, "the other one may be open");
        assert!(probes.note(0, 1, Instant::now(), Err(Errno::TIMEDOUT)));
        assert_eq!(probes.answer(0).map(|answer| answer.state), Some(State::Refused));
        assert!(probes.note(0, 1, Instant::now(), Ok(())));
        let answer = probes.answer(0).unwrap();
        assert_eq!((answer.state, answer.address), (State::Open, addresses[1].ip()));
    }

    #[test]
    fn more_ports_than_at_once_are_all_answered() {
        let listeners: Vec<TcpListener> =
            (0..3 * AT_ONCE).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        let addresses = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let mut probes = Probes::new(&addresses, &ports, Duration::from_secs(60));
        while (0..ports.len()).any(|nth| probes.answer(nth).is_none()) {
            probes.advance().unwrap();
            assert!(probes.under_way.len() <= AT_ONCE);
        }
        assert!((0..ports.len()).all(|nth| probes.answer(nth).is_some_and(|a| a.state == State::Open)));
    }
}
