//! What comes: a subscription that begins where reading ended, and a new session where netkitd went away.

use super::{End, Stop, Tail};
use crate::client::{CallError, Client};
use crate::exit::{Exit, Failure};
use crate::listener::{is_absence, read_delivery};
use crate::wait::{self, Ready};
use netkit_proto::rpc::call::EventsSubscribe;
use netkit_proto::rpc::code::Kind;
use std::time::{Duration, Instant};

/// For so long after netkitd went away a busy cursor may be our own, held by the session that was lost.
const OWN_GHOST: Duration = Duration::from_secs(10);

impl Tail {
    /// Prints what comes until there is an end.
    pub(crate) fn follow(&mut self) -> Result<End, Stop> {
        let (epoch, since) = self.position.place().unzip();
        let filter = self.settings.filter.clone();
        let epoch = self.client.call(&EventsSubscribe { epoch, since, filter })?.epoch;
        self.back_off.reset();
        loop {
            while let Some(params) = self.client.arrived()? {
                let (record, raw) = read_delivery(&params)?;
                if let Some(end) = self.on_event(epoch, &record, raw)? {
                    return Ok(end);
                }
            }
            self.flush()?;
            if self.commit()? {
                continue; // events may have come before the answer
            }
            let inputs = [self.signals.fd(), self.client.fd()];
            let deadline = self.deadline.map(|(at, _)| at);
            let ready = wait::readable(&inputs, Some(self.sink.fd()), deadline);
            match ready.map_err(|e| Failure::new(Exit::Failed, format!("waiting for events: {e}")))? {
                Ready::Input(0) => return Ok(self.signals.caught().map_or(End::Done, End::Signal)),
                Ready::Input(_) => self.client.fill()?,
                Ready::OutputClosed => return Ok(End::Done),
                Ready::Deadline => return Ok(self.deadline.map_or(End::Done, |(_, end)| end)),
            }
        }
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
            self.signals.sleep(pause);
            // Whatever the reason: a socket that is being made can refuse for a moment.
            if let Ok(client) = Client::connect(&self.socket) {
                self.client = client;
                return None;
            }
        }
    }
}
