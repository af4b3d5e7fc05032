//! What the hub does before it waits for the next thing: what is to be committed goes to the store, what is to be done to
//! the edges, as far as they take it, and what there is to see is published.

use super::commit::{Step, Then};
use super::{Hub, now, orders};
use crate::limits;
use crate::store::StoreError;
use netkit_proto::time::Timestamp;
use std::sync::Arc;
use tokio::time::Instant;

impl Hub {
    /// Gives the chat socket as many datagrams as it takes.
    pub(super) fn hand_over_datagrams(&mut self, now: Timestamp) {
        while let Ok(permit) = self.datagrams.try_reserve() {
            let Some(datagram) = self.chat.next_datagram(now) else { break };
            permit.send(datagram);
        }
    }

    /// Starts what may start of the download queue.
    pub(super) fn schedule(&mut self, may_start: bool) {
        // Few at once: jobs have other senders, too.
        let room =
            (limits::STORE_JOBS / 4 * 3).saturating_sub(self.pending.len()).min(limits::STORE_JOBS / 8);
        if may_start && self.is_sound() {
            let active = usize::from(self.config.borrow().downloads.active);
            self.downloads.schedule(now(), Instant::now(), active, room);
        }
    }

    /// Gives engine and chat port as much to do as they take.
    pub(super) fn give_orders(&mut self) {
        self.pass_on_sought();
        self.peers.speak_to_all();
        for peer in std::mem::take(&mut self.peers.arrived) {
            self.downloads.on_peer(Instant::now(), peer);
        }
        while !self.downloads.orders.is_empty()
            && let Ok(permit) = self.orders.try_reserve()
            && let Some(mut order) = self.downloads.orders.pop_front()
        {
            if let orders::Order::Start(start) = &mut order
                && let Some(peer) = self.downloads.peer_of(start.id)
            {
                start.way = Some(self.peers.way(peer));
            }
            permit.send(order);
        }
        while !self.peers.orders.is_empty()
            && let Ok(permit) = self.link_orders.try_reserve()
            && let Some(order) = self.peers.orders.pop_front()
        {
            permit.send(order);
        }
    }

    /// Has committed what the download queue and the peers want committed; what there is no room for waits for an answer.
    pub(super) fn submit_all_steps(&mut self) -> Result<(), StoreError> {
        let steps = as_many(self.room(), &mut self.downloads.steps);
        self.submit_steps(steps, Then::Download)?;
        let steps = as_many(self.room(), &mut self.peers.steps);
        self.submit_steps(steps, Then::Peer)
    }

    /// How many jobs the store takes.
    fn room(&self) -> usize {
        limits::STORE_JOBS.saturating_sub(self.pending.len())
    }

    pub(super) fn publish(&mut self) {
        self.snapshot.queued = self.chat.outbox.len() as u64;
        self.snapshot.peers = self.peers.counts();
        self.snapshot.downloads = self.downloads.counts();
        if std::mem::take(&mut self.peers.is_trust_changed) {
            self.trust.send_replace(Arc::new(self.peers.trust_view()));
        }
        if *self.published.borrow() != self.snapshot {
            self.published.send_replace(self.snapshot.clone());
        }
    }
}

/// The first steps, as many as there is room for.
fn as_many<F>(room: usize, steps: &mut Vec<Step<F>>) -> Vec<Step<F>> {
    let rest = steps.split_off(room.min(steps.len()));
    std::mem::replace(steps, rest)
}
