//! Row `get`: one large file over http from nginx to the disk, the page cache warm: by `netkitctl get --wait`, which
//! ends when it is synced, and by curl with a sync behind it; by curl without one, to show what the sync costs.

use super::Plan;
use super::arrival::{CURL, Fetcher};
use super::servers::{Content, nginx};
use crate::measure::{Subject, interleave_after};
use crate::process::in_path;
use crate::report::Line;
use anyhow::Result;

pub(crate) const ROW: &str = "get";
/// Of the synced rates, netkitctl's in multiples of curl's.
const ASKED: f64 = 1.5;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    if in_path("curl").is_none() {
        return Ok(vec![Line::not_installed(ROW, "curl")]);
    }
    let content = Content::new(if plan.quick { 64 << 20 } else { 1 << 30 })?;
    let Some((_nginx, address)) = nginx(&content)? else {
        return Ok(vec![Line::not_installed(ROW, "nginx")]);
    };
    let url = format!("http://{address}/b/f");
    let fetcher = Fetcher::start()?;
    let mut subjects = vec![Subject::new("netkitctl", || fetcher.get(&url, content.size))];
    for (name, script) in CURL {
        let (fetcher, url) = (&fetcher, &url);
        subjects.push(Subject::new(name, move || fetcher.curl(script, url, content.size)));
    }
    let values = interleave_after(|| content.warm(), plan.rounds(2, 9), &mut subjects)?;
    drop(subjects);
    fetcher.stop()?;

    let [[netkitctl], [synced], [unsynced]] = values.as_slice() else {
        unreachable!("a value for each subject")
    };
    let what = format!("{} MiB from nginx to the disk, synced", content.size >> 20);
    let [of_synced, of_unsynced] = CURL.map(|(name, _)| name);
    Ok(vec![
        Line::new(ROW, "netkitctl", "rate", "GB/s", netkitctl).note(what),
        Line::new(ROW, of_synced, "rate", "GB/s", synced),
        Line::new(ROW, of_unsynced, "rate", "GB/s", unsynced),
        Line::ratio(ROW, "rate", ("netkitctl", netkitctl), (of_synced, synced)).at_least(ASKED),
        Line::ratio(ROW, "rate", ("netkitctl", netkitctl), (of_unsynced, unsynced)),
    ])
}
