//! `downloads.*`: the download queue.

use crate::files::checksum::Checksum;
use crate::ids::PeerId;
use crate::name::Key;
use crate::rpc::code::Kind;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a download stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DownloadState {
    /// Waits for its turn.
    Queued,
    /// Bytes are coming, or the source is being asked.
    Active,
    /// Waits until somebody resumes it.
    Paused,
    /// Failed in a way that may pass; is tried again at `retry_at`.
    RetryWait,
    /// All bytes are there; they are checked, synced and given their name.
    Verifying,
    /// The file is complete under its name.
    Done,
    /// Given up; what came of it is kept for a retry.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl DownloadState {
    /// All of them.
    pub const ALL: [DownloadState; 8] = [
        DownloadState::Queued,
        DownloadState::Active,
        DownloadState::Paused,
        DownloadState::RetryWait,
        DownloadState::Verifying,
        DownloadState::Done,
        DownloadState::Failed,
        DownloadState::Cancelled,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DownloadState::Queued => "queued",
            DownloadState::Active => "active",
            DownloadState::Paused => "paused",
            DownloadState::RetryWait => "retry_wait",
            DownloadState::Verifying => "verifying",
            DownloadState::Done => "done",
            DownloadState::Failed => "failed",
            DownloadState::Cancelled => "cancelled",
        }
    }

    /// Whether nothing happens any more by itself.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled)
    }
}

impl fmt::Display for DownloadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a download goes in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In front of all others.
    First,
    /// Behind all others.
    Last,
    /// In front of this one.
    Before(u64),
    /// Behind this one.
    After(u64),
}

super::plain_data! {
    /// Why a download failed.
    #[derive(Eq)]
    Failure {
        /// The stable word.
        kind: Kind,
        /// What was tried on what.
        message: String,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    }

    /// Who bytes of a download came from.
    #[derive(Eq)]
    DownloadSource {
        /// What it is called: a peer, or a host.
        name: String,
        /// Which peer it is, whatever it is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PeerId>,
        /// Bytes that came from it and were right.
        bytes: u64,
        /// Why it is asked no more, or that others took over what it had still to send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    }

    /// A download.
    Download {
        /// Its id, never given to another.
        id: u64,
        /// Where it comes from, as it was asked for.
        source: String,
        /// How it stands.
        state: DownloadState,
        /// Where the file is; while `state` is not `done`, where it is meant to go.
        path: String,
        /// The file's size in bytes, where the source told it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Bytes that are there.
        bytes: u64,
        /// Bytes a second at present.
        rate: u64,
        /// The most bytes a second; 0 = no limit of its own.
        limit: u64,
        /// What the content must hash to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checksum: Option<Checksum>,
        /// Whether the content was checked: against `checksum`, or block by block against what its peer says that it
        /// has.
        verified: bool,
        /// What `b3sum` prints for the file, once it is complete; of a directory the hash of what `b3sum` prints for its
        /// files in the byte order of their paths.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blake3: Option<String>,
        /// Who its bytes came from, where that was a peer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<DownloadSource>,
        /// Why it failed, or why the last try did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
        /// Tries since it was added, resumed or retried that brought nothing.
        attempts: u32,
        /// When it is tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// When it was added.
        added: Timestamp,
        /// When its state was changed last.
        changed: Timestamp,
    }

    /// Parameters of `downloads.add`.
    #[serde(deny_unknown_fields)]
    DownloadsAdd {
        /// `http(s)://…`, `tcp://HOST:PORT/NAME` or `PEER:SHARE/path`; of a directory `PEER:SHARE/path/`, of files in one
        /// whose names match `PEER:SHARE/path/*.iso`.
        source: String,
        /// Where the file goes: a path beneath `downloads.dir`, or an absolute one beneath that or an entry of
        /// `downloads.allow`; one that ends with a slash is a directory. Default: `downloads.dir`, under the last
        /// segment of the source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// What the content must hash to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checksum: Option<Checksum>,
        /// The most bytes a second; 0 = no limit of its own.
        #[serde(default, skip_serializing_if = "is_zero")]
        limit: u64,
        /// Whether a file that has the name already is replaced.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
        /// Adding again with the same key and parameters adds nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    }

    /// Answer of `downloads.add`: the download is on disk.
    DownloadAdded {
        /// Its id.
        id: u64,
        /// It was added before, under the same key.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        repeated: bool,
    }

    /// Parameters of `downloads.list`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    DownloadsList {
        /// Only those in one of these states; empty: all.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        states: Vec<DownloadState>,
        /// How many to leave out from the front.
        #[serde(skip_serializing_if = "is_zero")]
        skip: u64,
    }

    /// Answer of `downloads.list`.
    DownloadList {
        /// In the order in which they come to their turn, the ended ones behind them.
        downloads: Vec<Download>,
        /// There are more, behind these.
        more: bool,
        /// The most bytes a second for all together; 0 = no limit.
        limit: u64,
    }

    /// Parameters of `downloads.show`.
    #[serde(deny_unknown_fields)]
    DownloadsShow {
        /// Which download.
        id: u64,
    }

    /// Parameters of `downloads.pause`.
    #[serde(deny_unknown_fields)]
    DownloadsPause {
        /// Which download.
        id: u64,
    }

    /// Parameters of `downloads.resume`.
    #[serde(deny_unknown_fields)]
    DownloadsResume {
        /// Which download.
        id: u64,
    }

    /// Parameters of `downloads.retry`.
    #[serde(deny_unknown_fields)]
    DownloadsRetry {
        /// Which download.
        id: u64,
    }

    /// Parameters of `downloads.cancel`.
    #[serde(deny_unknown_fields)]
    DownloadsCancel {
        /// Which download.
        id: u64,
    }

    /// Parameters of `downloads.remove`.
    #[serde(deny_unknown_fields)]
    DownloadsRemove {
        /// Which download.
        id: u64,
    }

    /// Parameters of `downloads.move`.
    #[serde(deny_unknown_fields)]
    DownloadsMove {
        /// Which download.
        id: u64,
        /// Where to.
        to: Place,
    }

    /// Parameters of `downloads.limit`.
    #[serde(deny_unknown_fields)]
    DownloadsLimit {
        /// Which download; missing: all together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The most bytes a second; 0 = no limit. Missing, for all together: what the configuration says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
