//! Children of the bench: ended when they go out of scope, whatever happened. Used by `daemon` and the rows' peers.

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long a child has to end after SIGTERM.
const STOP: Duration = Duration::from_secs(10);
/// How long a child may take until it can be used.
const READY: Duration = Duration::from_secs(10);
/// Between two looks at a child.
const LOOK: Duration = Duration::from_millis(5);

/// A child that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Guard {
    name: &'static str,
    child: Child,
}

impl Guard {
    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> Result<Guard> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Guard { name, child })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails where the child has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} died: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Tries `connect` until it succeeds, the child has ended or the time is over.
    pub(crate) fn wait_ready<T>(&mut self, connect: impl Fn() -> std::io::Result<T>) -> Result<T> {
        let deadline = Instant::now() + READY;
        loop {
            match connect() {
                Ok(connected) => return Ok(connected),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| format!("{} is not ready after {READY:?}", self.name));
                }
                Err(_) => self.check()?,
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends the child by a signal.
    pub(crate) fn end(&mut self, by: Signal) -> Result<()> {
        self.check()?;
        kill_process(Pid::from_child(&self.child), by)?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the child to end and waits, killing it in the end. None where it had to be killed.
    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        // Until it is waited for, the pid stays the child's.
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Keeps a command from asking a proxy for what is on this machine.
pub(crate) fn without_proxy(command: &mut Command) {
    command.env("no_proxy", "*").env("NO_PROXY", "*");
}

/// The file of a program in PATH.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Runs a process for its whole life.
pub(crate) fn run_whole(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot start")?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}
