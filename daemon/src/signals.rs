//! Signals: TERM and INT stop the daemon in order, a second one at once; HUP reads the configuration again.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use std::io;
use std::os::unix::net::UnixStream as BlockingStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::net::UnixStream;

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop in order.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// The signals of this process.
#[derive(Debug)]
pub struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

impl Signals {
    /// Handles signals from now on. Needs a runtime.
    ///
    /// # Errors
    /// Those of sigaction(2) and socketpair(2).
    pub fn install() -> io::Result<Signals> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second one finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        Ok(Signals { stop: stream_of(&[SIGTERM, SIGINT])?, reload: stream_of(&[SIGHUP])? })
    }

    /// Waits for the next signal. Can be dropped without losing one.
    pub async fn next(&mut self) -> Signal {
        loop {
            let (stream, signal) = tokio::select! {
                biased;
                _ = self.stop.readable() => (&self.stop, Signal::Stop),
                _ = self.reload.readable() => (&self.reload, Signal::Reload),
            };
            // Signals that came together are one; a wake-up without a byte is none.
            if matches!(stream.try_read(&mut [0; 64]), Ok(1..)) {
                return signal;
            }
        }
    }
}

/// A stream that has a byte for each of these signals; the handler never blocks on it.
fn stream_of(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = BlockingStream::pair()?;
    for &signal in signals {
        pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    UnixStream::from_std(read)
}
