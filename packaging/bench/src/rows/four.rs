//! Row `four`: four large files at once from another netkitd to the disk, and what both netkitd have in memory for it.

use super::Plan;
use super::arrival::Fetcher;
use super::idle::peak;
use super::servers::{Content, named};
use crate::daemon::program;
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::syncfs;
use std::fs::{self, File};
use std::process::Command;
use std::time::Instant;

pub(crate) const ROW: &str = "four";
/// What each netkitd may take, in MiB.
const LIMIT: f64 = 64.0;
const FILES: [&str; 4] = ["f", "g", "h", "i"];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let content = Content::new(if plan.quick { 32 << 20 } else { 1 << 30 })?;
    for name in &FILES[1..] {
        content.add(name, name.as_bytes()[0])?;
    }
    let bob = named("bob", &content)?;
    let fetcher = Fetcher::linked(&bob)?;
    let values = interleave(
        plan.rounds(1, 5),
        &mut [Subject::new("netkitctl", || round(&fetcher, content.size).with_context(|| bob.last_words()))],
    )?;
    let peaks = [peak(fetcher.daemon())?, peak(&bob)?];
    fetcher.stop()?;
    bob.stop()?;

    let what = format!("{} files of {} MiB at once, verified and synced", FILES.len(), content.size >> 20);
    Ok(vec![
        Line::new(ROW, "netkitctl", "rate of all", "GB/s", &values[0][0]).note(what),
        Line::new(ROW, "who fetches", "VmHWM", "MiB", &peaks[..1]).at_most(LIMIT),
        Line::new(ROW, "who serves", "VmHWM", "MiB", &peaks[1..]).at_most(LIMIT),
    ])
}

/// Gigabytes a second of all together, until the last one is synced. They go afterwards.
fn round(fetcher: &Fetcher, size: u64) -> Result<[f64; 1]> {
    let start = Instant::now();
    let mut get = Command::new(program("netkitctl")?);
    get.arg("--socket").arg(fetcher.socket()).args(["get", "--wait"]);
    let output = get.args(FILES.map(|name| format!("bob:b/{name}"))).output().context("cannot start")?;
    let seconds = start.elapsed().as_secs_f64();
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ended with {}: {}", output.status, said());
    for name in FILES {
        let got = fs::metadata(fetcher.file(name)).with_context(said)?.len();
        ensure!(got == size, "{got} of {size} bytes came");
        fs::remove_file(fetcher.file(name))?;
    }
    syncfs(File::open(fetcher.dir())?)?;
    Ok([(size * FILES.len() as u64) as f64 / 1e9 / seconds])
}
