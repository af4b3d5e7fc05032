//! Who is served when not all can be. A connection that has said nothing costs little and may wait long; the oldest of
//! these goes when there are too many. One that asks takes a permit; an address gets one only while it holds fewer than
//! are free, so that one address alone gets half of them at most and a newcomer always finds some.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections that have said nothing yet, by age.
#[derive(Debug)]
pub(super) struct Silent {
    most: usize,
    /// The last number given, and who waits under which.
    waiting: Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>,
}

impl Silent {
    pub(super) fn new(most: usize) -> Silent {
        Silent { most, waiting: Mutex::default() }
    }

    /// A connection begins. Where there are too many the oldest one is told to go: `true`.
    pub(super) fn enter(self: &Arc<Silent>) -> (Waiting, bool) {
        let mut silent = lock(&self.waiting);
        silent.0 += 1;
        let (id, evicted) = (silent.0, Arc::new(Notify::new()));
        silent.1.insert(id, Arc::clone(&evicted));
        let oldest = if silent.1.len() > self.most { silent.1.pop_first() } else { None };
        if let Some((_, oldest)) = &oldest {
            oldest.notify_one();
        }
        (Waiting { id, evicted, silent: Arc::clone(self) }, oldest.is_some())
    }
}

/// A connection that has said nothing yet.
#[derive(Debug)]
pub(super) struct Waiting {
    id: u64,
    evicted: Arc<Notify>,
    silent: Arc<Silent>,
}

impl Waiting {
    /// Waits until another one needs the place.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.silent.waiting).1.remove(&self.id);
    }
}

/// Permits to be served.
#[derive(Debug)]
pub(super) struct Permits {
    total: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Permits {
    pub(super) fn new(total: usize) -> Permits {
        Permits { total, held: Mutex::default() }
    }

    /// A permit for a client at this address, if its share is not used up.
    pub(super) fn take(self: &Arc<Permits>, address: IpAddr) -> Option<Permit> {
        let address = network_of(address);
        let mut held = lock(&self.held);
        let free = self.total.saturating_sub(held.all);
        let own = held.by_address.get(&address).copied().unwrap_or(0);
        if own >= free {
            return None;
        }
        held.all += 1;
        held.by_address.insert(address, own + 1);
        Some(Permit { address, permits: Arc::clone(self) })
    }
}

/// What counts as one client: an IPv6 host chooses among the addresses of its /64 (RFC 4291, section 2.5.1).
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// The right to be served; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    address: IpAddr,
    permits: Arc<Permits>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = lock(&self.permits.held);
        held.all -= 1;
        if let Some(own) = held.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                held.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_gets_a_share_and_a_newcomer_finds_room() {
        let permits = Arc::new(Permits::new(12));
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let take_all = |n: u8| std::iter::from_fn(|| permits.take(address(n))).collect::<Vec<_>>();
        let first = take_all(1);
        assert_eq!(first.len(), 6, "half of all");
        let second = take_all(2);
        assert_eq!(second.len(), 3, "half of the rest");
        let third = take_all(3);
        assert_eq!(third.len(), 2, "a newcomer finds some");
        drop(first);
        assert!(permits.take(address(2)).is_some(), "what is given back can be had");
        drop((second, third));
        assert_eq!(lock(&permits.held).by_address.len(), 0, "and nothing is remembered");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let permits = Arc::new(Permits::new(4));
        let address = |n: u16| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, n]);
        let held: Vec<_> = (0..4).filter_map(|n| permits.take(address(n))).collect();
        assert_eq!(held.len(), 2);
    }

    #[tokio::test]
    async fn the_oldest_that_is_silent_goes() {
        let silent = Arc::new(Silent::new(10));
        let (oldest, _) = silent.enter();
        let others: Vec<_> = (1..10).map(|_| silent.enter()).collect();
        assert!(others.iter().all(|(_, evicted)| !evicted));
        let (_newest, evicted) = silent.enter();
        assert!(evicted);
        oldest.evicted().await;
        drop(oldest);
        assert_eq!(lock(&silent.waiting).1.len(), 10);
    }
}
