//! Offers datagrams on loopback, at a pace or as fast as one thread can. Called by `intake`.

use anyhow::{Context as _, Result};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Bytes of one datagram: a line as people and scripts write it.
pub(crate) const DATAGRAM: usize = 100;
/// Datagrams between two looks at the clock.
const BURST: u32 = 64;

/// How fast to offer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many datagrams a second.
    PerSecond(u32),
    /// As fast as one thread can.
    Flood,
}

/// A source of datagrams for one receiver.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: UdpSocket,
    datagram: [u8; DATAGRAM],
}

impl Sender {
    pub(crate) fn new(to: SocketAddr) -> Result<Sender> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a UDP socket")?;
        socket.connect(to).context("cannot connect the UDP socket")?;
        let mut datagram = [b'x'; DATAGRAM];
        datagram[DATAGRAM - 1] = b'\n';
        Ok(Sender { socket, datagram })
    }

    /// Offers datagrams for this time and says how many.
    pub(crate) fn offer(&self, pace: Pace, time: Duration) -> Result<u64> {
        let start = Instant::now();
        let mut sent = 0;
        let mut due = Duration::ZERO;
        loop {
            for _ in 0..BURST {
                self.send()?;
            }
            sent += u64::from(BURST);
            if let Pace::PerSecond(rate) = pace {
                // Each burst is due by the clock, so that a late wake-up does not lower the rate.
                due += Duration::from_secs(1) * BURST / rate;
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            if start.elapsed() >= time {
                return Ok(sent);
            }
        }
    }

    /// Offers one datagram. A receiver that is gone shows as a refused connection.
    pub(crate) fn send(&self) -> Result<()> {
        self.socket.send(&self.datagram).context("cannot send, the receiver may have died")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_kept() -> Result<()> {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let sender = Sender::new(receiver.local_addr()?)?;
        let sent = sender.offer(Pace::PerSecond(6400), Duration::from_millis(100))?;
        assert!((64..=704).contains(&sent), "{sent}"); // never above the rate, whatever the machine does
        Ok(())
    }
}
