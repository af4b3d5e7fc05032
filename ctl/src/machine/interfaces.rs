//! The interfaces of this machine, their addresses, and which of them reaches an address. Called by `ip`.

use super::read_lines;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;

/// Interfaces shown at most: a host of containers has hundreds.
const MOST: usize = 4096;
/// Bytes read of the kernel's list: that many lines and more.
const MOST_BYTES: u64 = 1 << 20;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name.
    pub name: String,
    /// Its number, where the kernel told.
    pub index: Option<u32>,
    /// Whether it can carry packets; not told of those without an address.
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
    found.extend(without_address(Path::new("/proc/net/dev"), &found));
    Ok(found)
}

/// Those in the kernel's list that are not in `found`. sysfs has a list, too: of the network namespace that it was
/// mounted in, which may be another one.
fn without_address(list: &Path, found: &[Interface]) -> Vec<Interface> {
    let mut names = Vec::new();
    let _ = read_lines(list, MOST_BYTES, |line| {
        let name = line.split_once(':').map(|(name, _)| name.trim());
        names.extend(name.filter(|name| found.iter().all(|known| known.name != *name)).map(str::to_owned));
    }); // else none
    let interface =
        |name: String| Interface { index: index_of_name(&name), up: false, addresses: Vec::new(), name };
    names.into_iter().take(MOST).map(interface).collect()
}

fn index_of_name(name: &str) -> Option<u32> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    name_to_index(&any, name).ok()
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
        let file = tempfile::NamedTempFile::new().unwrap();
        let list = "Inter-|   Receive    |  Transmit\n face |bytes    packets\n    lo:  1 2 3\n  eth1: 0 0 0\neth2:9 9\n";
        std::fs::write(file.path(), list).unwrap();
        let lo = Interface { name: "lo".into(), index: Some(1), up: true, addresses: Vec::new() };
        let names = |path: &Path| {
            let found = without_address(path, std::slice::from_ref(&lo));
            found.into_iter().map(|interface| interface.name).collect::<Vec<_>>()
        };
        assert_eq!(names(file.path()), ["eth1", "eth2"]);
        assert!(names(Path::new("/no/such/file")).is_empty());
        assert_eq!(index_of_name("no-such"), None);
    }
}
