//! The interfaces of this machine, their addresses, and which of them reaches an address. Called by `ip`.

use super::read_lines;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;

/// Interfaces shown at most: a host of containers has hundreds.
const MOST: usize = 4096;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name.
    pub name: String,
    /// Its number, where the kernel told.
    pub index: Option<u32>,
    /// Whether it can carry packets.
    pub up: bool,
    /// Its addresses and their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// All interfaces, in the kernel's order; those without an address stand last.
///
/// # Errors
/// Where the kernel does not tell.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<Interface> = Vec::new();
    for entry in if_addrs::get_if_addrs()?.into_iter().take(MOST) {
        // The kernel does not know whether loopback and tunnels are up, and means that they are.
        let up = matches!(entry.oper_status, if_addrs::IfOperStatus::Up | if_addrs::IfOperStatus::Unknown);
        let (ip, prefix) = match &entry.addr {
            if_addrs::IfAddr::V4(v4) => (IpAddr::V4(v4.ip), v4.prefixlen),
            if_addrs::IfAddr::V6(v6) => (IpAddr::V6(v6.ip), v6.prefixlen),
        };
        match found.iter_mut().find(|interface| interface.name == entry.name) {
            Some(interface) => interface.addresses.push((ip, prefix)),
            None => found.push(Interface {
                name: entry.name,
                index: entry.index,
                up,
                addresses: vec![(ip, prefix)],
            }),
        }
    }
    found.extend(without_address(Path::new("/sys/class/net"), &found));
    Ok(found)
}

/// Those in `dir` that are not in `found`; none where sysfs is hidden.
fn without_address(dir: &Path, found: &[Interface]) -> Vec<Interface> {
    let Ok(entries) = dir.read_dir() else { return Vec::new() };
    let read = |name: &str, file: &str| {
        let mut text = String::new();
        let _ = read_lines(&dir.join(name).join(file), 64, |line| text.push_str(line)); // else unknown
        text
    };
    let names = entries.take(MOST).flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| found.iter().all(|interface| interface.name != *name));
    names.sort();
    let interface = |name: String| Interface {
        index: read(&name, "ifindex").parse().ok(),
        up: matches!(read(&name, "operstate").as_str(), "up" | "unknown"),
        addresses: Vec::new(),
        name,
    };
    names.into_iter().map(interface).collect()
}

/// The interface that has `address`; of several the first one that is up.
pub(crate) fn having(interfaces: &[Interface], address: IpAddr) -> Option<&Interface> {
    let having = |interface: &&Interface| interface.addresses.iter().any(|(ip, _)| *ip == address);
    interfaces.iter().filter(having).max_by_key(|interface| interface.up)
}

/// The number of the interface that `zone` names.
pub(crate) fn index_of(interfaces: &[Interface], zone: &str) -> Option<u32> {
    let named = interfaces.iter().find(|interface| interface.name == zone).and_then(|i| i.index);
    named.or_else(|| zone.parse().ok().filter(|index| *index != 0))
}

/// The address that packets to `to` would come from: the kernel chooses one for a connected UDP socket, which sends
/// nothing.
///
/// # Errors
/// Why the kernel has no way there.
pub(crate) fn source_for(to: IpAddr, scope_id: u32) -> io::Result<IpAddr> {
    let (any, to): (IpAddr, SocketAddr) = match to {
        IpAddr::V4(ip) => (Ipv4Addr::UNSPECIFIED.into(), (ip, DISCARD).into()),
        IpAddr::V6(ip) => (Ipv6Addr::UNSPECIFIED.into(), SocketAddrV6::new(ip, DISCARD, 0, scope_id).into()),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_broadcast(true)?; // else a broadcast address is refused
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip().to_canonical()) // of an IPv4-mapped one, IPv4's
}

/// A port to name where none matters: discard (RFC 863).
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_and_reaches_itself() {
        let interfaces = interfaces().unwrap();
        let loopback = having(&interfaces, Ipv4Addr::LOCALHOST.into()).unwrap();
        assert!(loopback.up && loopback.addresses.contains(&(Ipv4Addr::LOCALHOST.into(), 8)), "{loopback:?}");
        assert_eq!(index_of(&interfaces, &loopback.name), loopback.index);
        assert_eq!(index_of(&interfaces, "7"), Some(7));
        assert_eq!(index_of(&interfaces, "no-such-interface"), None);
        assert_eq!(source_for([127, 0, 0, 9].into(), 0).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn interfaces_without_address_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lo", "eth1"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("bonding_masters"), "").unwrap();
        let lo = Interface { name: "lo".into(), index: Some(1), up: true, addresses: Vec::new() };
        std::fs::write(dir.path().join("eth1/ifindex"), "7\n").unwrap();
        std::fs::write(dir.path().join("eth1/operstate"), "up\n").unwrap();
        let eth1 = Interface { name: "eth1".into(), index: Some(7), up: true, addresses: Vec::new() };
        assert_eq!(without_address(dir.path(), &[lo]), [eth1]);
        assert!(without_address(Path::new("/no/such/directory"), &[]).is_empty());
    }
}
