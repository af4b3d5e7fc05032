//! `netkitctl port check`: connects to TCP ports of a host, many at once, and tells what came of each: open, refused,
//! filtered (no answer in time) or unreachable. Called by `port`. A connection is closed as soon as it stands; nothing
//! is sent on it.

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome, common};
use crate::machine::services::Services;
use crate::output::Out;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with, sockopt,
};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Connections tried at once: a tenth of the descriptors that a process may have, and no burden for a small box.
const AT_ONCE: usize = 64;
/// Addresses of a host that are tried, one after the other.
const ADDRESSES: usize = 8;

/// What came of a port, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// A connection stood.
    Open,
    /// The host said that nobody listens.
    Refused,
    /// Nothing came back in time.
    Filtered,
    /// The network, or a router, said no.
    Unreachable,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Refused => "refused",
            State::Filtered => "filtered",
            State::Unreachable => "unreachable",
        }
    }

    fn exit(self) -> Option<Exit> {
        match self {
            State::Open => None,
            State::Refused => Some(Exit::Refused),
            State::Filtered => Some(Exit::Unfinished),
            State::Unreachable => Some(Exit::Failed),
        }
    }
}

/// What is told of a port.
#[derive(Clone, Debug, Serialize)]
struct Found {
    kind: &'static str,
    host: String,
    address: IpAddr,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    state: State,
    took_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
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

struct Check<'a> {
    host: &'a str,
    addresses: Vec<SocketAddr>,
    ports: &'a [u16],
    services: &'a Services,
    within: Duration,
    under_way: Vec<Probe>,
    /// The best that was found of each port, and whether that is final.
    found: Vec<(Option<Found>, bool)>,
}

/// Connects, prints each port at its turn, and fails as the ports did.
pub(super) fn run(
    context: &Context,
    services: &Services,
    host: &str,
    ports: &[u16],
    within: Duration,
) -> Outcome {
    if ports.contains(&0) {
        return Err(Failure::new(Exit::Usage, "connecting to port 0: nobody can listen there"));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, 0).to_socket_addrs();
    let addresses = addresses.map_err(|e| Failure::new(Exit::NotFound, format!("looking up {host}: {e}")))?;
    let addresses: Vec<SocketAddr> = addresses.take(ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("looking up {host}: it has no address")));
    }
    let found = vec![(None, false); ports.len()];
    let mut check = Check { host, addresses, ports, services, within, under_way: Vec::new(), found };
    let mut out = Out::stdout();
    let (mut next, mut shown, mut exits) = (0, 0, Vec::new());
    while shown < ports.len() {
        while next < ports.len() && check.under_way.len() < AT_ONCE {
            check.begin(next, 0);
            next += 1;
        }
        let before = shown;
        while let Some((Some(found), true)) = check.found.get(shown) {
            exits.extend(found.state.exit());
            out.either(context.json, found, &line(found))?;
            shown += 1;
        }
        if shown > before {
            out.flush()?;
        }
        check
            .wait()
            .map_err(|e| Failure::new(Exit::Failed, format!("waiting for connections to {host}: {e}")))?;
    }
    common(exits).map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}

fn line(found: &Found) -> String {
    let Found { address, port, service, state, took_ms, because, .. } = found;
    let service = service.as_deref().unwrap_or("-");
    let because = because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{port:>5} {service:<16} {:<11} {took_ms:>8.1} ms  {address}{because}", state.word())
}

