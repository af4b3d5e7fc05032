//! What this machine lets a program do with a port: whether binding needs a privilege, which ports it gives out by
//! itself, and whether a port is free. Called by `port`.

use super::read_lines;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The first port that anybody may bind where the kernel does not say: IPPORT_RESERVED (ip_unprivileged_port_start in
/// the kernel's ip-sysctl).
const UNPRIVILEGED: u16 = 1024;
/// Bit of CAP_NET_BIND_SERVICE (capabilities(7)).
const BIND_SERVICE: u64 = 1 << 10;

/// What binding takes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Ports below need CAP_NET_BIND_SERVICE.
    pub unprivileged_from: u16,
    /// Whether this process has it.
    pub may_bind_all: bool,
    /// The ports that the kernel gives to sockets that ask for none, where it says.
    pub ephemeral: Option<(u16, u16)>,
}

impl Rules {
    /// Reads them.
    pub(crate) fn read() -> Rules {
        let first_line = |path: &str| {
            let mut text = String::new();
            let read = read_lines(Path::new(path), 256, |line| text = line.to_owned());
            read.ok().map(|_| text)
        };
        let mut may_bind_all = false;
        let read = read_lines(Path::new("/proc/self/status"), 64 * 1024, |line| {
            may_bind_all |= has_bind_service(line);
        });
        let start = first_line("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        Rules {
            unprivileged_from: start.and_then(|text| text.trim().parse().ok()).unwrap_or(UNPRIVILEGED),
            may_bind_all: read.map_or(rustix::process::geteuid().is_root(), |_| may_bind_all),
            ephemeral: first_line("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| two_ports(&text)),
        }
    }

    /// Whether binding `port` needs the privilege.
    pub(crate) fn is_privileged(&self, port: u16) -> bool {
        port != 0 && port < self.unprivileged_from
    }
}

/// Whether a line of /proc/PID/status tells of the right to bind all ports.
fn has_bind_service(line: &str) -> bool {
    let set = line.strip_prefix("CapEff:").and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & BIND_SERVICE != 0)
}

fn two_ports(text: &str) -> Option<(u16, u16)> {
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    Some((ports.next()?.ok()?, ports.next()?.ok()?))
}

/// What came of trying to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// It went.
    Free,
    /// A socket is there already.
    Used,
    /// This caller may not.
    Denied,
    /// This machine does not have the address family, or something else.
    Impossible,
}

/// Tries to bind `port` on all addresses of a family, as a server would, and lets go at once. A TCP port that only
/// old connections hold is free (SO_REUSEADDR). Nothing is sent.
pub(crate) fn try_bind(protocol: &str, v6: bool, port: u16) -> Bound {
    let bound = || -> rustix::io::Result<()> {
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let kind = if protocol == "tcp" { SocketType::STREAM } else { SocketType::DGRAM };
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        if kind == SocketType::STREAM {
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        if v6 {
            sockopt::set_ipv6_v6only(&socket, true)?; // else IPv4 would be asked about, too
            return bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        }
        bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    };
    match bound() {
        Ok(()) => Bound::Free,
        Err(Errno::ADDRINUSE) => Bound::Used,
        Err(Errno::ACCESS | Errno::PERM) => Bound::Denied,
        Err(_) => Bound::Impossible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        for (line, expected) in [
            ("CapEff:\t0000000000000400", true),
            ("CapEff:\t000001fffeffffff", true),
            ("CapEff:\t0000000000000000", false),
            ("CapEff:\tx", false),
            ("CapPrm:\t0000000000000400", false),
        ] {
            assert_eq!(has_bind_service(line), expected, "{line}");
        }
        assert_eq!(two_ports("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!((two_ports("32768"), two_ports("a b"), two_ports("1 65536")), (None, None, None));
        let rules = Rules { unprivileged_from: 1024, may_bind_all: false, ephemeral: None };
        assert_eq!([0, 1, 1023, 1024].map(|port| rules.is_privileged(port)), [false, true, true, false]);
    }

    #[test]
    fn a_used_port_is_not_free() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(try_bind("tcp", false, tcp.local_addr().unwrap().port()), Bound::Used);
        let port = udp.local_addr().unwrap().port();
        assert_eq!(try_bind("udp", false, port), Bound::Used);
        drop(udp);
        assert_eq!(try_bind("udp", false, port), Bound::Free);
    }
}
