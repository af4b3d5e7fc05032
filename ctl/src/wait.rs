//! Waiting for several things at once on one thread: input, signals, a deadline, and whether the reader of stdout
//! is still there. Used by `client`, `follow` and the verbs that stay.

use crate::exit::{Exit, Failure, Outcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The input with this index can be read.
    Input(usize),
    /// Whoever read our output has left.
    OutputClosed,
    /// The time has come.
    Deadline,
}

/// Waits until one of `inputs` can be read (the first one counts first), the reader of `output` leaves, or `deadline`.
///
/// # Errors
/// Where the system can't wait.
pub(crate) fn readable(
    inputs: &[BorrowedFd<'_>],
    output: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
) -> io::Result<Ready> {
    let mut fds: Vec<PollFd<'_>> =
        inputs.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    // Nothing is asked of it: a pipe without reader is reported all the same.
    fds.extend(output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(Ready::Deadline),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        match fds.iter().position(|fd| !fd.revents().is_empty()) {
            Some(index) if index < inputs.len() => return Ok(Ready::Input(index)),
            Some(_) => return Ok(Ready::OutputClosed),
            None => {}
        }
    }
}

/// SIGINT, SIGTERM and SIGHUP, from the moment this is made. The first one is for the verb to end in order; a second
/// one ends the process at once.
#[derive(Debug)]
pub(crate) struct Signals {
    which: Arc<AtomicUsize>,
    pipe: UnixStream,
}

impl Signals {
    /// Takes the signals over: whoever waits leaves in order.
    ///
    /// # Errors
    /// Where the system does not allow it.
    pub(crate) fn catch() -> Outcome<Signals> {
        Signals::take_over().map_err(|e| not_caught(&e))
    }

    fn take_over() -> io::Result<Signals> {
        let which = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        let (pipe, wake) = UnixStream::pair()?;
        for (signal, number) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
            // In this order, so that the first signal arms what the second one triggers.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            signal_hook::flag::register(signal, Arc::clone(&again))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&which), number)?;
            signal_hook::low_level::pipe::register(signal, wake.try_clone()?)?;
        }
        Ok(Signals { which, pipe })
    }

    /// Signals that never come, and what makes them: for tests, which share one process.
    #[cfg(test)]
    pub(crate) fn made_up() -> (Signals, impl FnOnce(Exit) + Send + use<>) {
        let (pipe, mut wake) = UnixStream::pair().unwrap();
        std::mem::forget(wake.try_clone().unwrap()); // closed, it would look like a signal
        let which = Arc::new(AtomicUsize::new(0));
        let signals = Signals { which: Arc::clone(&which), pipe };
        let make = move |exit: Exit| {
            which.store(usize::from(exit as u8 - 128), Ordering::Relaxed);
            io::Write::write_all(&mut wake, b"!").unwrap();
        };
        (signals, make)
    }

    /// The same for somebody else to wait for.
    ///
    /// # Errors
    /// Where the process has too many descriptors.
    pub(crate) fn fd_to_keep(&self) -> Outcome<OwnedFd> {
        self.pipe.as_fd().try_clone_to_owned().map_err(|e| not_caught(&e))
    }

    /// How to end, where a signal came.
    #[must_use]
    pub(crate) fn caught(&self) -> Option<Exit> {
        match self.which.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Exit::HungUp),
            2 => Some(Exit::Interrupted),
            _ => Some(Exit::Terminated),
        }
    }

    /// Readable, for ever, once a signal came.
    #[must_use]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn not_caught(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("catching signals: {error}"))
}
