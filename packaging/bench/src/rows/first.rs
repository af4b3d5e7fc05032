//! Row `first`: how soon the first byte of a large file comes that nobody has hashed yet: over http, of the file itself and
//! of its manifest, and into the file of another netkitd that fetches it; and what both netkitd have in memory for that.

use super::Plan;
use super::arrival::Fetcher;
use super::idle::peak;
use super::servers::{Content, named};
use crate::linked::until;
use crate::measure::{Subject, interleave_after};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

pub(crate) const ROW: &str = "first";
/// What each of them may take, in milliseconds.
const LIMIT: f64 = 50.0;
/// How long an answer may take before the row has failed.
const ANSWER: Duration = Duration::from_secs(20);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let content = Content::new(1 << 20)?;
    let file = OpenOptions::new().write(true).open(content.shared().join("f"))?;
    let size = if plan.quick { 1 << 30 } else { 50 << 30 };
    file.set_len(size)?; // the rest takes no space
    let bob = named("bob", &content)?;
    let fetcher = Fetcher::linked(&bob)?;
    let served = bob.connect()?.files_address()?;
    let mut subjects = [
        Subject::new("file", || get(served, "/b/f")),
        Subject::new("manifest", || get(served, "/.netkit/v1/manifest/b/f")),
        Subject::new("get", || arrive(&fetcher).with_context(|| fetcher.daemon().last_words())),
    ];
    let values = interleave_after(|| renew(&file), plan.rounds(2, 15), &mut subjects)?;
    drop(subjects);
    let peaks = [peak(fetcher.daemon())?, peak(&bob)?];
    fetcher.stop()?;
    bob.stop()?;

    let [[of_file], [of_manifest], [of_get]] = values.as_slice() else {
        unreachable!("a value for each subject")
    };
    let line = |subject, millis| Line::new(ROW, subject, "first byte", "ms", millis).at_most(LIMIT);
    let memory = |subject, peak: f64| Line::new(ROW, subject, "VmHWM", "MiB", &[peak]);
    Ok(vec![
        line("file", of_file).note(format!("{} GiB that nobody has hashed", size >> 30)),
        line("manifest", of_manifest),
        line("get", of_get).note("from the call until it is in the file"),
        memory("who fetches", peaks[0]),
        memory("who serves", peaks[1]),
    ])
}

/// Makes it another file: what was learnt of it does not hold any more.
fn renew(file: &File) -> Result<()> {
    file.set_modified(SystemTime::now()).context("cannot touch the file")
}

/// Milliseconds from the connection until the first byte behind the answer's head.
fn get(from: SocketAddr, target: &str) -> Result<[f64; 1]> {
    let start = Instant::now();
    let mut stream = BufReader::new(TcpStream::connect(from)?);
    stream.get_ref().set_read_timeout(Some(ANSWER))?;
    write!(stream.get_mut(), "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "{target}: {line}");
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "{target}: the answer ends in its head");
    }
    stream.read_exact(&mut [0])?;
    Ok([start.elapsed().as_secs_f64() * 1e3])
}

/// Milliseconds until the first byte of a download is in its file. It goes afterwards.
fn arrive(fetcher: &Fetcher) -> Result<[f64; 1]> {
    let mut control = fetcher.daemon().connect()?;
    let start = Instant::now();
    let added = control.call("downloads.add", &json!({ "source": "bob:b/f" }))?;
    let file = fetcher.file(&format!(".netkit-{}.part", added["id"]));
    let is_there = || {
        let mut first = [0];
        let read = File::open(&file).and_then(|mut file| file.read(&mut first));
        (read.is_ok() && first != [0]).then_some(())
    };
    until("the first byte is there", || Ok(is_there()))?;
    let millis = start.elapsed().as_secs_f64() * 1e3;
    control.call("downloads.cancel", &json!({ "id": added["id"] }))?;
    until("the download is gone", || Ok((!file.exists()).then_some(())))?;
    Ok([millis])
}
