//! Which sockets wait for somebody: TCP listeners and UDP sockets without a peer, from /proc/net/{tcp,tcp6,udp,udp6}
//! (proc_net_tcp in the kernel's documentation). They are those of this network namespace. Called by `port`; whose
//! they are is in `processes`.

use super::read_lines;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Bytes read of each table: some hundred thousand sockets. Listeners stand first.
const MOST_BYTES: u64 = 32 << 20;
/// Sockets kept at most.
const MOST: usize = 16 * 1024;
/// States (net/tcp_states.h): TCP_LISTEN; a UDP socket without a peer shows as TCP_CLOSE.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The address it waits at.
    pub address: IpAddr,
    /// The port it waits at.
    pub port: u16,
    /// Whose it is.
    pub uid: u32,
    /// Its number, by which descriptors name it.
    pub inode: u64,
}

/// What could be read.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// What was found, by port.
    pub found: Vec<Waiting>,
    /// Why not all of it was: sentences for people.
    pub unseen: Vec<String>,
}

/// All sockets that wait at a port that is wanted.
pub(crate) fn waiting(is_wanted: impl Fn(u16) -> bool) -> Sockets {
    let mut sockets = Sockets::default();
    for (table, protocol, state) in [
        ("tcp", "tcp", LISTEN),
        ("tcp6", "tcp", LISTEN),
        ("udp", "udp", UNCONNECTED),
        ("udp6", "udp", UNCONNECTED),
    ] {
        let path = format!("/proc/net/{table}");
        let mut full = false;
        let cut = read_lines(Path::new(&path), MOST_BYTES, |line| {
            match parse(line, protocol, state).filter(|socket| is_wanted(socket.port)) {
                Some(socket) if sockets.found.len() < MOST => sockets.found.push(socket),
                Some(_) => full = true,
                None => {}
            }
        });
        match cut {
            Ok(cut) if cut || full => sockets.unseen.push(format!("{path} has more sockets than are read")),
            Err(e) if e.kind() != std::io::ErrorKind::NotFound || !table.ends_with('6') => {
                sockets.unseen.push(format!("reading {path}: {e}"));
            }
            _ => {} // without IPv6 there is no table for it
        }
    }
    sockets.found.sort_by_key(|socket| (socket.port, socket.protocol, socket.address));
    sockets
}

/// A line such as `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 4242 …`: number,
/// local and remote address, state, queues, timer, retransmits, uid, time-out, inode.
fn parse(line: &str, protocol: &'static str, wanted: &str) -> Option<Waiting> {
    let mut fields = line.split_ascii_whitespace();
    let (local, _, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
    if state != wanted {
        return None;
    }
    let (uid, _, inode) = (fields.nth(3)?, fields.next()?, fields.next()?);
    let (address, port) = local.split_once(':')?;
    Some(Waiting {
        protocol,
        address: address_of(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        uid: uid.parse().ok()?,
        inode: inode.parse().ok()?,
    })
}

/// One or four words in the machine's own byte order.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn our_own_sockets_are_found() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = [tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port()];
        let found = waiting(|port| ports.contains(&port)).found;
        for (protocol, port) in ["tcp", "udp"].into_iter().zip(ports) {
            let socket = found.iter().find(|s| s.protocol == protocol && s.port == port).unwrap();
            assert_eq!(socket.address, IpAddr::from([127, 0, 0, 1]));
            assert_eq!(socket.uid, rustix::process::getuid().as_raw());
        }
    }

    #[test]
    fn lines_are_read() {
        let line = |address: &str, state| {
            format!(
                "   0: {address}:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0"
            )
        };
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let found = parse(&line(&word([127, 0, 0, 1]), "0A"), "tcp", LISTEN).unwrap();
        let expected = (IpAddr::from([127, 0, 0, 1]), 8080, 1000, 4242);
        assert_eq!((found.address, found.port, found.uid, found.inode), expected);
        assert_eq!(parse(&line(&word([127, 0, 0, 1]), "01"), "tcp", LISTEN), None, "a connection");
        let v6 = [word([0; 4]), word([0; 4]), word([0; 4]), word([0, 0, 0, 1])].concat();
        assert_eq!(
            parse(&line(&v6, "07"), "udp", UNCONNECTED).unwrap().address,
            IpAddr::from(Ipv6Addr::LOCALHOST)
        );
        assert_eq!(parse("  sl  local_address rem_address   st tx_queue rx_queue", "tcp", LISTEN), None);
        assert_eq!(address_of("0100007é"), None);
    }

    proptest! {
        #![proptest_config(crate::seed::seeded())]

        #[test]
        fn no_line_is_a_reason_to_end(
            line in "\\PC{0,80}", words in prop::collection::vec("[0-9A-F:é]{0,33}", 0..14)
        ) {
            for line in [&line, &words.join(" ")] {
                let _ = (parse(line, "tcp", LISTEN), address_of(line));
            }
        }
    }
}
