//! `netkitctl queue list`: what is in the queue, as a table, as ids or as JSON. As it goes on it is shown by `watch`.

use super::watch::Watch;
use crate::cmd::downloads::{all, now, progress, reason, speed};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, can_animate, escape_line};
use crate::wait::Signals;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use netkit_proto::rpc::call::{Download, DownloadState};
use netkit_proto::time::Timestamp;

/// What to show.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub(crate) struct Flags {
    /// Only what is in this state; can be given several times
    #[arg(short, long = "state", value_name = "STATE", value_parser = states())]
    states: Vec<DownloadState>,
    /// Only the ids
    #[arg(short, long, conflicts_with = "watch")]
    quiet: bool,
    /// Draw progress until nothing is unfinished, or Ctrl-C; with --json each download again when its state
    /// changes
    #[arg(short, long)]
    watch: bool,
}

impl Flags {
    /// Whether nothing was asked for.
    pub(super) fn is_default(&self) -> bool {
        *self == Flags::default()
    }
}

fn states() -> impl TypedValueParser<Value = DownloadState> {
    PossibleValuesParser::new(DownloadState::ALL.map(DownloadState::as_str)).try_map(|word| {
        DownloadState::ALL.into_iter().find(|state| state.as_str() == word).ok_or("not a state")
    })
}

/// Asks and prints.
pub(super) fn run(context: &Context, flags: Flags) -> Outcome {
    if flags.watch {
        if context.json {
            return Watch::begin(context, Signals::catch()?, flags.states)?.print(Out::stdout());
        }
        if !can_animate() {
            return Err(Failure::new(Exit::Usage, "--watch draws on a terminal, and stderr is none")
                .hint("netkitctl queue --watch --json prints each change; netkitctl queue wait waits"));
        }
        return Watch::begin(context, Signals::catch()?, flags.states)?.draw();
    }
    let mut client = context.connect()?;
    let downloads = all(&flags.states, |page| client.call(page))?;
    let mut out = Out::stdout();
    let now = now();
    for download in &downloads {
        if context.json {
            out.object(download)?;
        } else if flags.quiet {
            out.line(&download.id.to_string())?;
        } else {
            out.line(&row(download, now))?;
        }
    }
    out.flush()
}

fn row(download: &Download, now: Timestamp) -> String {
    let Download { id, state, path, .. } = download;
    let (progress, speed, why) = (progress(download), speed(download), reason(download, now));
    let why = if why.is_empty() { why } else { format!(": {}", escape_line(&why)) };
    format!("{id:>5} {state:<10} {progress:>18} {speed:>12} {}{why}", escape_line(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_row_tells_how_far_it_is_and_why_it_stopped() {
        let download = |changes: Value| -> Download {
            let mut value = json!({ "id": 7, "source": "https://a/x.iso", "state": "active", "path": "/d/x.iso",
                "bytes": 512 << 10, "size": 1 << 20, "rate": 2048, "limit": 0, "verified": false, "attempts": 0,
                "added": "2026-11-23T08:00:00Z", "changed": "2026-11-23T08:00:00Z" });
            for (name, change) in changes.as_object().unwrap() {
                value[name] = change.clone();
            }
            serde_json::from_value(value).unwrap()
        };
        let now = Timestamp::parse("2026-11-23T08:00:00Z").unwrap();
        let error = json!({ "kind": "network", "message": "reset\u{1b}[2J" });
        for (changes, expected) in [
            (json!({}), "    7 active        50 % of 1.0 MiB    2.0 KiB/s /d/x.iso"),
            (json!({ "size": null }), "    7 active              512.0 KiB    2.0 KiB/s /d/x.iso"),
            (
                json!({ "state": "done", "bytes": 1 << 20, "path": "/d/a\u{7}" }),
                "    7 done                  1.0 MiB              /d/a\\u{7}",
            ),
            (
                json!({ "state": "failed", "error": error }),
                "    7 failed        50 % of 1.0 MiB              /d/x.iso: reset\\u{1b}[2J",
            ),
            (
                json!({ "state": "retry_wait", "error": error, "retry_at": "2026-11-23T08:00:04.5Z" }),
                "    7 retry_wait    50 % of 1.0 MiB              /d/x.iso: retry in 5 s: reset\\u{1b}[2J",
            ),
        ] {
            assert_eq!(row(&download(changes), now), expected);
        }
    }
}
