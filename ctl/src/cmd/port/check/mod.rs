//! `netkitctl port check`: tries TCP ports of a host, and tells of each whether it is open, refused, filtered (no answer
//! in time) or unreachable. Called by `port`; the connections are `probe`'s. One is closed as soon as it stands, and
//! nothing is sent on it.

mod probe;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome, common};
use crate::machine::services::Services;
use crate::output::Out;
use probe::{Answer, Probes, State};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Addresses of a host that are tried, one after the other.
const ADDRESSES: usize = 8;

/// What is told of a port. The names are for scripts and stay.
#[derive(Debug, Serialize)]
struct Told<'a> {
    kind: &'static str,
    host: &'a str,
    address: IpAddr,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    state: State,
    took_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
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
    let addresses = look_up(host)?;
    let mut probes = Probes::new(&addresses, ports, within);
    let mut out = Out::stdout();
    let (mut turn, mut exits) = (0, Vec::new());
    while let Some(&port) = ports.get(turn) {
        let Some(answer) = probes.answer(turn) else {
            out.flush()?; // before it waits
            let advanced = probes.advance();
            advanced
                .map_err(|e| Failure::new(Exit::Failed, format!("waiting for connections to {host}: {e}")))?;
            continue;
        };
        exits.extend(exit_of(answer.state));
        let told = Told::of(host, port, services, answer);
        out.either(context.json, &told, &told.line())?;
        turn += 1;
    }
    out.flush()?;
    common(exits).map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}

/// The addresses of a host, or the address that it is.
fn look_up(host: &str) -> Outcome<Vec<SocketAddr>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = (bare, 0).to_socket_addrs().map(|found| found.take(ADDRESSES).collect::<Vec<_>>());
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::new(Exit::NotFound, format!("looking up {host}: it has no address"))),
        Err(e) => Err(Failure::new(Exit::NotFound, format!("looking up {host}: {e}"))),
    }
}

fn exit_of(state: State) -> Option<Exit> {
    match state {
        State::Open => None,
        State::Refused => Some(Exit::Refused),
        State::Filtered => Some(Exit::Unfinished),
        State::Unreachable => Some(Exit::Failed),
    }
}

impl<'a> Told<'a> {
    fn of(host: &'a str, port: u16, services: &'a Services, answer: &'a Answer) -> Told<'a> {
        Told {
            kind: "check",
            host,
            address: answer.address,
            port,
            service: services.name(port, "tcp"),
            state: answer.state,
            took_ms: (answer.took.as_secs_f64() * 1e6).round() / 1e3,
            because: answer.because.as_deref(),
        }
    }

    fn line(&self) -> String {
        let Told { address, port, service, state, took_ms, because, .. } = self;
        let state = match state {
            State::Open => "open",
            State::Refused => "refused",
            State::Filtered => "filtered",
            State::Unreachable => "unreachable",
        };
        let because = because.map(|why| format!(": {why}")).unwrap_or_default();
        format!("{port:>5} {:<16} {state:<11} {took_ms:>8.1} ms  {address}{because}", service.unwrap_or("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_on_one_line() {
        let services = Services::read();
        let mut answer = Answer {
            address: [10, 0, 0, 9].into(),
            state: State::Open,
            took: Duration::from_micros(420),
            because: None,
        };
        let told = |answer: &Answer| Told::of("box2", 22, &services, answer).line();
        assert_eq!(told(&answer), "   22 ssh              open             0.4 ms  10.0.0.9");
        (answer.state, answer.because) = (State::Unreachable, Some("No route to host".into()));
        assert_eq!(
            told(&answer),
            "   22 ssh              unreachable      0.4 ms  10.0.0.9: No route to host"
        );
    }
}
