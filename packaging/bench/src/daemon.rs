//! A netkitd of the bench's own, on loopback, in a temporary directory. Started by every row that measures netkitd.

use crate::process::{Guard, without_proxy};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The call that every row measures or counts by.
pub(crate) const STATUS: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.status\",\"params\":{}}\n";
/// How long one answer may take: a daemon under flood is slow, a dead one silent.
const ANSWER: Duration = Duration::from_secs(20);

/// A program of the same build as this one.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the bench's own file")?;
    let file = own.with_file_name(name);
    let how = if cfg!(debug_assertions) { "cargo build" } else { "cargo build --release" };
    ensure!(file.is_file(), "no {name} beside netkit-bench: run `{how}` first");
    Ok(file)
}

/// Fails early, before minutes of measuring, where a program is missing.
pub(crate) fn check_built() -> Result<()> {
    program("netkitd")?;
    program("netkitctl")?;
    Ok(())
}

/// A running netkitd, ended with this value.
#[derive(Debug)]
pub(crate) struct Daemon {
    guard: Guard, // goes before the directory it writes to
    dir: TempDir,
}

impl Daemon {
    /// Starts a netkitd with the default configuration but for where it listens and keeps its state.
    pub(crate) fn start() -> Result<Daemon> {
        Daemon::start_with("")
    }

    /// The same with further sections of the configuration.
    pub(crate) fn start_with(sections: &str) -> Result<Daemon> {
        let dir = TempDir::with_prefix("netkit-bench-").context("cannot make a temporary directory")?;
        let at = dir.path().display();
        let config = format!(
            "[node]\nstate_dir = \"{at}/state\"\n[control]\nsocket = \"{at}/netkitd.sock\"\n\
             [chat]\nlisten = \"127.0.0.1:0\"\n[files]\nlisten = \"127.0.0.1:0\"\n{sections}"
        );
        let file = dir.path().join("config.toml");
        fs::write(&file, config).context("cannot write the configuration")?;
        let log = File::create(dir.path().join("log")).context("cannot make the log file")?;
        let mut command = Command::new(program("netkitd")?);
        command.arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        without_proxy(&mut command);
        let guard = Guard::spawn("netkitd", &mut command)?;
        let mut daemon = Daemon { guard, dir };
        let socket = daemon.socket();
        let ready = daemon.guard.wait_ready(|| UnixStream::connect(&socket));
        ready.with_context(|| daemon.last_words())?;
        Ok(daemon)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("netkitd.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    pub(crate) fn connect(&self) -> Result<Control> {
        Control::connect(&self.socket())
    }

    /// Ends it; fails where it was dead already, had to be killed or did not end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.guard.check().with_context(|| self.last_words())?;
        let status = self.guard.stop().context("netkitd did not end after SIGTERM")?;
        ensure!(status.success(), "netkitd ended badly: {status}; {}", self.last_words());
        Ok(())
    }

    /// The end of its log, for errors.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(self.dir.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        format!("netkitd's last log lines: {}", lines[lines.len().saturating_sub(3)..].join(" | "))
    }
}

/// One connection of a netkitd's control socket.
#[derive(Debug)]
pub(crate) struct Control {
    stream: BufReader<UnixStream>,
    line: String,
}

impl Control {
    fn connect(socket: &Path) -> Result<Control> {
        let stream = UnixStream::connect(socket).context("cannot connect to netkitd")?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Control { stream: BufReader::new(stream), line: String::new() })
    }

    /// The result of `node.status`.
    pub(crate) fn status(&mut self) -> Result<Value> {
        self.stream.get_mut().write_all(STATUS).context("cannot ask netkitd")?;
        self.line.clear();
        let read = self.stream.read_line(&mut self.line).context("netkitd does not answer")?;
        ensure!(read > 0, "netkitd closed the connection");
        let mut answer: Value = serde_json::from_str(&self.line).context("netkitd's answer is no JSON")?;
        ensure!(answer.get("result").is_some(), "netkitd refused: {}", self.line.trim_end());
        Ok(answer["result"].take())
    }

    /// Where it takes datagrams.
    pub(crate) fn chat_address(&mut self) -> Result<SocketAddr> {
        self.address("chat")
    }

    /// Where it serves files.
    pub(crate) fn files_address(&mut self) -> Result<SocketAddr> {
        self.address("files")
    }

    fn address(&mut self, port: &str) -> Result<SocketAddr> {
        let status = self.status()?;
        let listen = status[port]["listen"]
            .as_str()
            .with_context(|| format!("node.status names no {port} address"))?;
        listen.parse().with_context(|| format!("cannot read the {port} address {listen}"))
    }
}

/// A number in an answer, by its JSON pointer.
pub(crate) fn count(status: &Value, pointer: &str) -> Result<u64> {
    status.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("node.status has no {pointer}"))
}
