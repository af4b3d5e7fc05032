//! Row `sources`: one large file from three netkitd on links of 100 Mbit/s each, beside another one that only one of them
//! has. The hosts are network namespaces.

use super::Plan;
use super::arrival::Fetcher;
use super::servers::{Content, shared_by};
use crate::daemon::Daemon;
use crate::lab::{Lan, Space, address, missing};
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::Result;

pub(crate) const ROW: &str = "sources";
/// The rate from three peers in multiples of that from one.
const ASKED: f64 = 2.8;
const PEERS: [(u8, &str); 3] = [(2, "bob"), (3, "carol"), (4, "dave")];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    if let Some(why) = missing(&["tc"]) {
        return Ok(vec![Line::not_measured(ROW, "netkitctl", &why)]);
    }
    let content = Content::new(if plan.quick { 24 << 20 } else { 256 << 20 })?;
    content.add("g", b'g')?;
    let lan = Lan::new()?;
    let host = lan.host(1)?;
    let fetcher = Fetcher::within(&host, &address(1))?;
    let peers: Vec<(Space, Daemon)> = PEERS
        .iter()
        .map(|&(n, name)| {
            let host = lan.host(n)?;
            let daemon = Daemon::within(&host, &address(n), name, &shared_by(&content))?;
            fetcher.link(&daemon)?;
            Ok((host, daemon))
        })
        .collect::<Result<_>>()?;
    // Whoever was asked for a file once knows its hash, and is found by it: all have `f`, bob alone `g`.
    for source in ["bob:b/f", "carol:b/f", "dave:b/f", "bob:b/g"] {
        fetcher.get(source, content.size)?;
    }
    peers.iter().try_for_each(|(host, _)| host.limit("100mbit"))?;
    let values = interleave(
        plan.rounds(1, 5),
        &mut [
            Subject::new("three", || fetcher.get("bob:b/f", content.size)),
            Subject::new("one", || fetcher.get("bob:b/g", content.size)),
        ],
    )?;
    fetcher.stop()?;
    peers.into_iter().try_for_each(|(_, daemon)| daemon.stop())?;

    let [[three], [one]] = values.as_slice() else { unreachable!("a value for each subject") };
    let what = format!("{} MiB, links of 100 Mbit/s", content.size >> 20);
    Ok(vec![
        Line::new(ROW, "from three peers", "rate", "GB/s", three).note(what),
        Line::new(ROW, "from one", "rate", "GB/s", one),
        Line::ratio(ROW, "rate", ("from three peers", three), ("from one", one)).at_least(ASKED),
    ])
}
