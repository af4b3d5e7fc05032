//! One connection to a source: takes runs of bytes from the plan and hands what comes to the writer, as fast as the
//! limits allow and as long as the source sends enough.

use super::agenda::{Agenda, Next};
use super::limit::{Limits, Taker};
use super::pace::Pace;
use super::plan::{Offer, RunId};
use super::source::{Ask, Body, Opened, Source};
use super::sources::{SourceId, Sources};
use super::writer::Work;
use crate::hub::orders::Failed;
use crate::limits;
use netkit_proto::rpc::code::Kind;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Connection<S: Source> {
    pub source: Arc<S>,
    pub id: SourceId,
    pub sources: Arc<Sources>,
    pub agenda: Arc<Agenda>,
    pub pieces: mpsc::Sender<Work>,
    /// The size and the validator of the file, where it can be had in parts.
    pub parts: Option<(u64, Option<String>)>,
    pub limits: Arc<Limits>,
    /// How the source is called in messages.
    pub whom: String,
    /// How fast it was of late.
    pub speed: Speed,
}

/// Bytes a second, of late.
#[derive(Debug, Default)]
pub(super) struct Speed {
    rate: f64,
    since: Option<Instant>,
    bytes: u64,
}

impl Speed {
    /// An answer begins.
    fn begin(&mut self, now: Instant) {
        (self.since, self.bytes) = (Some(now), 0);
    }

    /// Bytes came; the rate, where it is another one now.
    fn on_bytes(&mut self, now: Instant, len: usize) -> Option<f64> {
        self.bytes += len as u64;
        let time = now.duration_since(*self.since.get_or_insert(now));
        // What is so fast that a run is over before it can be told is told by its bytes.
        if time < limits::FETCH_SPEED && self.bytes < limits::FETCH_SHARED {
            return None;
        }
        let current = self.bytes as f64 / time.as_secs_f64().max(1e-6);
        self.rate = if self.rate == 0.0 { current } else { 0.5 * self.rate + 0.5 * current };
        self.begin(now);
        Some(self.rate)
    }
}

impl<S: Source> Connection<S> {
    /// Works until nothing is left to take over; begins with the answer that is there, if any. That the writer is gone
    /// is no failure of the source.
    ///
    /// # Errors
    /// What the source failed at; what it owes then is left to others. That it refuses a second connection, or gives
    /// that another file, says nothing of the first one.
    pub(super) async fn work(mut self, first: Option<(RunId, Opened<S::Body>)>) -> Result<(), Failed> {
        let mut next = first;
        loop {
            let (run, mut opened) = match next.take() {
                Some(begun) => begun,
                None => match self.begin().await? {
                    Some(begun) => begun,
                    None => return Ok(()),
                },
            };
            match self.pump(run, &mut opened).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failed) => {
                    self.agenda.give_back(run);
                    return Err(failed);
                }
            }
        }
    }

    /// Asks the source for what nobody brings, or for half of what another connection does; `None` where nothing is
    /// left.
    async fn begin(&self) -> Result<Option<(RunId, Opened<S::Body>)>, Failed> {
        let Some((size, validator)) = &self.parts else { return Ok(None) };
        loop {
            let Some(offer) = self.offer().await? else { return Ok(None) };
            offer.relieves.into_iter().for_each(|slow| self.sources.slow(slow));
            let ask = Ask::Part { range: offer.range.clone(), size: *size, validator: validator.clone() };
            let opened = self.source.open(ask).await;
            let failed = match opened {
                Ok(opened) if opened.is_part => match self.agenda.plan().accept(offer) {
                    Some(run) => {
                        self.sources.works(self.id);
                        return Ok(Some((run, opened)));
                    }
                    None => continue, // the other connection was faster
                },
                Ok(_) => no_part(&self.whom),
                Err(failed) => failed,
            };
            self.agenda.plan().decline(offer);
            return Err(failed);
        }
    }

    /// What to ask for, once there is something; `None` where nothing is left.
    async fn offer(&self) -> Result<Option<Offer>, Failed> {
        loop {
            let turned = self.agenda.turned();
            self.check()?;
            match self.agenda.next(self.id, self.speed.rate) {
                Next::Ask(offer) => return Ok(Some(offer)),
                Next::Nothing => return Ok(None),
                // What others work on may be shared later, too.
                Next::Wait => drop(tokio::time::timeout(limits::FETCH_REPORT, turned).await),
            }
        }
    }

    /// Fails where the source is asked no more.
    fn check(&self) -> Result<(), Failed> {
        self.sources.barred(self.id).map_or(Ok(()), Err)
    }

    /// Hands on the bytes of one run; `false` where the writer is gone.
    async fn pump(&mut self, run: RunId, opened: &mut Opened<S::Body>) -> Result<bool, Failed> {
        let mut last = Instant::now();
        let mut pace = Pace::new(last);
        let mut taker = Taker::new(&self.limits);
        self.speed.begin(last);
        loop {
            let limited = taker.ready().await;
            pace.on_held(last.elapsed(), limited);
            self.agenda.plan().waits(run, Some(Instant::now()));
            let piece = tokio::time::timeout_at(pace.deadline(), opened.body.next()).await;
            self.agenda.plan().waits(run, None);
            let Some(mut bytes) = piece.map_err(|_| stalled(&self.whom))?? else {
                let mut plan = self.agenda.plan();
                if plan.end(run) {
                    return Ok(true);
                }
                if opened.end.is_some() && plan.position(run) == opened.end && !plan.is_alone(run) {
                    plan.give_back(run); // it said that it gives no more at once
                    return Ok(true);
                }
                return Err(super::net::short(&self.whom));
            };
            last = Instant::now();
            pace.on_bytes(last, bytes.len());
            taker.took(bytes.len());
            self.check()?;
            let rate = self.speed.on_bytes(last, bytes.len());
            let Ok(room) = self.pieces.reserve().await else { return Ok(false) };
            let taken = {
                let mut plan = self.agenda.plan();
                rate.into_iter().for_each(|rate| plan.is_so_fast(run, rate));
                let taken = plan.take(run, bytes.len());
                bytes.truncate(taken.wanted);
                // Before another connection can take what follows: the bytes of a block come in their order.
                if taken.wanted > 0 {
                    room.send(Work::Piece { from: self.id, offset: taken.offset, bytes });
                }
                taken
            };
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

fn no_part(whom: &str) -> Failed {
    Failed::passing(Kind::Network, format_args!("{whom} was asked for a part of the file and sent all of it"))
}
