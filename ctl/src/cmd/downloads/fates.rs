//! What is known of downloads that are waited for, and what there is to tell when that changes. Plain state: asks,
//! prints and waits for nothing; `vigil` does.

use super::facts::{label, waits};
use netkit_proto::rpc::call::{Download, DownloadState, Failure as Why};
use netkit_proto::rpc::code::Kind;
use netkit_proto::rpc::event::{Event, Record};
use netkit_proto::time::Timestamp;
use std::collections::BTreeMap;

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// A file is complete. As far as is known: netkitd may know more.
    Done(Box<Download>),
    /// It failed for good.
    Failed { id: u64, label: String, why: Why },
    /// Somebody ended it: what was done to it, and what may help.
    Ended { what: String, hint: Option<String> },
    /// It goes on, but the one who waits should know.
    Note { what: String, hint: Option<String> },
    /// It waits for another try, for a reason that was not told before, or far longer than was told.
    Waits(String),
}

/// How many times as long as the last that was told a pause must be to be told, too.
const FAR_LONGER: i64 = 4;

/// One download that has not ended.
#[derive(Debug, Default)]
struct Fate {
    known: Option<Download>,
    /// That it is paused was told.
    paused: bool,
    /// Why it waits for another try, as it was told last, and for how many milliseconds.
    waits: Option<(String, i64)>,
}

/// Downloads that are waited for.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    pending: BTreeMap<u64, Fate>,
}

impl Fates {
    /// Waits for this one too.
    pub(crate) fn add(&mut self, id: u64) {
        self.pending.entry(id).or_default();
    }

