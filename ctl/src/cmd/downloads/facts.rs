//! A download in words for people: its name, how far it is, why it failed. Escapes nothing: whoever prints does.

use crate::format::show_bytes;
use crate::rate::show_rate;
use crate::time::show_duration;
use netkit_proto::rpc::call::{Download, DownloadState};
use netkit_proto::time::Timestamp;
use std::time::Duration;

/// The last segment of where the file goes.
#[must_use]
pub(crate) fn name(download: &Download) -> &str {
    let last = download.path.rsplit('/').next().unwrap_or_default();
    if last.is_empty() { &download.source } else { last }
}

/// `download 7 (debian.iso)`, or without its name where that is not known.
#[must_use]
pub(crate) fn label(id: u64, known: Option<&Download>) -> String {
    known.map_or_else(|| format!("download {id}"), |download| format!("download {id} ({})", name(download)))
}

/// `37 % of 1.0 GiB`, or the bytes alone where the size is not known or all are there.
#[must_use]
pub(crate) fn progress(download: &Download) -> String {
    match download.size {
        Some(size) if download.bytes < size => {
            format!("{} % of {}", percent(download.bytes, size), show_bytes(size))
        }
        _ => show_bytes(download.bytes),
    }
}

fn percent(bytes: u64, size: u64) -> u128 {
    u128::from(bytes) * 100 / u128::from(size.max(1))
}

/// The rate, where bytes are coming.
#[must_use]
pub(crate) fn speed(download: &Download) -> String {
    if download.state == DownloadState::Active { show_rate(download.rate) } else { String::new() }
}

/// Why it failed, or why it waits: empty where there is nothing to tell.
#[must_use]
pub(crate) fn reason(download: &Download, now: Timestamp) -> String {
    let why = download.error.as_ref().map(|error| error.message.as_str());
    match (download.state, why) {
        (DownloadState::RetryWait, why) => waits(download.retry_at, why, now),
        (DownloadState::Failed, Some(why)) => why.to_owned(),
        _ => String::new(),
    }
}

/// `retry in 5 s: connection refused`.
#[must_use]
pub(crate) fn waits(retry_at: Option<Timestamp>, why: Option<&str>, now: Timestamp) -> String {
    let left = time_left(retry_at.unwrap_or(now), now);
    why.map_or_else(|| format!("retry in {left}"), |why| format!("retry in {left}: {why}"))
}

/// How long it is until then, in whole seconds, rounded up.
#[must_use]
pub(crate) fn time_left(until: Timestamp, now: Timestamp) -> String {
    let left = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0);
    show_duration(Duration::from_secs(left.div_ceil(1000)))
}

/// What stands behind the bar.
#[must_use]
pub(crate) fn behind_bar(download: &Download, now: Timestamp) -> String {
    match download.state {
        DownloadState::Active => match download.size {
            Some(size) => {
                let left = size.saturating_sub(download.bytes).checked_div(download.rate);
                let left = left.map(|s| format!("  {} left", show_duration(Duration::from_secs(s))));
                let (is, of, rate) = (show_bytes(download.bytes), show_bytes(size), show_rate(download.rate));
                format!("{is} / {of}  {rate}{}", left.unwrap_or_default())
            }
            None => format!("{}  {}", show_bytes(download.bytes), show_rate(download.rate)),
        },
        DownloadState::RetryWait => format!("waits ({})", reason(download, now)),
        DownloadState::Paused => format!("paused at {}", progress(download)),
        DownloadState::Failed => format!("failed: {}", reason(download, now)),
        DownloadState::Queued | DownloadState::Verifying | DownloadState::Done | DownloadState::Cancelled => {
            download.state.to_string()
        }
    }
}
