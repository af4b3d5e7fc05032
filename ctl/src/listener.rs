//! A subscription that outlives netkitd: after a restart it goes on where it was, so that no event is missed or
//! repeated. Used by `send --wait` and `chat`; `tail`, whose place also lives in a cursor, shares only `BackOff`.

use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::incoming::CallError;
use crate::output::say;
use netkit_proto::ids::{Epoch, Seq};
use netkit_proto::rpc::call::{EventsSubscribe, Subscribed};
use netkit_proto::rpc::code::Kind;
use netkit_proto::rpc::event::{Filter, Record};
use rustix::fd::BorrowedFd;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Pauses between attempts to reach netkitd again, and whether its absence was told.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    last: Option<Duration>,
}

impl BackOff {
    /// The next pause: 50 ms, then twice the last one, at most 1 s. The first one tells that netkitd is away.
    pub(crate) fn pause(&mut self) -> Duration {
        if self.last.is_none() {
            say("netkitd went away; waiting for it to come back");
        }
        let pause =
            self.last.map_or(Duration::from_millis(50), |last| (last * 2).min(Duration::from_secs(1)));
        self.last = Some(pause);
        pause
    }

    /// netkitd is there.
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }
}

/// Whether waiting for netkitd to come back is the answer: it is gone, or about to be.
#[must_use]
pub(crate) fn is_absence(error: &CallError) -> bool {
    match error {
        CallError::Lost(_) => true,
        CallError::Answer(error) => error.kind() == Kind::Unavailable,
        CallError::Protocol(_) => false,
    }
}

/// The parameters of `events.event`, the event left as it came.
#[derive(Debug, Deserialize)]
pub(crate) struct RawDelivery<'a> {
    /// The event.
    #[serde(borrow)]
    pub result: &'a RawValue,
}

/// Reads a notification's event.
///
/// # Errors
/// Where it is none.
pub(crate) fn read_delivery(params: &RawValue) -> Result<(Record, &RawValue), CallError> {
    let strange = |e: serde_json::Error| CallError::Protocol(format!("an event that is none: {e}"));
    let raw = serde_json::from_str::<RawDelivery<'_>>(params.get()).map_err(strange)?.result;
    Ok((serde_json::from_str(raw.get()).map_err(strange)?, raw))
}

/// A subscription that goes on where it was.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: PathBuf,
    client: Client,
    filter: Filter,
    epoch: Epoch,
    seq: Seq,
    back_off: BackOff,
}

impl Listener {
    /// Subscribes to what comes after `since`; without it, to what happens from now on.
    ///
    /// # Errors
    /// What netkitd answered, or why it can't be reached.
    pub(crate) fn open(socket: PathBuf, filter: Filter, since: Option<Seq>) -> Outcome<Listener> {
        let mut client = Client::connect(&socket)?;
        let answer = client.call(&EventsSubscribe { epoch: None, since, filter: filter.clone() })?;
        let Subscribed { epoch, head, .. } = answer;
        let seq = since.unwrap_or(head);
        Ok(Listener { socket, client, filter, epoch, seq, back_off: BackOff::default() })
    }

    /// The next event that has arrived already.
    ///
    /// # Errors
    /// Where the subscription can't go on.
    pub(crate) fn arrived(&mut self) -> Outcome<Option<(Record, String)>> {
        match self.client.arrived()? {
            None => Ok(None),
            Some(params) => {
                let (record, raw) = read_delivery(&params)?;
                self.seq = record.seq;
                Ok(Some((record, raw.get().to_owned())))
            }
        }
    }

    /// Takes in what the socket holds; where netkitd went away, waits for it and goes on. `false` where `deadline`
    /// came before it was back.
    ///
    /// # Errors
    /// Where the subscription can't go on.
    pub(crate) fn fill(&mut self, deadline: Option<Instant>) -> Outcome<bool> {
        match self.client.fill() {
            Err(e) if is_absence(&e) => self.again(deadline),
            filled => Ok(filled.map(|()| true)?),
        }
    }

    /// The next event, waiting for it until `deadline`; `None` where none came.
    ///
    /// # Errors
    /// Where the subscription can't go on.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Outcome<Option<(Record, String)>> {
        loop {
            if let Some(event) = self.arrived()? {
                return Ok(Some(event));
            }
            match self.client.wait(deadline) {
                Ok(false) => return Ok(None),
                Ok(true) if self.fill(deadline)? => {}
                Ok(true) => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// For waiting on the subscription together with other things.
    #[must_use]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.client.fd()
    }

    fn again(&mut self, deadline: Option<Instant>) -> Outcome<bool> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            let pause = self.back_off.pause();
            std::thread::sleep(left.map_or(pause, |left| pause.min(left)));
            let Ok(mut client) = Client::connect(&self.socket) else { continue };
            let epoch = Some(self.epoch);
            match client.call(&EventsSubscribe { epoch, since: Some(self.seq), filter: self.filter.clone() })
            {
                Ok(_) => {
                    self.client = client;
                    self.back_off.reset();
                    return Ok(true);
                }
                Err(e) if is_absence(&e) => {}
                Err(CallError::Answer(e)) if e.kind() == Kind::EpochChanged => {
                    return Err(Failure::new(Exit::Failed, "netkitd came back with another log")
                        .hint("what happened in between is not known; see netkitctl tail"));
                }
                Err(e) => return Err(e.into()),
            }
        }
    }
}