    /// Those that have not ended.
    pub(crate) fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.keys().copied()
    }

    /// Whether all have ended.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether it has not ended.
    #[must_use]
    pub(crate) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// Whether anything was ever known of a pending one.
    #[must_use]
    pub(crate) fn knows(&self, id: u64) -> bool {
        self.pending.get(&id).is_some_and(|fate| fate.known.is_some())
    }

    /// What is known of those that have not ended, the liveliest first.
    #[must_use]
    pub(crate) fn liveliest(&self) -> Vec<&Download> {
        let mut known: Vec<&Download> =
            self.pending.values().filter_map(|fate| fate.known.as_ref()).collect();
        known.sort_by_key(|download| (liveliness(download.state), download.id));
        known
    }

    /// Takes note of what netkitd answered.
    pub(crate) fn on_answer(&mut self, download: Download, now: Timestamp) -> Option<News> {
        let id = download.id;
        let fate = self.pending.get_mut(&id)?;
        // After a restored backup the number may have been given to another one.
        if fate.known.as_ref().is_some_and(|known| known.added != download.added) {
            return self.on_absence(id);
        }
        let label = label(id, Some(&download));
        let (state, error, retry_at) = (download.state, download.error.clone(), download.retry_at);
        fate.known = Some(download);
        match state {
            DownloadState::Done => {
                self.pending.remove(&id)?.known.map(|download| News::Done(Box::new(download)))
            }
            DownloadState::Failed => {
                self.pending.remove(&id);
                let unknown =
                    Why { kind: Kind::Other, message: "why it failed is not known".into(), hint: None };
                Some(News::Failed { id, label, why: error.unwrap_or(unknown) })
            }
            DownloadState::Cancelled => self.on_cancelled(id),
            DownloadState::Paused => fate.pause(id),
            DownloadState::RetryWait => error.and_then(|error| fate.wait(id, &error, retry_at, now)),
            DownloadState::Queued | DownloadState::Active | DownloadState::Verifying => {
                fate.paused = false;
                None
            }
        }
    }

    /// Takes note of something that happened.
    pub(crate) fn on_event(&mut self, record: &Record, now: Timestamp) -> Option<News> {
        match &record.event {
            Event::DownloadQueued { download, .. } => self.on_state(*download, DownloadState::Queued),
            Event::DownloadActive { download, .. } => self.on_state(*download, DownloadState::Active),
            Event::DownloadVerifying { download } => self.on_state(*download, DownloadState::Verifying),
            Event::DownloadRestarted { download, reason, .. } => {
                let known = self.pending.get(download)?.known.as_ref();
                let what = format!("{} starts over: {reason}", label(*download, known));
                return Some(News::Note { what, hint: None });
            }
            Event::DownloadPaused { download } => return self.pending.get_mut(download)?.pause(*download),
            Event::DownloadRetryWait { download, error, retry_at } => {
                return self.pending.get_mut(download)?.wait(*download, error, Some(*retry_at), now);
            }
            Event::DownloadDone { download, .. } => {
                let known = self.pending.remove(download)?.known;
                return finished(record, known).map(|download| News::Done(Box::new(download)));
            }
            Event::DownloadFailed { download, error, .. } => {
                let label = label(*download, self.pending.remove(download)?.known.as_ref());
                return Some(News::Failed { id: *download, label, why: error.clone() });
            }
            Event::DownloadCancelled { download } => return self.on_cancelled(*download),
            Event::DownloadRemoved { download } => return self.on_absence(*download),
            Event::Received { .. }
            | Event::Queued { .. }
            | Event::Sent { .. }
            | Event::Delivered { .. }
            | Event::Expired { .. }
            | Event::Refused { .. }
            | Event::PeerNew(_)
            | Event::PeerKnown(_)
            | Event::PeerTrusted(_)
            | Event::PeerBlocked(_)
            | Event::PeerRemoved(_)
            | Event::PeerRefused { .. }
            | Event::Gap { .. }
            | Event::Other => {}
        }
        None
    }

    /// It is not in the queue any more, and what became of it was not told.
    pub(crate) fn on_absence(&mut self, id: u64) -> Option<News> {
        let what = format!("{} was removed", label(id, self.pending.remove(&id)?.known.as_ref()));
        Some(News::Ended { what, hint: None })
    }

    /// Waits for it no longer; whether it was waited for.
    pub(crate) fn forget(&mut self, id: u64) -> bool {
        self.pending.remove(&id).is_some()
    }

    fn on_state(&mut self, id: u64, state: DownloadState) {
        if let Some(fate) = self.pending.get_mut(&id) {
            fate.paused = false;
            fate.known.iter_mut().for_each(|known| known.state = state);
        }
    }

    fn on_cancelled(&mut self, id: u64) -> Option<News> {
        let what = format!("{} was cancelled", label(id, self.pending.remove(&id)?.known.as_ref()));
        Some(News::Ended { what, hint: Some(format!("to fetch it after all: netkitctl queue retry {id}")) })
    }
}

impl Fate {
    fn pause(&mut self, id: u64) -> Option<News> {
        let label = label(id, self.known.as_ref());
        if let Some(known) = &mut self.known {
            known.state = DownloadState::Paused;
        }
        if std::mem::replace(&mut self.paused, true) {
            return None;
        }
        let what = format!("{label} is paused: waiting until somebody resumes it");
        Some(News::Note { what, hint: Some(format!("netkitctl queue resume {id}")) })
    }

    /// Told when the reason changes, or the pause has become far longer, not for every try.
    fn wait(&mut self, id: u64, error: &Why, retry_at: Option<Timestamp>, now: Timestamp) -> Option<News> {
        let label = label(id, self.known.as_ref());
        self.paused = false;
        if let Some(known) = &mut self.known {
            (known.state, known.error, known.retry_at) =
                (DownloadState::RetryWait, Some(error.clone()), retry_at);
        }
        let pause = retry_at.map_or(0, |at| at.0.saturating_sub(now.0));
        let is_told =
            |(why, told): &(String, i64)| *why == error.message && pause < told.saturating_mul(FAR_LONGER);
        if self.waits.as_ref().is_some_and(is_told) {
            return None;
        }
        self.waits = Some((error.message.clone(), pause.max(1000)));
        let waits = waits(retry_at, Some(&error.message), now);
        Some(News::Waits(format!("{label} waits ({waits})")))
    }
}

