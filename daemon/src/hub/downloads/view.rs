//! How the download queue is shown: one download, pages of them, counts.

use super::{Downloads, Entry, not_found, shown_path};
use crate::limits;
use netkit_proto::rpc::call::{Download, DownloadList, DownloadSource, DownloadState};
use netkit_proto::rpc::code::Error;
use std::fmt::Write as _;

/// How many downloads there are of which sort, and how fast they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadCounts {
    /// Bytes come for them, or they are checked.
    pub active: u64,
    /// They wait for their turn or another try.
    pub waiting: u64,
    /// Paused.
    pub paused: u64,
    /// Given up.
    pub failed: u64,
    /// Bytes a second.
    pub rate: u64,
    /// The most bytes a second for all together; 0 = no limit.
    pub limit: u64,
}

/// A download as it is now.
pub(super) fn of(entry: &Entry) -> Download {
    let row = &entry.row;
    let is_waiting = row.state == DownloadState::RetryWait;
    Download {
        id: row.id,
        source: row.source.clone(),
        state: row.state,
        path: shown_path(row),
        size: row.size,
        bytes: row.bytes,
        rate: entry.rate,
        limit: row.limit,
        checksum: row.checksum.as_ref().and_then(|text| text.parse().ok()),
        verified: row.verified,
        blake3: row.blake3.as_ref().map(|hash| {
            hash.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}"); // writing to a String can't fail
                hex
            })
        }),
        sources: row.sources.clone(),
        error: row.error.clone(),
        attempts: row.attempts,
        retry_at: row.retry_at.filter(|_| is_waiting),
        added: row.added,
        changed: row.changed,
    }
}

impl Downloads {
    /// One download.
    ///
    /// # Errors
    /// Where there is none of this id.
    pub(in crate::hub) fn show(&self, id: u64) -> Result<Download, Error> {
        self.entries.get(&id).map(of).ok_or_else(|| not_found(id, self.last_id))
    }

    /// A page of the queue: what is to come in its order, then what has ended.
    pub(in crate::hub) fn list(&self, states: &[DownloadState], skip: u64) -> DownloadList {
        let is_wanted = |entry: &&Entry| states.is_empty() || states.contains(&entry.row.state);
        let mut wanted: Vec<&Entry> = self.entries.values().filter(is_wanted).collect();
        let order = |entry: &&Entry| {
            let ended = entry.row.state.is_ended();
            (ended, if ended { 0 } else { entry.row.position }, entry.row.id)
        };
        wanted.sort_by_key(order);
        let mut left = wanted.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).peekable();
        let (mut downloads, mut bytes) = (Vec::new(), 0);
        while bytes < limits::DOWNLOADS_PAGE
            && let Some(entry) = left.next()
        {
            let download = of(entry);
            let error = download.error.as_ref().map_or(0, |error| error.message.len());
            // What is escaped in JSON is not counted: with all of it a page still fits a line.
            let of_source = |source: &DownloadSource| {
                130 + source.name.len() + source.trouble.as_ref().map_or(0, String::len)
            };
            let sources: usize = download.sources.iter().map(of_source).sum();
            bytes += 600 + download.source.len() + download.path.len() + error + sources;
            downloads.push(download);
        }
        DownloadList { downloads, more: left.peek().is_some(), limit: *self.limit_in_force.borrow() }
    }

    /// See [`DownloadCounts`].
    pub(in crate::hub) fn counts(&self) -> DownloadCounts {
        let count = |states: &[DownloadState]| states.iter().filter_map(|state| self.counts.get(state)).sum();
        let rate = |id| self.entries.get(id).map_or(0, |entry| entry.rate);
        DownloadCounts {
            active: count(&[DownloadState::Active, DownloadState::Verifying]),
            waiting: count(&[DownloadState::Queued, DownloadState::RetryWait]),
            paused: count(&[DownloadState::Paused]),
            failed: count(&[DownloadState::Failed]),
            rate: self.running.iter().map(rate).sum(),
            limit: *self.limit_in_force.borrow(),
        }
    }
}
