//! Who has a connection: the addresses from which a packet without any mark of ours may still be QUIC's. Links enter and
//! leave, the chat loop asks.

use crate::limits;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// See the module. Addresses as the hub sees them, IPv4 ones as such.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<HashMap<SocketAddr, Connections>>);

/// The connections to one address.
#[derive(Debug, Default)]
struct Connections {
    count: usize,
    /// When the last one ended.
    ended: Option<Instant>,
}

impl Connections {
    /// The last words of a connection still count: a peer that was started anew answers our farewell with a reset.
    fn is_live(&self, now: Instant) -> bool {
        self.count > 0 || self.ended.is_some_and(|ended| now.duration_since(ended) < limits::LINK_LINGER)
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Connections>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.lock().get(&address).is_some_and(|connections| connections.is_live(Instant::now()))
    }

    /// A connection to this address lives until the answer is dropped.
    pub(super) fn enter(self: &Arc<Live>, address: SocketAddr) -> Entry {
        self.lock().entry(address).or_default().count += 1;
        Entry { live: Arc::clone(self), address }
    }

    fn leave(&self, address: SocketAddr, now: Instant) {
        let mut all = self.lock();
        if let Some(connections) = all.get_mut(&address) {
            connections.count = connections.count.saturating_sub(1);
            connections.ended = Some(now);
        }
        all.retain(|_, connections| connections.is_live(now));
    }
}

/// One connection's entry.
#[derive(Debug)]
pub(super) struct Entry {
    live: Arc<Live>,
    address: SocketAddr,
}

impl Entry {
    /// Notes where the peer is now; whether that is news.
    pub(super) fn moved(&mut self, address: SocketAddr) -> bool {
        let news = address != self.address;
        if news {
            *self = self.live.enter(address);
        }
        news
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.live.leave(self.address, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lives_a_little_longer_than_its_last_connection() {
        let [a, b, c]: [SocketAddr; 3] =
            ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"].map(|text| text.parse().unwrap());
        let live = Arc::new(Live::default());
        let (first, mut second) = (live.enter(a), live.enter(a));
        drop(first);
        assert!(live.contains(a) && !live.contains(b));
        assert!(second.moved(b) && !second.moved(b));
        assert!(live.contains(a) && live.contains(b));
        let later = Instant::now() + limits::LINK_LINGER;
        std::mem::forget(live.enter(c));
        live.leave(c, later);
        assert!(!live.lock().contains_key(&a) && live.lock().contains_key(&c), "what is over is forgotten");
        drop(second);
        live.leave(c, later + limits::LINK_LINGER);
        assert!(live.lock().keys().eq([&c]));
    }
}