fn liveliness(state: DownloadState) -> u8 {
    match state {
        DownloadState::Active => 0,
        DownloadState::Verifying => 1,
        DownloadState::RetryWait => 2,
        DownloadState::Queued => 3,
        DownloadState::Paused => 4,
        DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled => 5,
    }
}

/// The download as the event that it is done leaves it, should netkitd not know it any more.
fn finished(record: &Record, known: Option<Download>) -> Option<Download> {
    let Event::DownloadDone { download, source, path, bytes, verified, blake3 } = &record.event else {
        return None;
    };
    let (limit, attempts) = known.as_ref().map_or((0, 0), |known| (known.limit, known.attempts));
    let sources = known.as_ref().map_or(Vec::new(), |known| known.sources.clone());
    let added = known.as_ref().map_or(record.at, |known| known.added);
    Some(Download {
        id: *download,
        source: source.clone(),
        state: DownloadState::Done,
        path: path.clone(),
        size: Some(*bytes),
        bytes: *bytes,
        rate: 0,
        limit,
        checksum: known.and_then(|known| known.checksum),
        verified: *verified,
        blake3: Some(blake3.clone()),
        sources,
        error: None,
        attempts,
        retry_at: None,
        added,
        changed: record.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp(0);

    fn happens(fates: &mut Fates, kind: &str, members: Value) -> Option<News> {
        let mut event = json!({ "seq": 1, "at": "1970-01-01T00:00:00Z", "download": 7 });
        event["kind"] = json!(format!("download.{kind}"));
        members.as_object().unwrap().iter().for_each(|(name, value)| event[name] = value.clone());
        fates.on_event(&serde_json::from_value(event).unwrap(), NOW)
    }

    #[test]
    fn the_same_is_told_once() {
        let mut fates = Fates::default();
        fates.add(7);
        let waits_until = |fates: &mut Fates, why: &str, at: &str| {
            let error = json!({ "kind": "network", "message": why });
            let members = json!({ "error": error, "retry_at": at });
            match happens(fates, "retry_wait", members) {
                Some(News::Waits(what)) => what,
                other => format!("{other:?}"),
            }
        };
        let waits = |fates: &mut Fates, why: &str| waits_until(fates, why, "1970-01-01T00:00:04.2Z");
        assert_eq!(waits(&mut fates, "no route"), "download 7 waits (retry in 5 s: no route)");
        happens(&mut fates, "active", json!({ "bytes": 0 }));
        assert_eq!(waits(&mut fates, "no route"), "None");
        assert_eq!(waits(&mut fates, "refused"), "download 7 waits (retry in 5 s: refused)");
        assert_eq!(waits_until(&mut fates, "refused", "1970-01-01T00:00:16Z"), "None");
        let longer = waits_until(&mut fates, "refused", "1970-01-01T00:00:17Z");
        assert_eq!(
            longer, "download 7 waits (retry in 17 s: refused)",
            "whoever waits knows that it takes longer"
        );
        assert_eq!(waits_until(&mut fates, "refused", "1970-01-01T00:00:34Z"), "None");
        for is_told in [true, false] {
            assert_eq!(happens(&mut fates, "paused", json!({})).is_some(), is_told);
        }
        happens(&mut fates, "queued", json!({ "source": "s", "path": "/p" }));
        assert!(happens(&mut fates, "paused", json!({})).is_some(), "again, but it went on in between");
        assert!(happens(&mut fates, "restarted", json!({ "lost": 1, "reason": "r" })).is_some());
        assert!(matches!(happens(&mut fates, "cancelled", json!({})), Some(News::Ended { .. })));
        assert!(fates.is_empty());
        assert_eq!(happens(&mut fates, "removed", json!({})), None, "it had ended");
    }
}
