//! Files that arrive on disk, timed from the start of a command to its end. Used by the rows that fetch; what their peers
//! are is theirs.

use crate::daemon::{Daemon, program};
use crate::lab::Space;
use crate::linked::link;
use crate::process::without_proxy;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::syncfs;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// What curl is measured by: with `sync`, the rival; without, what nobody who needs the file tomorrow does.
pub(crate) const CURL: [(&str, &str); 2] = [
    ("curl && sync", "curl -sSf -o \"$0\" \"$1\" && sync \"$0\""),
    ("curl, unsynced", "curl -sSf -o \"$0\" \"$1\""),
];

/// A netkitd that fetches, and the directory that its rivals fetch into too: all write to one file system.
#[derive(Debug)]
pub(crate) struct Fetcher {
    daemon: Daemon, // goes before the directory it writes to
    dir: TempDir,
}

impl Fetcher {
    pub(crate) fn start() -> Result<Fetcher> {
        Fetcher::with(|section| Daemon::named_with("bench", section))
    }

    /// One on a host of a LAN.
    pub(crate) fn within(host: &Space, address: &str) -> Result<Fetcher> {
        Fetcher::with(|section| Daemon::within(host, address, "bench", section))
    }

    fn with(start: impl FnOnce(&str) -> Result<Daemon>) -> Result<Fetcher> {
        let dir = TempDir::with_prefix("netkit-bench-got-").context("cannot make a temporary directory")?;
        let section = format!("[downloads]\ndir = \"{}\"\nkeep_free = 0\n", dir.path().display());
        Ok(Fetcher { daemon: start(&section)?, dir })
    }

    /// One that is linked with another netkitd.
    pub(crate) fn linked(other: &Daemon) -> Result<Fetcher> {
        let fetcher = Fetcher::start()?;
        fetcher.link(other)?;
        Ok(fetcher)
    }

    /// Links it with another netkitd.
    pub(crate) fn link(&self, other: &Daemon) -> Result<()> {
        link(&self.daemon, other)
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Its control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.daemon.socket()
    }

    /// Where files arrive.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file there.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// A round of `netkitctl get --wait`, which ends when the file is complete, synced and has its name.
    pub(crate) fn get(&self, source: &str, size: u64) -> Result<[f64; 1]> {
        let mut get = Command::new(program("netkitctl")?);
        get.arg("--socket").arg(self.daemon.socket()).args(["get", "--wait", "-o", "netkit", source]);
        round(&mut get, &self.file("netkit"), size).with_context(|| self.daemon.last_words())
    }

    /// A round of one of [`CURL`] into the same directory.
    pub(crate) fn curl(&self, script: &str, url: &str, size: u64) -> Result<[f64; 1]> {
        let file = self.file("curl");
        let mut shell = Command::new("sh");
        without_proxy(shell.arg("-c").arg(script).arg(&file).arg(url).stdin(Stdio::null()));
        round(&mut shell, &file, size)
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.daemon.stop()
    }
}

/// Gigabytes a second by which a command makes a file. The file goes afterwards, and what is still to be written is
/// written, so that no round pays for the one before.
pub(crate) fn round(command: &mut Command, file: &Path, size: u64) -> Result<[f64; 1]> {
    let start = Instant::now();
    let output = command.output().context("cannot start")?;
    let seconds = start.elapsed().as_secs_f64();
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ended with {}: {}", output.status, said());
    let got = fs::metadata(file).with_context(|| format!("nothing came: {}", said()))?.len();
    ensure!(got == size, "{got} of {size} bytes came");
    fs::remove_file(file)?;
    syncfs(File::open(file.parent().context("no directory")?)?)?;
    Ok([size as f64 / 1e9 / seconds])
}
