//! The chat socket as QUIC sees it: what the chat loop found to be QUIC's waits here until the endpoint takes it; what the
//! endpoint sends goes straight out. Nobody here reads the real socket, and nothing that a peer does is an error, since one
//! of those would end the endpoint.

use crate::chat::socket::{Received, SharedSocket};
use crate::limits;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// See the module.
#[derive(Debug)]
pub(in crate::chat) struct QuicSocket {
    shared: Arc<SharedSocket>,
    inbox: Mutex<Inbox>,
}

/// Packets of handshakes and packets of connections wait apart and take turns: whoever calls again and again does not
/// hold up those who have come to talk.
#[derive(Debug, Default)]
struct Inbox {
    lanes: [VecDeque<Packet>; 2],
    /// Whose turn is next.
    turn: usize,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct Packet {
    from: SocketAddr,
    to: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
    bytes: Box<[u8]>,
}

impl Inbox {
    /// Whether the packet found room.
    fn push(&mut self, packet: Packet) -> bool {
        // The first bit tells a long header, which handshakes alone have (RFC 9000, section 17.2).
        let lane = usize::from(packet.bytes.first().is_some_and(|first| first & 0x80 != 0));
        let lane = &mut self.lanes[lane];
        let fits = lane.len() < limits::QUIC_INBOX && packet.bytes.len() <= usize::from(limits::QUIC_PACKET);
        if fits {
            lane.push_back(packet);
        }
        fits
    }

    fn pop(&mut self) -> Option<Packet> {
        let first = self.turn;
        self.turn = 1 - first;
        self.lanes[first].pop_front().or_else(|| self.lanes[1 - first].pop_front())
    }
}

impl QuicSocket {
    pub(super) fn new(shared: Arc<SharedSocket>) -> QuicSocket {
        QuicSocket { shared, inbox: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a packet; whether there was room for it.
    pub(in crate::chat) fn push(&self, received: &Received<'_>) -> bool {
        let Received { source, destination, ecn, bytes, .. } = *received;
        let mut inbox = self.lock();
        let taken = inbox.push(Packet { from: source, to: destination, ecn, bytes: bytes.into() });
        if let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
        taken
    }
}

impl AsyncUdpSocket for QuicSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { shared: Arc::clone(&self.shared), waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.shared.transmit(transmit) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.lock();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(Packet { from, to, ecn, bytes }) = inbox.pop() else { break };
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            *meta = RecvMeta::default();
            (meta.addr, meta.dst_ip, meta.ecn) = (from, to, ecn);
            (meta.len, meta.stride) = (len, len);
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        inbox.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.shared.max_segments()
    }

    fn may_fragment(&self) -> bool {
        self.shared.may_fragment()
    }
}

/// Waits until the socket has room: one for each connection, since a socket wakes all that wait so, but only one of those
/// that poll it.
struct Poller {
    shared: Arc<SharedSocket>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = Arc::clone(&self.shared);
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::pin(async move {
                // It fails only where the runtime ends; what is sent then fails likewise.
                let _ = shared.writable().await;
            })
        });
        let ready = waiting.as_mut().poll(cx);
        if ready.is_ready() {
            self.waiting = None;
        }
        ready.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, len: usize) -> Packet {
        let mut bytes = vec![0; len];
        bytes[0] = first;
        Packet { from: "10.0.0.1:1".parse().unwrap(), to: None, ecn: None, bytes: bytes.into() }
    }

    #[test]
    fn a_flood_of_handshakes_leaves_half_the_turns_to_connections_and_the_other_way_round() {
        for (flood, trickle) in [(0xC0, 0x40), (0x40, 0xC0)] {
            let mut inbox = Inbox::default();
            let taken = (0..10 * limits::QUIC_INBOX).filter(|_| inbox.push(packet(flood, 1200))).count();
            assert_eq!(taken, limits::QUIC_INBOX, "what does not fit is dropped");
            for _ in 0..10 {
                assert!(inbox.push(packet(trickle, 100)));
            }
            let firsts: Vec<u8> = (0..20).map(|_| inbox.pop().unwrap().bytes[0]).collect();
            assert_eq!(firsts.iter().filter(|first| **first == trickle).count(), 10);
            assert_eq!(inbox.pop().unwrap().bytes[0], flood, "and none is left waiting");
        }
    }

    #[test]
    fn a_packet_longer_than_any_of_ours_is_dropped() {
        let mut inbox = Inbox::default();
        let longest = usize::from(limits::QUIC_PACKET);
        assert!(inbox.push(packet(0x40, longest)));
        assert!(!inbox.push(packet(0x40, longest + 1)));
    }
}
