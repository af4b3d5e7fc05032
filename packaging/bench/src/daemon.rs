//! A netkitd of the bench's own, on loopback, in a temporary directory. Started by every row that measures netkitd.

use crate::lab::Space;
use crate::process::{Guard, without_proxy};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
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
    /// Words of a command that it runs within.
    enter: Vec<String>,
}

/// Where it listens, unless told otherwise.
const LOOPBACK: &str = "127.0.0.1:0";

impl Daemon {
    /// Starts a netkitd with the default configuration but for where it listens and keeps its state.
    pub(crate) fn start() -> Result<Daemon> {
        Daemon::start_with("")
    }

    /// The same with further sections of the configuration.
    pub(crate) fn start_with(sections: &str) -> Result<Daemon> {
        Daemon::start_as("bench", sections, LOOPBACK, Vec::new())
    }

    /// One that peers know by this name, and find only where they are told to.
    pub(crate) fn named(name: &str) -> Result<Daemon> {
        Daemon::named_with(name, "")
    }

    /// The same with further sections of the configuration.
    pub(crate) fn named_with(name: &str, sections: &str) -> Result<Daemon> {
        Daemon::start_as(name, &alone(sections), LOOPBACK, Vec::new())
    }

    /// The same on a host of a LAN.
    pub(crate) fn within(host: &Space, address: &str, name: &str, sections: &str) -> Result<Daemon> {
        Daemon::start_as(name, &alone(sections), &format!("{address}:0"), host.enter())
    }

    fn start_as(name: &str, sections: &str, listen: &str, enter: Vec<String>) -> Result<Daemon> {
        let dir = TempDir::with_prefix("netkit-bench-").context("cannot make a temporary directory")?;
        let at = dir.path().display();
        let config = format!(
            "[node]\nname = \"{name}\"\nstate_dir = \"{at}/state\"\n[control]\nsocket = \"{at}/netkitd.sock\"\n\
             [chat]\nlisten = \"{listen}\"\n[files]\nlisten = \"{listen}\"\n{sections}"
        );
        fs::write(dir.path().join("config.toml"), config).context("cannot write the configuration")?;
        let guard = Daemon::spawn(&dir, &enter)?;
        let mut daemon = Daemon { guard, dir, enter };
        daemon.wait_ready()?;
        Ok(daemon)
    }

    fn spawn(dir: &TempDir, enter: &[String]) -> Result<Guard> {
        let log = File::create(dir.path().join("log")).context("cannot make the log file")?;
        let netkitd = program("netkitd")?;
        let mut command = match enter {
            [] => Command::new(netkitd),
            [first, more @ ..] => {
                let mut command = Command::new(first);
                command.args(more).arg(netkitd);
                command
            }
        };
        command.arg("--config").arg(dir.path().join("config.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        without_proxy(&mut command);
        Guard::spawn("netkitd", &mut command)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let socket = self.socket();
        let ready = self.guard.wait_ready(|| UnixStream::connect(&socket));
        ready.map(drop).with_context(|| self.last_words())
    }

    /// From now on its chat port is the one that it has.
    pub(crate) fn keep_port(&self) -> Result<()> {
        let file = self.dir.path().join("config.toml");
        let chat = self.connect()?.chat_address()?;
        let config = fs::read_to_string(&file)?;
        let from = format!("[chat]\nlisten = \"{LOOPBACK}\"");
        ensure!(config.contains(&from), "the configuration names no port 0");
        fs::write(file, config.replace(&from, &format!("[chat]\nlisten = \"{chat}\"")))?;
        Ok(())
    }

    /// Ends it by this signal.
    pub(crate) fn end(&mut self, by: Signal) -> Result<()> {
        self.guard.end(by)
    }

    /// Starts it again after [`Daemon::end`]; it takes sessions when this returns.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.guard = Daemon::spawn(&self.dir, &self.enter)?;
        self.wait_ready()
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

/// Sections of a configuration, with one that finds nobody by itself.
fn alone(sections: &str) -> String {
    format!("[discovery]\nmdns = false\n{sections}")
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
        self.write(STATUS)?;
        self.line()?;
        let mut answer: Value = serde_json::from_str(&self.line).context("netkitd's answer is no JSON")?;
        ensure!(answer.get("result").is_some(), "netkitd refused: {}", self.line.trim_end());
        Ok(answer["result"].take())
    }

    /// Calls a method; its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.write(format!("{request}\n").as_bytes())?;
        let mut answer: Value = serde_json::from_str(self.line()?).context("netkitd's answer is no JSON")?;
        ensure!(answer.get("result").is_some(), "netkitd refused {method}: {answer}");
        Ok(answer["result"].take())
    }

    /// Writes lines as they are.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(lines).context("cannot ask netkitd")
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> Result<&str> {
        self.line.clear();
        let read = self.stream.read_line(&mut self.line).context("netkitd does not answer")?;
        ensure!(read > 0, "netkitd closed the connection");
        Ok(self.line.trim_end())
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
