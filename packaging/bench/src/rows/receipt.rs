//! Row `receipt`: what a script pays for one `netkitctl send --wait` to a linked peer, from start to exit: the message is
//! on both disks and the receipt came back. Beside it `netkitctl status`, the same process without the message; and what
//! this machine asks for any process and two syncs, whoever makes them (`true + 2 syncs`): as far apart as a message's are,
//! since a disk that rested takes longer.

use super::Plan;
use crate::daemon::{Daemon, program};
use crate::linked::Pair;
use crate::measure::{Subject, interleave, percentile};
use crate::process::run_whole;
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::fdatasync;
use rustix::io::pwrite;
use std::fs::File;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const ROW: &str = "receipt";
/// What the median may take, in milliseconds.
const LIMIT: f64 = 2.5;
/// The machine's own part.
const FLOOR: &str = "true + 2 syncs";
/// How long after the end of the sender's sync the receiver's begins, as the kernel's scheduler recorded it: 0.6 to 0.8 ms.
/// The floor's time is without it.
const APART: Duration = Duration::from_micros(600);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let pair = Pair::start()?;
    let processes = if plan.quick { 20 } else { 100 };
    let mut send = netkitctl(&pair.alice, &["send", "--wait", "bob", "backup done"])?;
    let mut status = netkitctl(&pair.alice, &["status"])?;
    round(processes, || timed(|| run_whole(&mut send)))?; // warms up
    let mut floor = Command::new("true");
    let commits = [Commits::new()?, Commits::new()?];
    let mut subjects = [
        Subject::new("send --wait", || round(processes, || timed(|| run_whole(&mut send)))),
        Subject::new("status", || round(processes, || timed(|| run_whole(&mut status)))),
        Subject::new(FLOOR, || {
            round(processes, || {
                let first = timed(|| {
                    run_whole(&mut floor)?;
                    commits[0].sync()
                })?;
                sleep(APART);
                Ok(first + timed(|| commits[1].sync())?)
            })
        }),
    ];
    let values = interleave(plan.rounds(2, 15), &mut subjects)?;
    drop(subjects);
    pair.stop()?;
    let [[p50, p99], [status50, _], [floor50, _]] = values.as_slice() else {
        unreachable!("values for each subject")
    };
    Ok(vec![
        Line::new(ROW, "send --wait", "p50", "ms", p50)
            .at_most(LIMIT)
            .note(format!("{processes} processes a round")),
        Line::new(ROW, "send --wait", "p99", "ms", p99),
        Line::new(ROW, "status", "p50", "ms", status50),
        Line::difference(ROW, "p50", "ms", ("send --wait", p50), ("status", status50)),
        Line::new(ROW, FLOOR, "p50", "ms", floor50).note("what this machine asks for that, without netkit"),
        Line::difference(ROW, "p50", "ms", ("send --wait", p50), (FLOOR, floor50)),
    ])
}

fn netkitctl(daemon: &Daemon, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("netkitctl")?);
    command.arg("--socket").arg(daemon.socket()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

/// How long something takes.
fn timed(what: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    what()?;
    Ok(start.elapsed())
}

/// p50 and p99 in milliseconds of what is done so many times.
fn round(times: usize, mut what: impl FnMut() -> Result<Duration>) -> Result<[f64; 2]> {
    let mut nanos = Vec::with_capacity(times);
    for _ in 0..times {
        nanos.push(u64::try_from(what()?.as_nanos())?);
    }
    let mut percent = |percent| percentile(&mut nanos, percent).context("nothing was done");
    Ok([percent(50)? as f64 / 1e6, percent(99)? as f64 / 1e6])
}

/// What a commit of one message asks of the disk, where netkitd keeps its state: four pages that overwrite what is there,
/// and their sync.
struct Commits(File);

impl Commits {
    const PAGES: [u8; 4 * 4096] = [b'n'; 4 * 4096];

    fn new() -> Result<Commits> {
        let commits = Commits(tempfile::tempfile().context("cannot make a temporary file")?);
        commits.sync()?;
        Ok(commits)
    }

    fn sync(&self) -> Result<()> {
        ensure!(pwrite(&self.0, &Self::PAGES, 0)? == Self::PAGES.len(), "the disk took less");
        fdatasync(&self.0).context("cannot sync")
    }
}