impl Check<'_> {
    /// Begins a connection to a port, at the address with this number or the next that takes one.
    fn begin(&mut self, nth: usize, mut address: usize) {
        while let Some(to) = self.addresses.get(address).copied() {
            let begun = Instant::now();
            match start(to, self.ports[nth]) {
                Ok((socket, false)) => {
                    self.under_way.push(Probe { nth, address, socket, begun });
                    return;
                }
                Ok((socket, true)) => {
                    if self.ended(&Probe { nth, address, socket, begun }, Ok(())) {
                        return;
                    }
                }
                Err(e) => {
                    if self.told(nth, address, begun, e) {
                        return;
                    }
                }
            }
            address += 1;
        }
    }

    /// Waits until something came of a connection, or one had its time; deals with all that have.
    fn wait(&mut self) -> std::io::Result<()> {
        let Some(first) = self.under_way.iter().map(|probe| probe.begun).min() else { return Ok(()) };
        let left = self.within.saturating_sub(first.elapsed());
        // A millisecond more, as poll rounds: it would come back too early, many times.
        let left = left.saturating_add(Duration::from_millis(1));
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
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for (probe, is_ready) in std::mem::take(&mut self.under_way).into_iter().zip(ready) {
            if is_ready {
                let result = sockopt::socket_error(&probe.socket).and_then(|result| result);
                ended.push((probe, result));
            } else if probe.begun.elapsed() >= self.within {
                ended.push((probe, Err(Errno::TIMEDOUT)));
            } else {
                kept.push(probe);
            }
        }
        self.under_way = kept;
        for (probe, result) in ended {
            if !self.ended(&probe, result) {
                self.begin(probe.nth, probe.address + 1);
            }
        }
        Ok(())
    }

    /// Notes what came of a connection; whether that is all there is to the port.
    fn ended(&mut self, probe: &Probe, result: Result<(), Errno>) -> bool {
        let result = result.and_then(|()| {
            // Where nobody listens at one of our own ports the kernel may connect the socket to itself.
            let itself = getpeername(&probe.socket)? == Some(getsockname(&probe.socket)?);
            if itself { Err(Errno::CONNREFUSED) } else { Ok(()) }
        });
        match result {
            Ok(()) => self.note(probe.nth, probe.address, probe.begun, State::Open, None),
            Err(e) => self.told(probe.nth, probe.address, probe.begun, e),
        }
    }

    fn told(&mut self, nth: usize, address: usize, begun: Instant, error: Errno) -> bool {
        let why = Some(std::io::Error::from(error).to_string());
        let (state, why) = match error {
            Errno::CONNREFUSED => (State::Refused, None),
            Errno::TIMEDOUT => (State::Filtered, None),
            _ => (State::Unreachable, why),
        };
        self.note(nth, address, begun, state, why)
    }

    fn note(
        &mut self,
        nth: usize,
        address: usize,
        begun: Instant,
        state: State,
        because: Option<String>,
    ) -> bool {
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let port = self.ports[nth];
        let found = Found {
            kind: "check",
            host: self.host.to_owned(),
            address: self.addresses[address].ip(),
            port,
            service: self.services.name(port, "tcp").map(str::to_owned),
            state,
            took_ms: (took * 1e3).round() / 1e3,
            because,
        };
        let (best, is_final) = &mut self.found[nth];
        if best.as_ref().is_none_or(|best| state < best.state) {
            *best = Some(found);
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

    #[test]
    fn a_port_is_told_on_one_line() {
        let mut found = Found {
            kind: "check",
            host: "box2".into(),
            address: [10, 0, 0, 9].into(),
            port: 22,
            service: Some("ssh".into()),
            state: State::Open,
            took_ms: 0.42,
            because: None,
        };
        assert_eq!(line(&found), "   22 ssh              open             0.4 ms  10.0.0.9");
        (found.state, found.because) = (State::Unreachable, Some("No route to host".into()));
        assert_eq!(
            line(&found),
            "   22 ssh              unreachable      0.4 ms  10.0.0.9: No route to host"
        );
    }

    #[test]
    fn the_best_of_several_addresses_counts() {
        let services = Services::read();
        let addresses = vec!["10.0.0.1:0".parse().unwrap(), "10.0.0.2:0".parse().unwrap()];
        let within = Duration::from_secs(1);
        let mut check = Check {
            host: "box2",
            addresses,
            ports: &[22],
            services: &services,
            within,
            under_way: Vec::new(),
            found: vec![(None, false)],
        };
        assert!(!check.told(0, 0, Instant::now(), Errno::CONNREFUSED));
        assert!(check.told(0, 1, Instant::now(), Errno::TIMEDOUT));
        assert_eq!(check.found[0].0.as_ref().map(|found| found.state), Some(State::Refused));
        assert!(check.note(0, 1, Instant::now(), State::Open, None));
        assert_eq!(check.found[0].0.as_ref().map(|found| found.state), Some(State::Open));
    }
}
