//! Row `fetch`: one large file by curl to /dev/null, from netkitd and from nginx, the page cache warm.

use super::Plan;
use super::servers::{Content, netkitd, nginx};
use crate::measure::{Subject, interleave};
use crate::process::in_path;
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;
use std::process::Command;

pub(crate) const ROW: &str = "fetch";

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    if in_path("curl").is_none() {
        return Ok(vec![Line::not_installed(ROW, "curl")]);
    }
    let content = Content::new(if plan.quick { 64 << 20 } else { 1 << 30 })?;
    let (daemon, ours) = netkitd(&content)?;
    let peer = nginx(&content)?;
    let mut subjects = vec![Subject::new("netkitd", || round(ours, content.size))];
    if let Some((_, theirs)) = &peer {
        subjects.push(Subject::new("nginx", || round(*theirs, content.size)));
    }
    let values = interleave(plan.rounds(3, 15), &mut subjects)?;
    drop(subjects);
    daemon.stop()?;

    let what = format!("curl of {} MiB to /dev/null", content.size >> 20);
    let mut lines = vec![Line::new(ROW, "netkitd", "rate", "GB/s", &values[0][0]).note(what)];
    match values.get(1) {
        Some([nginx]) => {
            lines.push(Line::new(ROW, "nginx", "rate", "GB/s", nginx));
            lines.push(Line::ratio(ROW, "rate", ("netkitd", &values[0][0]), ("nginx", nginx)));
        }
        None => lines.push(Line::not_installed(ROW, "nginx")),
    }
    Ok(lines)
}

/// Gigabytes a second, as curl counts them.
fn round(from: SocketAddr, size: u64) -> Result<[f64; 1]> {
    let url = format!("http://{from}/b/f");
    let curl = ["-sSf", "-o", "/dev/null", "-w", "%{size_download} %{speed_download}", &url];
    let output = Command::new("curl").args(curl).output().context("cannot start curl")?;
    ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (got, speed) = text.split_once(' ').context("curl told nothing")?;
    ensure!(got == size.to_string(), "curl got {got} of {size} bytes");
    Ok([speed.parse::<f64>()? / 1e9])
}
