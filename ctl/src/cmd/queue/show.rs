//! `netkitctl queue show ID`: all that is known of a download, in aligned lines or as its JSON object.

use crate::cmd::downloads::{progress, reason};
use crate::context::Context;
use crate::exit::Outcome;
use crate::format::show_bytes;
use crate::output::{Out, escape_line};
use crate::rate::show_rate;
use crate::time::{self, show_time};
use jiff::Zoned;
use netkit_proto::rpc::call::{Call, Download, DownloadState, DownloadsShow};
use netkit_proto::time::Timestamp;

/// Asks and prints.
pub(super) fn run(context: &Context, id: u64) -> Outcome {
    let mut client = context.connect()?;
    let mut out = Out::stdout();
    let request = DownloadsShow { id };
    if context.json {
        let answer = client.call_raw(DownloadsShow::METHOD, &request)?;
        out.json(answer.get())?;
    } else {
        for (name, value) in rows(&client.call(&request)?, &time::now()) {
            out.line(&format!("{name:<9} {}", escape_line(&value)))?;
        }
    }
    out.flush()
}

fn rows(download: &Download, now: &Zoned) -> Vec<(&'static str, String)> {
    let at = Timestamp(now.timestamp().as_millisecond());
    let mut rows = vec![
        ("id", download.id.to_string()),
        ("source", download.source.clone()),
        ("path", download.path.clone()),
        ("state", download.state.to_string()),
        ("size", download.size.map_or_else(|| "not known".to_owned(), show_bytes)),
    ];
    if download.state != DownloadState::Done {
        rows.push(("there", progress(download)));
    }
    if download.state == DownloadState::Active {
        rows.push(("rate", show_rate(download.rate)));
    }
    if download.limit > 0 {
        rows.push(("limit", show_rate(download.limit)));
    }
    if let Some(checksum) = &download.checksum {
        let verified = match (download.verified, download.state) {
            (true, _) => " (verified)",
            (false, DownloadState::Failed) => "",
            (false, _) => " (not checked yet)",
        };
        rows.push(("checksum", format!("{checksum}{verified}")));
    } else if download.state == DownloadState::Done {
        rows.push(("checksum", "none was given: the content is not verified".to_owned()));
    }
    rows.extend(download.blake3.clone().map(|blake3| ("blake3", blake3)));
    if let Some(error) = &download.error {
        rows.push(("error", error.message.clone()));
        rows.extend(error.hint.clone().map(|hint| ("hint", hint)));
    }
    if download.attempts > 0 {
        rows.push(("attempts", format!("{} that brought nothing", download.attempts)));
    }
    if let Some(retry_at) = download.retry_at.filter(|_| download.state == DownloadState::RetryWait) {
        let wait = reason(&Download { error: None, ..download.clone() }, at);
        rows.push(("next try", format!("{} ({wait})", show_time(retry_at, now))));
    }
    rows.push(("added", show_time(download.added, now)));
    rows.push(("changed", show_time(download.changed, now)));
    rows
}
