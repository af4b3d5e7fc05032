//! Commands as scripts call them: run to their end, or followed line by line. All that is started is ended.

use super::DEADLINE;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

/// A command, ready to be run or followed.
pub fn command<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_remove("NETKIT_SOCKET").env_remove("NETKIT_CONFIG").env_remove("JOURNAL_STREAM");
    command.env("TZ", "UTC").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The exit code; fails where a signal ended the command.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// What was printed, as lines.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// What was printed, as JSON, one object a line.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A command under way, its output read as it comes.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// Lines of a stream; the channel's bound is never reached by what tests print.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1 << 20);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return; // nobody reads any more
            }
        }
    });
    receiver
}

impl Running {
    /// Starts `command` with pipes at its three ends.
    pub fn start(mut command: Command) -> Running {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Running { stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Runs `command` to its end with `input` on stdin.
    pub fn to_end(command: Command, input: &[u8]) -> Ended {
        let mut running = Running::start(command);
        running.write(input);
        running.close_stdin();
        running.end()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to stdin; that the command has closed it is no failure of the test's.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stdin.as_mut().unwrap().write_all(bytes);
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line of stdout; fails at the deadline or when there is none.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.stdout.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(error) => panic!("no line on stdout: {error}; stderr: {:?}", self.said()),
        }
    }

    /// The next line of stdout as JSON.
    #[track_caller]
    pub fn json(&mut self) -> serde_json::Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }

    /// The next line of stderr that contains `text`; fails at the deadline.
    #[track_caller]
    pub fn stderr_with(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        let end = Instant::now() + DEADLINE;
        loop {
            match self.stderr.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("no {text:?} on stderr: {error}; before: {before:#?}"),
            }
        }
    }

    /// What stands on stderr and was not read yet.
    fn said(&self) -> Vec<String> {
        self.stderr.try_iter().collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid_of(), signal).unwrap();
    }

    fn pid_of(&self) -> Pid {
        Pid::from_raw(self.pid().try_into().unwrap()).unwrap()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end, with the output that was not read yet.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let (stdout, stderr) = (drain(&self.stdout), drain(&self.stderr));
        let status = super::eventually("the command ends", || self.child.try_wait().unwrap());
        Ended { status, stdout, stderr }
    }
}

/// All lines until the stream ends.
#[track_caller]
fn drain(lines: &Receiver<String>) -> String {
    let end = Instant::now() + DEADLINE;
    let mut text = String::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("the command did not end; it printed: {text}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            // With all that it started; it may end in between.
            let _ = kill_process_group(self.pid_of(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
