//! A plain peer: a UDP socket and nothing else, as in the tutorial that netkit grew from.

use super::DEADLINE;
use std::net::{SocketAddr, UdpSocket};

/// A peer.
pub struct Peer {
    socket: UdpSocket,
}

impl Peer {
    /// A peer on 127.0.0.1.
    pub fn new() -> Peer {
        Peer::at("127.0.0.1:0")
    }

    /// A peer at another address.
    pub fn at(address: &str) -> Peer {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Peer { socket }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// As netkit names it.
    pub fn url(&self) -> String {
        format!("udp://{}", self.address())
    }

    /// Sends a datagram.
    pub fn say(&self, to: SocketAddr, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        assert_eq!(self.socket.send_to(bytes, to).unwrap(), bytes.len());
    }

    /// The next datagram's bytes, read as the tutorial reads: at most 1024.
    #[track_caller]
    pub fn hear_bytes(&self) -> Vec<u8> {
        let mut buffer = [0; 1024];
        let (len, _) = self.socket.recv_from(&mut buffer).expect("a datagram before the deadline");
        buffer[..len].to_vec()
    }

    /// The next datagram as text.
    #[track_caller]
    pub fn hear(&self) -> String {
        String::from_utf8(self.hear_bytes()).unwrap()
    }

    /// A second handle: the tutorial sends in one thread and receives in another.
    pub fn twin(&self) -> Peer {
        Peer { socket: self.socket.try_clone().unwrap() }
    }
}
