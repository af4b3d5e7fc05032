//! Row `idle`: what a netkitd that nobody needs right now costs, after it has answered one status.

use super::Plan;
use crate::daemon::Daemon;
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::{Context as _, Result};
use std::fs;

pub(crate) const ROW: &str = "idle";
/// What an idle netkitd may take, in MiB.
const LIMIT: f64 = 10.0;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let values = interleave(plan.rounds(2, 11), &mut [Subject::new("netkitd", round)])?;
    let [[resident, threads]] = values.as_slice() else { unreachable!("values for one subject") };
    Ok(vec![
        Line::new(ROW, "netkitd", "VmRSS", "MiB", resident).at_most(LIMIT),
        Line::new(ROW, "netkitd", "threads", "", threads),
    ])
}

/// Resident memory in MiB and threads of a fresh netkitd.
fn round() -> Result<[f64; 2]> {
    let daemon = Daemon::start()?;
    daemon.connect()?.status()?;
    let status = status(&daemon)?;
    daemon.stop()?;
    Ok([field(&status, "VmRSS:")? / 1024.0, field(&status, "Threads:")?])
}

/// The most that a netkitd had in memory, in MiB.
pub(super) fn peak(daemon: &Daemon) -> Result<f64> {
    Ok(field(&status(daemon)?, "VmHWM:")? / 1024.0)
}

/// What the kernel tells of its process.
pub(super) fn status(daemon: &Daemon) -> Result<String> {
    fs::read_to_string(format!("/proc/{}/status", daemon.pid())).context("netkitd is gone")
}

/// The number in a line of `/proc/PID/status`.
pub(super) fn field(status: &str, name: &str) -> Result<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value.with_context(|| format!("no {name} in the process's status"))?.parse().context("not a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_without_their_unit() -> Result<()> {
        let status = "VmPeak:\t  9000 kB\nVmRSS:\t    6144 kB\nThreads:\t5\n";
        assert_eq!(field(status, "VmRSS:")?, 6144.0);
        assert_eq!(field(status, "Threads:")?, 5.0);
        assert!(field(status, "VmSwap:").is_err());
        Ok(())
    }
}
