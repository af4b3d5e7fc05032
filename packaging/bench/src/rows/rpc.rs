//! Row `rpc`: one `node.status` after the other on one connection, beside a bare echo of as many bytes and beside
//! aria2c's RPC, the interface of a daemon that scripts know.

use super::{Plan, echo};
use crate::daemon::{Daemon, STATUS};
use crate::machine::OneCore;
use crate::measure::{Subject, interleave, percentile};
use crate::process::{Guard, in_path};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const ROW: &str = "rpc";
const ARIA2C: &str = "aria2c";
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Where the scheduler puts client and server moves a round trip more than what the server does; on one core only
/// the latter is left. What users see is the former, so both are measured.
pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let mut lines = half(plan, ["p50", "p99"])?;
    let one_core = OneCore::pin()?;
    lines.extend(half(plan, ["p50 on 1 core", "p99 on 1 core"])?);
    drop(one_core);
    if in_path(ARIA2C).is_none() {
        lines.push(Line::not_installed(ROW, ARIA2C));
    }
    Ok(lines)
}

fn half(plan: &Plan, measures: [&'static str; 2]) -> Result<Vec<Line>> {
    let length = plan.millis(200, 250);
    let dir = TempDir::with_prefix("netkit-bench-").context("cannot make a temporary directory")?;
    let daemon = Daemon::start()?;
    let mut netkitd = UnixStream::connect(daemon.socket()).context("cannot connect to netkitd")?;
    netkitd.set_read_timeout(Some(ANSWER))?;
    let answer = exchange(&mut netkitd, STATUS, is_line).context("netkitd")?;
    let (_echo, mut echo) = echo::start(dir.path(), answer)?;
    echo.set_read_timeout(Some(ANSWER))?;
    let mut aria2c = Aria2c::start(dir.path())?;

    let mut subjects = vec![
        Subject::new("netkitd", || round(&mut netkitd, STATUS, is_line, length)),
        Subject::new("echo", || round(&mut echo, STATUS, is_line, length)),
    ];
    if let Some(Aria2c { stream, request, .. }) = &mut aria2c {
        subjects.push(Subject::new(ARIA2C, || round(stream, request, is_http, length)));
    }
    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    for subject in &mut subjects {
        (subject.round)().with_context(|| format!("{}, warming up", subject.name))?;
    }
    let values = interleave(plan.rounds(3, 31), &mut subjects)?;
    drop(subjects);
    daemon.stop()?;

    let mut lines = Vec::new();
    for (index, measure) in measures.into_iter().enumerate() {
        for (name, values) in names.iter().zip(&values) {
            let bytes = format!("{} bytes there, {answer} back", STATUS.len());
            let note = if *name == ARIA2C { String::new() } else { bytes };
            lines.push(Line::new(ROW, *name, measure, "µs", &values[index]).note(note));
        }
        for (peer, of_peer) in names.iter().zip(&values).skip(1) {
            let of = (names[0], values[0][index].as_slice());
            lines.push(Line::ratio(ROW, measure, of, (peer, &of_peer[index])));
        }
    }
    Ok(lines)
}

/// p50 and p99 in microseconds of as many round trips as fit into `length`.
fn round(
    stream: &mut (impl Read + Write),
    request: &[u8],
    is_whole: fn(&[u8]) -> bool,
    length: Duration,
) -> Result<[f64; 2]> {
    let mut nanos = Vec::with_capacity(1 << 17);
    let end = Instant::now() + length;
    let mut before = Instant::now();
    while before < end {
        exchange(stream, request, is_whole)?;
        let after = Instant::now();
        nanos.push(u64::try_from((after - before).as_nanos())?);
        before = after;
    }
    let mut percent = |percent| percentile(&mut nanos, percent).context("no round trip in the time");
    Ok([percent(50)? as f64 / 1e3, percent(99)? as f64 / 1e3])
}

/// One request and its answer, whose size is given back.
fn exchange(stream: &mut (impl Read + Write), request: &[u8], is_whole: fn(&[u8]) -> bool) -> Result<usize> {
    stream.write_all(request).context("cannot ask")?;
    let mut buffer = [0; 8192];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).context("no answer")?;
        ensure!(read > 0, "the connection was closed, or the answer is too long");
        filled += read;
        if is_whole(&buffer[..filled]) {
            return Ok(filled);
        }
    }
}

fn is_line(answer: &[u8]) -> bool {
    answer.ends_with(b"\n")
}

/// Whether an HTTP answer is there up to the end that its Content-Length names.
fn is_http(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| answer.len() >= head + 4 + length)
}

/// A running aria2c and one keep-alive connection to its RPC.
#[derive(Debug)]
struct Aria2c {
    stream: TcpStream,
    request: Vec<u8>,
    _guard: Guard,
}

impl Aria2c {
    /// None where it is not installed.
    fn start(dir: &Path) -> Result<Option<Aria2c>> {
        let Some(program) = in_path(ARIA2C) else { return Ok(None) };
        // It takes no port 0; who takes this one in between makes the row fail, not lie.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args([
            "--no-conf",
            "--quiet",
            "--enable-rpc",
            "--rpc-listen-all=false",
            "--enable-dht=false",
        ]);
        command.arg(format!("--rpc-listen-port={port}")).arg("--dir").arg(dir);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut guard = Guard::spawn("aria2c", &mut command)?;
        let mut stream = guard.wait_ready(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"aria2.getGlobalStat","params":[]}"#;
        let request = format!(
            "POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes();
        exchange(&mut stream, &request, is_http).context("aria2c")?;
        Ok(Some(Aria2c { stream, request, _guard: guard }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_answer_ends_with_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
        assert!(is_http(answer));
        for cut in 0..answer.len() {
            assert!(!is_http(&answer[..cut]), "{cut}");
        }
    }
}
