//! Where a tail is in the log: what was handled, what of it was written, and what of that the cursor knows. What the
//! process knows wins over the stored cursor, so that a netkitd that was killed repeats nothing.

use super::{Stop, Tail};
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome, exit_of};
use crate::incoming::CallError;
use crate::listener::is_absence;
use crate::output::say;
use netkit_proto::ids::{Epoch, Seq};
use netkit_proto::name::CursorName;
use netkit_proto::rpc::call::{CursorsCommit, CursorsOpen};
use netkit_proto::rpc::code::Kind;
use std::time::{Duration, Instant};

/// How long a tail that ends waits for an absent netkitd to take its position.
const SETTLE: Duration = Duration::from_secs(10);

/// A place in a log.
pub(crate) type Place = (Epoch, Seq);

#[derive(Debug)]
pub(crate) struct Position {
    cursor: Option<CursorName>,
    handled: Option<Place>,
    written: Option<Place>,
    committed: Option<Place>,
    /// The cursor can't be moved because the disk is full; that was told.
    stuck: bool,
}

impl Position {
    pub(crate) fn new(cursor: Option<CursorName>) -> Position {
        Position { cursor, handled: None, written: None, committed: None, stuck: false }
    }

    /// Everything up to here was looked at; what was to be printed is in the sink.
    pub(crate) fn handled(&mut self, epoch: Epoch, seq: Seq) {
        self.handled = Some((epoch, seq));
    }

    /// What was handled is written.
    pub(crate) fn flushed(&mut self) {
        self.written = self.handled;
    }

    /// Where to read on; `None`: nothing was read yet.
    pub(crate) fn place(&self) -> Option<Place> {
        self.handled
    }

    /// Starts anew, in another log.
    pub(crate) fn forget(&mut self) {
        *self = Position::new(self.cursor.take());
    }

    /// Takes over what the daemon keeps for the cursor, as far as it is news.
    fn adopt(&mut self, epoch: Epoch, stored: Option<Seq>) {
        let stored = stored.map(|seq| (epoch, seq));
        self.committed = stored;
        let ours = self.handled.map(|(_, seq)| seq);
        if ours < stored.map(|(_, seq)| seq) {
            self.handled = stored;
            self.written = stored;
        }
    }
}

impl Tail {
    /// Takes hold of the cursor, if there is one, and of its place.
    pub(crate) fn open_cursor(&mut self) -> Result<(), Stop> {
        let Some(name) = self.position.cursor.clone() else { return Ok(()) };
        let opened = self.client.call(&CursorsOpen { name })?;
        let other_log = self.position.place().is_some_and(|(epoch, _)| epoch != opened.epoch);
        if opened.epoch_changed || other_log {
            self.say_replaced();
        }
        if other_log {
            self.position.forget();
        }
        self.position.adopt(opened.epoch, opened.seq);
        Ok(())
    }

    /// Moves the cursor to what was written. `true` where netkitd was asked, and so may have sent events before its
    /// answer.
    pub(crate) fn commit(&mut self) -> Result<bool, Stop> {
        let (Some(name), Some(written)) = (&self.position.cursor, self.position.written) else {
            return Ok(false);
        };
        if self.position.committed == Some(written) {
            return Ok(false);
        }
        let (epoch, seq) = written;
        match self.client.call(&CursorsCommit { name: name.clone(), epoch, seq }) {
            Ok(_) => {
                self.position.committed = Some(written);
                self.position.stuck = false;
                Ok(true)
            }
            // What was printed can't be unprinted: go on, and move the cursor with what comes next.
            Err(CallError::Answer(e)) if e.kind() == Kind::NoSpace => {
                if !std::mem::replace(&mut self.position.stuck, true) {
                    say(&format!("the cursor {name} stays behind for now: {e}"));
                }
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// The end: what was written and not yet committed is committed, waiting for netkitd where it is away.
    pub(crate) fn settle(&mut self) -> Outcome {
        let deadline = Instant::now() + SETTLE;
        loop {
            self.client.wait_until(Some(deadline), None);
            let error = match self.commit() {
                Ok(_) => return self.unsettled(None),
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::Call(e)) => e,
            };
            if !is_absence(&error) {
                return self.unsettled(Some(error));
            }
            loop {
                if Instant::now() >= deadline {
                    return self.unsettled(Some(error));
                }
                // A signal must not cut this short, only a second one ends it: then the process is gone.
                std::thread::sleep(self.back_off.pause());
                let Ok(client) = Client::connect(&self.socket) else { continue };
                self.client = client;
                self.client.wait_until(Some(deadline), None);
                if self.open_cursor().is_ok() {
                    break;
                }
            }
        }
    }

    fn unsettled(&self, error: Option<CallError>) -> Outcome {
        let (Some(name), Some(written)) = (&self.position.cursor, self.position.written) else {
            return Ok(());
        };
        if self.position.committed == Some(written) {
            return Ok(());
        }
        let exit = match &error {
            None if self.position.stuck => Exit::NoSpace,
            Some(CallError::Answer(error)) => exit_of(error.kind()),
            _ => Exit::Failed,
        };
        let why = error.map(|e| format!(": {e}")).unwrap_or_default();
        let seq = self.position.committed.map_or(Seq::START, |(_, seq)| seq);
        Err(Failure::new(exit, format!("the cursor {name} stays at {seq}{why}"))
            .hint(format!("the next tail with it repeats up to event {}", written.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_better_than_the_stored_cursor() {
        let epoch = Epoch(1);
        let mut position = Position::new(None);
        position.adopt(epoch, Some(Seq(5)));
        assert_eq!(position.place(), Some((epoch, Seq(5))));
        position.handled(epoch, Seq(9));
        position.flushed();
        position.adopt(epoch, Some(Seq(7)));
        assert_eq!(position.place(), Some((epoch, Seq(9))));
        assert_eq!(position.committed, Some((epoch, Seq(7))));
        position.adopt(epoch, Some(Seq(12)));
        assert_eq!(position.place(), Some((epoch, Seq(12))));
        position.adopt(epoch, None);
        assert_eq!((position.place(), position.committed), (Some((epoch, Seq(12))), None));
    }
}
