//! A subscription that outlives netkitd: after a restart it goes on where it was, so that no event is missed or
//! repeated. Used by `send --wait`, `chat`, `get --wait` and `queue`; `tail`, whose place also lives in a cursor,
//! shares only `BackOff`.

use crate::client::{Answers, Client};
use crate::exit::{Exit, Failure, Outcome};
use crate::incoming::CallError;
use crate::output::say;
use crate::wait::{self, Ready};
use netkit_proto::ids::{Epoch, Seq};
use netkit_proto::rpc::call::{Call, EventsSubscribe, Subscribed};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Record;
use netkit_proto::rpc::filter::Filter;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
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
    /// What ends waiting for netkitd when it can be read.
    interrupt: Option<OwnedFd>,
    /// Whether a log that was replaced is gone on with from its end.
    lasting: bool,
    replaced: bool,
}

impl Listener {
    /// Subscribes to what comes after `since`; without it, to what happens from now on.
    ///
    /// # Errors
    /// What netkitd answered, or why it can't be reached.
    pub(crate) fn open(socket: PathBuf, filter: Filter, since: Option<Seq>) -> Outcome<Listener> {
        Listener::subscribe(socket, filter, since, None, false)
    }

    /// One that has subscribed already, over `client` and from the log's end on.
    pub(crate) fn subscribed(client: Client, socket: PathBuf, filter: Filter, at: &Subscribed) -> Listener {
        let (epoch, seq, back_off) = (at.epoch, at.head, BackOff::default());
        let (interrupt, lasting, replaced) = (None, false, false);
        Listener { socket, client, filter, epoch, seq, back_off, interrupt, lasting, replaced }
    }

    /// Subscribes to what happens from now on. Waiting for netkitd ends when `interrupt` can be read; a log that was
    /// replaced is no failure, but told by [`Listener::was_replaced`].
    ///
    /// # Errors
    /// As [`Listener::open`].
    pub(crate) fn lasting(socket: PathBuf, filter: Filter, interrupt: OwnedFd) -> Outcome<Listener> {
        Listener::subscribe(socket, filter, None, Some(interrupt), true)
    }

    fn subscribe(
        socket: PathBuf,
        filter: Filter,
        since: Option<Seq>,
        interrupt: Option<OwnedFd>,
        lasting: bool,
    ) -> Outcome<Listener> {
        let mut client = Client::connect(&socket)?;
        client.wait_until(None, copy(interrupt.as_ref()));
        let answer = client.call(&EventsSubscribe { epoch: None, since, filter: filter.clone() })?;
        let listener = Listener::subscribed(client, socket, filter, &answer);
        Ok(Listener { seq: since.unwrap_or(answer.head), interrupt, lasting, ..listener })
    }

    /// Waiting ends when this can be read, too.
    pub(crate) fn ends_by(&mut self, interrupt: OwnedFd) {
        self.client.wait_until(None, copy(Some(&interrupt)));
        self.interrupt = Some(interrupt);
    }

    /// The session, for calls that must not be made twice. Events that come meanwhile are kept.
    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Makes calls that may be made twice: where netkitd goes away, again when it is back. `None` where `deadline`
    /// or the interrupt came first.
    ///
    /// # Errors
    /// Where the subscription can't go on.
    pub(crate) fn ask<C: Call>(
        &mut self,
        calls: &[C],
        deadline: Option<Instant>,
    ) -> Outcome<Option<Answers<C>>> {
        loop {
            self.client.wait_until(deadline, copy(self.interrupt.as_ref()));
            match self.client.batch(calls) {
                Ok(answers) if !answers.iter().any(is_unavailable) => return Ok(Some(answers)),
                Err(e) if !is_absence(&e) => return Err(e.into()),
                Ok(_) | Err(_) => {
                    if !self.again(deadline)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether, since this was asked last, netkitd came back with another log: what happened in between is not known.
    pub(crate) fn was_replaced(&mut self) -> bool {
        std::mem::take(&mut self.replaced)
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
    /// or the interrupt came before it was back.
    ///
    /// # Errors
    /// Where the subscription can't go on.
    pub(crate) fn fill(&mut self, deadline: Option<Instant>) -> Outcome<bool> {
        match self.client.fill() {
            Err(e) if is_absence(&e) => self.again(deadline),
            filled => Ok(filled.map(|()| true)?),
        }
    }

    /// The next event, waiting for it until `deadline` or the interrupt; `None` where none came.
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
            if deadline.is_some_and(|at| at <= Instant::now()) || self.is_interrupted(Instant::now()) {
                return Ok(false);
            }
            let pause = Instant::now() + self.back_off.pause();
            if self.is_interrupted(deadline.map_or(pause, |at| at.min(pause))) {
                return Ok(false);
            }
            let Ok(mut client) = Client::connect(&self.socket) else { continue };
            client.wait_until(deadline, copy(self.interrupt.as_ref()));
            let (epoch, since, filter) = (Some(self.epoch), Some(self.seq), self.filter.clone());
            let mut answer = client.call(&EventsSubscribe { epoch, since, filter });
            if self.lasting && matches!(&answer, Err(CallError::Answer(e)) if e.kind() == Kind::EpochChanged)
            {
                let filter = self.filter.clone();
                answer = client.call(&EventsSubscribe { epoch: None, since: None, filter });
                if let Ok(Subscribed { epoch, head, .. }) = &answer {
                    (self.epoch, self.seq, self.replaced) = (*epoch, *head, true);
                }
            }
            match answer {
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

    /// Waits until then; `true` where the interrupt came first.
    fn is_interrupted(&self, until: Instant) -> bool {
        let inputs: Vec<BorrowedFd<'_>> = self.interrupt.iter().map(AsFd::as_fd).collect();
        matches!(wait::readable(&inputs, None, Some(until)), Ok(Ready::Input(_)))
    }
}

fn is_unavailable<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(error) if error.kind() == Kind::Unavailable)
}

/// Where the process has too many descriptors waiting just can't be interrupted.
fn copy(fd: Option<&OwnedFd>) -> Option<OwnedFd> {
    fd.and_then(|fd| fd.try_clone().ok())
}
