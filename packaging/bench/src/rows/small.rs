//! Row `small`: a directory of ten thousand files of 4 KiB from another netkitd to the disk, encrypted, each file checked,
//! and synced; beside it an rsync daemon in plain text with the same sync behind it. The page cache is warm.

use super::Plan;
use super::arrival::Fetcher;
use super::servers::{Content, named, rsync};
use crate::daemon::program;
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::syncfs;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

pub(crate) const ROW: &str = "small";
/// netkitctl's rate in multiples of rsync's.
const ASKED: f64 = 1.0;
const SIZE: usize = 4096;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let count = if plan.quick { 500 } else { 10_000 };
    let content = Content::new(1)?;
    for n in 0..count {
        let dir = content.shared().join(format!("small/{:02}", n % 100));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(n.to_string()), vec![(n % 251) as u8; SIZE])?;
    }
    let bob = named("bob", &content)?;
    let fetcher = Fetcher::linked(&bob)?;
    let peer = rsync(&content)?;
    let mut subjects = vec![Subject::new("netkitctl", || {
        let mut get = Command::new(program("netkitctl")?);
        get.arg("--socket").arg(fetcher.socket());
        get.args(["get", "--wait", "-o", "netkit", "bob:b/small/"]);
        round(&mut get, &fetcher.file("netkit"), count)
    })];
    if let Some((_, url)) = &peer {
        let dir = fetcher.file("rsync");
        subjects.push(Subject::new("rsync && sync", move || {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "rsync -a \"$1\" \"$0\" && sync -f \"$0\""])
                .arg(&dir)
                .arg(format!("{url}small/"));
            round(&mut shell, &dir, count)
        }));
    }
    let values = interleave(plan.rounds(2, 9), &mut subjects)?;
    drop(subjects);
    fetcher.stop()?;
    bob.stop()?;

    let what = format!("{count} files of 4 KiB, verified and synced");
    let mut lines = vec![Line::new(ROW, "netkitctl", "rate", "files/s", &values[0][0]).note(what)];
    match values.get(1) {
        Some([rsync]) => {
            lines.push(Line::new(ROW, "rsync && sync", "rate", "files/s", rsync));
            let ours = ("netkitctl", &values[0][0][..]);
            lines.push(Line::ratio(ROW, "rate", ours, ("rsync && sync", rsync)).at_least(ASKED));
        }
        None => lines.push(Line::not_installed(ROW, "rsync")),
    }
    Ok(lines)
}

/// Files a second by which a command fills a directory, which goes afterwards.
fn round(command: &mut Command, dir: &Path, count: usize) -> Result<[f64; 1]> {
    let start = Instant::now();
    let output = command.output().context("cannot start")?;
    let seconds = start.elapsed().as_secs_f64();
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ended with {}: {}", output.status, said());
    let found: usize = fs::read_dir(dir)?
        .map(|dir| Ok(fs::read_dir(dir?.path())?.count()))
        .sum::<Result<usize>>()
        .with_context(said)?;
    ensure!(found == count, "{found} of {count} files came");
    fs::remove_dir_all(dir)?;
    syncfs(File::open(dir.parent().context("no directory")?)?)?;
    Ok([count as f64 / seconds])
}
