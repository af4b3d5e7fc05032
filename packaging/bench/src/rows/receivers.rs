//! Who takes the datagrams of `intake`: netkitd, and a receiver as a tutorial would write it.

use crate::daemon::{Control, Daemon, count};
use crate::process::Guard;
use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// How long Python may take to answer.
const ANSWER: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// Something that takes datagrams and can say how many it has kept.
pub(crate) trait Receiver {
    fn address(&mut self) -> Result<SocketAddr>;
    /// Lines kept since the start.
    fn stored(&mut self) -> Result<u64>;
    /// Datagrams that it knows it dropped since the start.
    fn dropped(&mut self) -> Result<u64>;
    /// Ends it; fails where it did not end well.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// A netkitd and the connection it is asked on.
#[derive(Debug)]
pub(crate) struct Netkitd {
    daemon: Daemon,
    control: Control,
}

impl Netkitd {
    pub(crate) fn start() -> Result<Netkitd> {
        let daemon = Daemon::start()?;
        let control = daemon.connect()?;
        Ok(Netkitd { daemon, control })
    }
}

impl Receiver for Netkitd {
    fn address(&mut self) -> Result<SocketAddr> {
        self.control.chat_address()
    }

    /// The log's head: what is committed, also where retention has removed some of it since.
    fn stored(&mut self) -> Result<u64> {
        let status = self.control.status().with_context(|| self.daemon.last_words())?;
        count(&status, "/log/head")
    }

    fn dropped(&mut self) -> Result<u64> {
        let status = self.control.status()?;
        let dropped = status.pointer("/chat/dropped").and_then(serde_json::Value::as_object);
        let dropped = dropped.context("node.status has no /chat/dropped")?;
        Ok(dropped.values().filter_map(serde_json::Value::as_u64).sum())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.daemon.stop()
    }
}

/// Prints each line in a thread; the main thread says how many when asked.
const TUTORIAL: &str = r#"
import socket, sys, threading

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
out = open("/dev/null", "w")
lines = 0

def receive():
    global lines
    while True:
        data, address = server.recvfrom(1024)
        print(f"{address[0]}:{address[1]}: {data.decode().rstrip()}", file=out)
        lines += 1

threading.Thread(target=receive, daemon=True).start()
print(server.getsockname()[1], flush=True)
for _ in sys.stdin:
    print(lines, flush=True)
"#;

/// The tutorial's receiver in a Python of its own.
#[derive(Debug)]
pub(crate) struct Tutorial {
    guard: Guard,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Tutorial {
    pub(crate) fn start(python: &Path) -> Result<Tutorial> {
        let mut command = Command::new(python);
        command.arg("-c").arg(TUTORIAL).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = Guard::spawn("python3", &mut command)?;
        let stdin = guard.child().stdin.take().context("no stdin")?;
        let stdout = guard.child().stdout.take().context("no stdout")?;
        Ok(Tutorial { guard, stdin, stdout: BufReader::new(stdout) })
    }

    fn number(&mut self) -> Result<u64> {
        let mut ready = [PollFd::new(self.stdout.get_ref(), PollFlags::IN)]; // one line at a time: the buffer is empty
        ensure!(poll(&mut ready, Some(&ANSWER))? > 0, "python3 does not answer");
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("python3 does not answer")?;
        line.trim().parse().with_context(|| format!("python3 says {line:?}"))
    }
}

impl Receiver for Tutorial {
    fn address(&mut self) -> Result<SocketAddr> {
        let port = u16::try_from(self.number()?).context("not a port")?;
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    fn stored(&mut self) -> Result<u64> {
        self.stdin.write_all(b"\n").context("cannot ask python3")?;
        self.number()
    }

    /// It never learns of them.
    fn dropped(&mut self) -> Result<u64> {
        Ok(0)
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.guard.check() // SIGTERM is how it ends, so its status says nothing
    }
}
