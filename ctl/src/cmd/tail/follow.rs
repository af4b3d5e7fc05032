//! What comes: a subscription that begins where reading ended, and a new session where netkitd went away.

use super::{End, Stop, Tail};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::incoming::CallError;
use crate::listener::{is_absence, read_delivery};
use crate::wait::{self, Ready};
use netkit_proto::ids::Epoch;
use netkit_proto::rpc::call::{EventsPosition, EventsSubscribe, Subscribed};
use netkit_proto::rpc::code::Kind;
use std::time::{Duration, Instant};

/// For so long after netkitd went away a busy cursor may be our own, held by the session that was lost.
const OWN_GHOST: Duration = Duration::from_secs(10);
/// How long a tail that ends waits to hear what its filter left out last.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How often a cursor is moved past what the filter left out, while nothing else happens.
const PASS_OVER: Duration = Duration::from_secs(30);

impl Tail {
    /// Prints what comes until there is an end.
    pub(crate) fn follow(&mut self) -> Result<End, Stop> {
        let (epoch, since) = self.position.place().unzip();
        let filter = self.settings.filter.clone();
        let Subscribed { subscription, epoch, .. } =
            self.client.call(&EventsSubscribe { epoch, since, filter })?;
        self.back_off.reset();
        let mut pass_over_at = self.settings.cursor.as_ref().map(|_| Instant::now() + PASS_OVER);
        loop {
            if let Some(end) = self.print_arrived(epoch)? {
                return Ok(end);
            }
            self.flush()?;
            if self.commit()? {
                continue; // events may have come before the answer
            }
            let inputs = [self.signals.fd(), self.client.fd()];
            let end_at = self.deadline.map(|(at, _)| at);
            let deadline = [end_at, pass_over_at].into_iter().flatten().min();
            let ready = wait::readable(&inputs, Some(self.sink.fd()), deadline);
            match ready.map_err(|e| Failure::new(Exit::Failed, format!("waiting for events: {e}")))? {
                Ready::Input(0) => {
                    if pass_over_at.is_some() {
                        self.client.wait_until(Some(Instant::now() + LAST_LOOK), None);
                        let _ = self.pass_over(epoch, subscription); // good to have; without it the next tail does it
                    }
                    return Ok(self.signals.caught().map_or(End::Done, End::Signal));
                }
                Ready::Input(_) => self.client.fill()?,
                Ready::OutputClosed => return Ok(End::Done),
                Ready::Deadline => {
                    if pass_over_at.is_some()
                        && let Some(end) = self.pass_over(epoch, subscription)?
                    {
                        return Ok(end);
                    }
                    if let Some((_, end)) = self.deadline.filter(|(at, _)| *at <= Instant::now()) {
                        self.flush()?;
                        return Ok(end);
                    }
                    pass_over_at = pass_over_at.map(|_| Instant::now() + PASS_OVER);
                }
            }
        }
    }

    fn print_arrived(&mut self, epoch: Epoch) -> Result<Option<End>, Stop> {
        while let Some(params) = self.client.arrived()? {
            let (record, raw) = read_delivery(&params)?;
            if let Some(end) = self.on_event(epoch, &record, raw)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Prints what is there, and steps past what the filter left out since: else retention would take the cursor for
    /// one that was cut off.
    fn pass_over(&mut self, epoch: Epoch, subscription: u64) -> Result<Option<End>, Stop> {
        let seq = self.client.call(&EventsPosition { subscription })?.seq;
        if let Some(end) = self.print_arrived(epoch)? {
            return Ok(Some(end));
        }
        self.position.handled(epoch, seq);
        Ok(None)
    }

    /// Whether a new session may succeed where this one failed.
    pub(crate) fn can_wait_for(&mut self, error: &CallError) -> bool {
        let ghost = matches!(error, CallError::Answer(e) if e.kind() == Kind::Busy)
            && self.lost_at.is_some_and(|at| at.elapsed() < OWN_GHOST);
        if is_absence(error) {
            self.lost_at = Some(Instant::now());
        }
        is_absence(error) || ghost
    }

    /// Waits, as long as it takes, until netkitd is back.
    pub(crate) fn reconnect(&mut self) -> Option<End> {
        loop {
            if let Some(exit) = self.signals.caught() {
                return Some(End::Signal(exit));
            }
            let mut pause = self.back_off.pause();
            if let Some((at, end)) = self.deadline {
                let left = at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Some(end);
                }
                pause = pause.min(left);
            }
            let ready =
                wait::readable(&[self.signals.fd()], Some(self.sink.fd()), Some(Instant::now() + pause));
            if matches!(ready, Ok(Ready::OutputClosed)) {
                return Some(End::Done);
            }
            // Whatever the reason: a socket that is being made can refuse for a moment.
            if let Ok(client) = Client::connect(&self.socket) {
                self.client = client;
                return None;
            }
        }
    }
}
