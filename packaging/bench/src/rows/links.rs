//! Row `links`: what each idle linked peer costs a netkitd in memory.

use super::Plan;
use super::idle::{field, status};
use super::strangers::Strangers;
use crate::daemon::Daemon;
use crate::linked::linked;
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::time::Duration;

pub(crate) const ROW: &str = "links";
/// What a peer may cost, in KiB.
const LIMIT: f64 = 40.0;
/// Linked before it is measured: what the first ones cost once is not theirs.
const FIRST: usize = 20;
/// Until the links are idle: what their beginnings took is given back.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let peers = if plan.quick { 100 } else { 1000 };
    let values = interleave(plan.rounds(1, 3), &mut [Subject::new("netkitd", || round(peers))])?;
    let [[each, all]] = values.as_slice() else { unreachable!("values for one subject") };
    Ok(vec![
        Line::new(ROW, "netkitd", "for each peer", "KiB", each)
            .at_most(LIMIT)
            .note(format!("{peers} idle links")),
        Line::new(ROW, "netkitd", "VmRSS with all", "MiB", all),
    ])
}

/// KiB for each of so many linked peers, and MiB in all.
fn round(peers: usize) -> Result<[f64; 2]> {
    let daemon = Daemon::named("bench")?;
    let mut control = daemon.connect()?;
    let to = control.chat_address()?;
    let mut strangers = Strangers::new()?;
    let mut link = || -> Result<()> {
        let id = strangers.link(to).with_context(|| daemon.last_words())?;
        // Of strangers only some may come.
        control.call("peers.trust", &json!({ "peer": id }))?;
        Ok(())
    };
    (0..FIRST).try_for_each(|_| link())?;
    let before = resident(&daemon)?;
    (0..peers).try_for_each(|_| link())?;
    std::thread::sleep(SETTLE);
    let after = resident(&daemon)?;
    let links = linked(&mut control)?;
    ensure!(links == (FIRST + peers) as u64, "{links} links of {}", FIRST + peers);
    daemon.stop()?;
    Ok([(after - before) / peers as f64, after / 1024.0])
}

/// Resident memory in KiB.
fn resident(daemon: &Daemon) -> Result<f64> {
    field(&status(daemon)?, "VmRSS:")
}
