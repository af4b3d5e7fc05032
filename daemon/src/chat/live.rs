//! Who has a connection: the addresses from which a packet without any mark of ours may still be QUIC's. Links enter and
//! leave, the chat loop asks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module. Addresses as the hub sees them, IPv4 ones as such.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<HashMap<SocketAddr, usize>>);

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.lock().contains_key(&address)
    }

    /// A connection to this address lives until the answer is dropped.
    pub(super) fn enter(self: &Arc<Live>, address: SocketAddr) -> Entry {
        *self.lock().entry(address).or_default() += 1;
        Entry { live: Arc::clone(self), address }
    }

    fn leave(&self, address: SocketAddr) {
        let mut all = self.lock();
        if let Some(count) = all.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&address);
            }
        }
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
        self.live.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lives_as_long_as_its_last_connection() {
        let [a, b]: [SocketAddr; 2] = ["10.0.0.1:1", "10.0.0.2:1"].map(|text| text.parse().unwrap());
        let live = Arc::new(Live::default());
        let (first, mut second) = (live.enter(a), live.enter(a));
        drop(first);
        assert!(live.contains(a));
        assert!(second.moved(b) && !second.moved(b));
        assert!(live.contains(b) && !live.contains(a));
        drop(second);
        assert!(live.lock().is_empty());
    }
}
