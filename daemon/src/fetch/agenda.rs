//! What is still to be fetched, as the connections of a download share it: the plan, who waits for it to turn, and
//! whether all is over. The writer, which finds blocks that are wrong, gives them back here.

use super::plan::{Offer, Plan, RunId};
use super::sources::SourceId;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Agenda {
    plan: Mutex<Plan>,
    turned: Notify,
    /// Blocks are compared, so that what came may have to be fetched again.
    is_checked: bool,
    is_over: AtomicBool,
}

/// What a connection is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Ask for these bytes.
    Ask(Offer),
    /// Wait until that turns.
    Wait,
    /// Nothing any more.
    Nothing,
}

impl Agenda {
    pub(super) fn new(plan: Plan, is_checked: bool) -> Agenda {
        Agenda { plan: Mutex::new(plan), turned: Notify::new(), is_checked, is_over: AtomicBool::new(false) }
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a connection to this source that was so fast before is to do.
    pub(super) fn next(&self, by: SourceId, rate: f64) -> Next {
        if self.is_done() {
            return Next::Nothing;
        }
        let offer = self.plan().offer(by, rate, Instant::now());
        offer.map_or(Next::Wait, Next::Ask)
    }

    /// Ends when there may be something else to do than before this call.
    pub(super) fn turned(&self) -> Notified<'_> {
        self.turned.notified()
    }

    /// Nobody works on a run any more: others may.
    pub(super) fn give_back(&self, run: RunId) {
        self.plan().give_back(run);
        self.turned.notify_waiters();
    }

    /// These bytes are wrong, and fetched again.
    pub(super) fn refetch(&self, range: Range<u64>) {
        self.plan().refetch(range);
        self.turned.notify_waiters();
    }

    /// Every block is there and right.
    pub(super) fn finish(&self) {
        self.is_over.store(true, Ordering::Release);
        self.turned.notify_waiters();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        if self.is_checked { self.is_over() } else { self.plan().is_done() }
    }
}
