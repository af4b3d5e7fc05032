//! Row `status`: what a script pays for one `netkitctl status`, from start to exit, beside a process that does nothing.

use super::Plan;
use crate::daemon::{Daemon, program};
use crate::measure::{Spread, Subject, interleave};
use crate::process::run_whole;
use crate::report::Line;
use anyhow::{Context as _, Result};
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) const ROW: &str = "status";
/// The process that does nothing.
const TRUE: &str = "/usr/bin/true";
/// Processes in one round, of which the median counts.
const PROCESSES: usize = 10;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let daemon = Daemon::start()?;
    let mut netkitctl = Command::new(program("netkitctl")?);
    netkitctl.arg("--socket").arg(daemon.socket()).arg("status");
    let mut nothing = Command::new(TRUE);
    let mut subjects = [
        Subject::new("netkitctl", || round(&mut netkitctl)),
        Subject::new("true", || round(&mut nothing)), //
    ];
    let values = interleave(plan.rounds(3, 41), &mut subjects)?;
    drop(subjects);
    daemon.stop()?;

    let [[netkitctl], [nothing]] = values.as_slice() else { unreachable!("a value for each subject") };
    let (netkitctl, nothing) = (("netkitctl", netkitctl.as_slice()), ("true", nothing.as_slice()));
    Ok(vec![
        Line::new(ROW, netkitctl.0, "process", "ms", netkitctl.1)
            .note(format!("each round the median of {PROCESSES} processes")),
        Line::new(ROW, nothing.0, "process", "ms", nothing.1),
        Line::difference(ROW, "process", "ms", netkitctl, nothing),
        Line::ratio(ROW, "process", netkitctl, nothing),
    ])
}

/// The median of a process's whole life in milliseconds.
fn round(command: &mut Command) -> Result<[f64; 1]> {
    let mut millis = Vec::with_capacity(PROCESSES);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    for _ in 0..PROCESSES {
        let start = Instant::now();
        run_whole(command)?;
        millis.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok([Spread::of(&millis).context("no process")?.median])
}
