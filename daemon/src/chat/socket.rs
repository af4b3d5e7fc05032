//! The UDP socket, IPv4 and IPv6 in one: the chat loop receives in batches and sends plain lines one by one, QUIC sends
//! through [`SharedSocket`]. The only place that touches it. What a datagram is, is told elsewhere.

use crate::limits;
use crate::listen;
use crate::syscall;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::Type;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A datagram that arrived, as long as the buffer is not used again.
#[derive(Debug)]
pub(super) struct Received<'a> {
    /// Who sent it, an IPv4 address as such.
    pub from: SocketAddr,
    /// The address of ours that it was sent to.
    pub local: Option<IpAddr>,
    pub bytes: &'a [u8],
    /// For QUIC: the sender as the kernel tells it,
    pub source: SocketAddr,
    /// the address of ours likewise,
    pub destination: Option<IpAddr>,
    /// and the mark of congestion (RFC 3168).
    pub ecn: Option<EcnCodepoint>,
}

/// The socket for all that send.
#[derive(Debug)]
pub(super) struct SharedSocket {
    io: UdpSocket,
    state: UdpSocketState,
    is_ipv6: bool,
}

/// The socket for the one that receives.
#[derive(Debug)]
pub(super) struct ChatSocket {
    shared: Arc<SharedSocket>,
    buffer: Vec<u8>,
}

/// Binds, with a large receive buffer.
pub(super) fn bind(listen: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = listen::bind(listen, Type::DGRAM)?;
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN; without it the kernel gives what it may.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, limits::RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(limits::RECEIVE_BUFFER)?;
    }
    Ok(socket.into())
}

impl ChatSocket {
    /// Needs a runtime.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<ChatSocket> {
        let io = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        let is_ipv6 = io.local_addr()?.is_ipv6();
        // Zeroed memory is not touched before a datagram comes: only what traffic needs is resident.
        let shared = Arc::new(SharedSocket { io, state, is_ipv6 });
        Ok(ChatSocket { shared, buffer: vec![0; BATCH_SIZE * limits::DATAGRAM] })
    }

    pub(super) fn shared(&self) -> &Arc<SharedSocket> {
        &self.shared
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.shared.io.readable().await
    }

    /// Receives one batch, if there is one, and hands each datagram to `take`; whether there was one.
    pub(super) fn receive(&mut self, mut take: impl FnMut(Received<'_>)) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let SharedSocket { io, state, .. } = &*self.shared;
        let mut slices = self.buffer.chunks_mut(limits::DATAGRAM).map(IoSliceMut::new);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| slices.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let received =
            io.try_io(Interest::READABLE, || state.recv(UdpSockRef::from(io), &mut buffers, &mut metas));
        let count = match received {
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // What an earlier datagram met on its way says nothing of this socket.
            Err(e) if is_about_a_peer(&e) => return Ok(true),
            Err(e) => return Err(e),
        };
        for (meta, buffer) in metas.iter().zip(&buffers).take(count) {
            let received = |bytes| Received {
                from: canonical(meta.addr),
                local: meta.dst_ip.map(|ip| ip.to_canonical()),
                bytes,
                source: meta.addr,
                destination: meta.dst_ip,
                ecn: meta.ecn,
            };
            let all = buffer.get(..meta.len).unwrap_or_default();
            if all.is_empty() {
                take(received(all));
            }
            for bytes in all.chunks(meta.stride.max(1)) {
                take(received(bytes));
            }
        }
        Ok(true)
    }

    /// Datagrams that the kernel dropped here since the start.
    pub(super) fn dropped(&self) -> io::Result<u64> {
        syscall::datagrams_dropped(self.shared.io.as_fd()).map(u64::from)
    }
}

impl SharedSocket {
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Sends one datagram, from `from` where the system lets it.
    pub(super) fn send(&self, to: SocketAddr, from: Option<IpAddr>, contents: &[u8]) -> io::Result<()> {
        let destination = match to {
            SocketAddr::V4(v4) if self.is_ipv6 => mapped(v4),
            other => other,
        };
        let send = |src_ip| {
            let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
            self.io.try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.io), &transmit))
        };
        match send(from) {
            // An address to which a broadcast went is none to send from, nor is one that this box has lost.
            Err(e) if from.is_some() && e.kind() != io::ErrorKind::WouldBlock => send(None),
            result => result,
        }
    }

    /// Sends what QUIC has, segments of one size in one call where the kernel can (UDP_SEGMENT, udp(7)). What goes wrong on
    /// the way of one peer is told to nobody: QUIC notices that nothing arrives.
    pub(super) fn transmit(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.state.send(UdpSockRef::from(&self.io), transmit))
    }

    /// Segments that [`SharedSocket::transmit`] sends in one call.
    pub(super) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Whether the kernel may cut a datagram into pieces on its way.
    pub(super) fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

fn is_about_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable
    )
}

/// An IPv4 address that came through an IPv6 socket, as such.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn mapped(v4: SocketAddrV4) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
}
