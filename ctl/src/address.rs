//! Plain peers as people write them, turned into how events name them: `udp://ADDRESS:PORT`, an IPv4 address always
//! as such, the interface of a link-local address by its number. Used by `chat`, `tail` and what waits for receipts.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// A peer's name in events.
#[must_use]
pub(crate) fn name_of(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => format!("udp://{ip}:{}", address.port()),
        IpAddr::V6(_) => format!("udp://{address}"),
    }
}

/// Whether a destination, or a peer as events name it, is a plain one: it proves nothing and gives no receipts.
#[must_use]
pub(crate) fn is_plain(peer: &str) -> bool {
    peer.starts_with("udp://")
}

/// Looks a host up, or reads an address.
///
/// # Errors
/// What the system says, also where the host has no address.
pub(crate) fn look_up(host: &str, port: u16) -> io::Result<SocketAddr> {
    (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("it has no address"))
}

/// A peer to filter by: `10.0.0.9:7890` → `udp://10.0.0.9:7890`, `::1` → `udp://[::1]`. What is no address stays as
/// it is; nothing is looked up but the number of an interface.
#[must_use]
pub(crate) fn filter_of(text: &str) -> String {
    let address = text.strip_prefix("udp://").unwrap_or(text);
    if let Ok(socket) = address.parse::<SocketAddr>() {
        return name_of(socket);
    }
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, rest.strip_prefix(':').and_then(|port| port.parse().ok())),
        None => (address, None),
    };
    if host.contains('%') {
        let found = look_up(host, port.unwrap_or(0)).map(name_of);
        return match (found, port) {
            (Ok(name), Some(_)) => name,
            (Ok(name), None) => name.strip_suffix(":0").unwrap_or(&name).to_owned(),
            (Err(_), _) => text.to_owned(),
        };
    }
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => format!("udp://{ip}"),
        Ok(IpAddr::V6(ip)) => format!("udp://[{ip}]"),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_written_as_events_have_them() {
        for (typed, expected) in [
            ("udp://10.0.0.9:9", "udp://10.0.0.9:9"),
            ("udp://10.0.0.9", "udp://10.0.0.9"),
            ("10.0.0.9:9", "udp://10.0.0.9:9"),
            ("10.0.0.9", "udp://10.0.0.9"),
            ("[::ffff:10.0.0.9]:9", "udp://10.0.0.9:9"),
            ("::1", "udp://[::1]"),
            ("[::1]", "udp://[::1]"),
            ("[::1]:9", "udp://[::1]:9"),
            ("udp://[0::1]:9", "udp://[::1]:9"),
            ("bob", "bob"),
            ("udp://[fe80::1%1]:9", "udp://[fe80::1%1]:9"),
            ("fe80::1%1", "udp://[fe80::1%1]"),
            ("udp://[fe80::1%lo]:9", "udp://[fe80::1%1]:9"),
            ("udp://[fe80::1%lo]", "udp://[fe80::1%1]"),
            ("fe80::1%no-such-interface", "fe80::1%no-such-interface"),
        ] {
            assert_eq!(filter_of(typed), expected, "{typed}");
        }
    }
}
