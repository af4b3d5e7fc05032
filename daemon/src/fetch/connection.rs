//! One connection to a source: takes runs of bytes from the plan and hands what comes to the writer, as fast as the
//! limits allow and as long as the source sends enough.

use super::limit::Limiter;
use super::pace::Pace;
use super::plan::{Plan, RunId};
use super::source::{Ask, Body, Source};
use super::writer::Piece;
use crate::hub::orders::Failed;
use crate::limits;
use netkit_proto::rpc::code::Kind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Connection<S: Source> {
    pub source: Arc<S>,
    pub plan: Arc<Mutex<Plan>>,
    pub pieces: mpsc::Sender<Piece>,
    /// The size and the validator of the file, where it can be had in parts.
    pub parts: Option<(u64, String)>,
    /// Of this download, and of all.
    pub limits: [Arc<Limiter>; 2],
    /// How the source is called in messages.
    pub whom: String,
}

pub(super) fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Source> Connection<S> {
    /// Works until nothing is left to take over; begins with the answer that is there, if any. That the writer is gone
    /// is no failure of the source.
    ///
    /// # Errors
    /// What the source failed at; what it owes then is left to others.
    pub(super) async fn work(self, first: Option<(RunId, S::Body)>) -> Result<(), Failed> {
        let mut next = first;
        loop {
            let (run, mut body) = match next.take() {
                Some(begun) => begun,
                None => {
                    let taken = lock(&self.plan).next();
                    let (Some((run, range)), Some((size, validator))) = (taken, &self.parts) else {
                        return Ok(());
                    };
                    let ask = Ask::Part { range, size: *size, validator: validator.clone() };
                    match self.source.open(ask).await {
                        Ok(opened) if opened.is_part => (run, opened.body),
                        Ok(_) => return self.gave_up(run, changed(&self.whom)),
                        Err(failed) => return self.gave_up(run, failed),
                    }
                }
            };
            match self.pump(run, &mut body).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failed) => return self.gave_up(run, failed),
            }
        }
    }

    fn gave_up(&self, run: RunId, failed: Failed) -> Result<(), Failed> {
        lock(&self.plan).give_back(run);
        Err(failed)
    }

    /// Hands on the bytes of one run; `false` where the writer is gone.
    async fn pump(&self, run: RunId, body: &mut S::Body) -> Result<bool, Failed> {
        let mut last = Instant::now();
        let mut pace = Pace::new(last);
        loop {
            let mut limited = false;
            for limit in &self.limits {
                limited |= limit.ready().await;
            }
            pace.on_held(last.elapsed(), limited);
            let piece = tokio::time::timeout_at(pace.deadline(), body.next()).await;
            let Some(mut bytes) = piece.map_err(|_| stalled(&self.whom))?? else {
                let is_whole = lock(&self.plan).end(run);
                return if is_whole { Ok(true) } else { Err(super::net::short(&self.whom)) };
            };
            last = Instant::now();
            pace.on_bytes(last, bytes.len());
            self.limits.iter().for_each(|limit| limit.took(bytes.len()));
            let taken = lock(&self.plan).take(run, bytes.len());
            bytes.truncate(taken.wanted);
            if !bytes.is_empty() && self.pieces.send(Piece { offset: taken.offset, bytes }).await.is_err() {
                return Ok(false);
            }
            if taken.finished {
                return Ok(true);
            }
        }
    }
}

fn stalled(whom: &str) -> Failed {
    let seconds = limits::FETCH_STALLED.as_secs();
    Failed::passing(Kind::Timeout, format_args!("{whom} sent next to nothing for {seconds} s"))
}

fn changed(whom: &str) -> Failed {
    Failed::passing(Kind::Changed, format_args!("the file at {whom} was replaced while it was fetched"))
}
