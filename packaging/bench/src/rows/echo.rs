//! The bare echo peer: what a round trip over AF_UNIX costs where nobody thinks. Served by a child of the bench
//! (`netkit-bench --echo`), so that it pays for the change of process as netkitd does; started by `rpc`.

use crate::process::Guard;
use anyhow::{Context as _, Result};
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Answers each line with `answer` bytes, until the peer closes.
pub(crate) fn serve(path: &Path, answer: usize) -> Result<()> {
    let listener = UnixListener::bind(path).context("cannot listen")?;
    let (mut stream, _) = listener.accept().context("cannot accept")?;
    let mut reply = vec![b'x'; answer.saturating_sub(1)];
    reply.push(b'\n');
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).context("cannot read")?;
        match buffer[..read].last() {
            None => return Ok(()),
            Some(b'\n') => stream.write_all(&reply).context("cannot write")?,
            Some(_) => {} // the rest of the line is on its way
        }
    }
}

/// Starts the peer and connects to it.
pub(crate) fn start(dir: &Path, answer: usize) -> Result<(Guard, UnixStream)> {
    let path = dir.join("echo.sock");
    let own = std::env::current_exe().context("cannot find the bench's own file")?;
    let mut command = Command::new(own);
    command.arg("--echo").arg(&path).arg("--answer").arg(answer.to_string()).stdin(Stdio::null());
    let mut guard = Guard::spawn("echo", &mut command)?;
    let stream = guard.wait_ready(|| UnixStream::connect(&path))?;
    Ok((guard, stream))
}
