//! Row `receipt`: what a script pays for one `netkitctl send --wait` to a linked peer, from start to exit: the message is
//! on both disks and the receipt came back. Beside it `netkitctl status`, the same process without the message.

use super::Plan;
use crate::daemon::{Daemon, program};
use crate::linked::Pair;
use crate::measure::{Subject, interleave, percentile};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) const ROW: &str = "receipt";
/// What the median may take, in milliseconds. Printed beside, never enforced here.
const LIMIT: f64 = 2.5;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let pair = Pair::start()?;
    let processes = if plan.quick { 20 } else { 100 };
    let mut send = netkitctl(&pair.alice, &["send", "--wait", "bob", "backup done"])?;
    let mut status = netkitctl(&pair.alice, &["status"])?;
    round(&mut send, processes)?; // warms up
    let mut subjects = [
        Subject::new("send --wait", || round(&mut send, processes)),
        Subject::new("status", || round(&mut status, processes)),
    ];
    let values = interleave(plan.rounds(2, 15), &mut subjects)?;
    drop(subjects);
    pair.stop()?;
    let [[p50, p99], [status50, _]] = values.as_slice() else { unreachable!("values for each subject") };
    let verdict = if p50.iter().all(|&p50| p50 <= LIMIT) { "kept" } else { "EXCEEDED" };
    Ok(vec![
        Line::new(ROW, "send --wait", "p50", "ms", p50)
            .note(format!("limit {LIMIT} ms: {verdict}; {processes} processes a round")),
        Line::new(ROW, "send --wait", "p99", "ms", p99),
        Line::new(ROW, "status", "p50", "ms", status50),
        Line::difference(ROW, "p50", "ms", ("send --wait", p50), ("status", status50)),
    ])
}

fn netkitctl(daemon: &Daemon, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("netkitctl")?);
    command.arg("--socket").arg(daemon.socket()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

/// p50 and p99 of processes' whole lives in milliseconds.
fn round(command: &mut Command, processes: usize) -> Result<[f64; 2]> {
    let mut nanos = Vec::with_capacity(processes);
    for _ in 0..processes {
        let start = Instant::now();
        let status = command.status().context("cannot start")?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
        ensure!(status.success(), "ended with {status}");
    }
    let mut percent = |percent| percentile(&mut nanos, percent).context("no process");
    Ok([percent(50)? as f64 / 1e6, percent(99)? as f64 / 1e6])
}
