//! What `get` and `queue` share: how a download is shown (`facts`, `bars`), and waiting until downloads have ended
//! (`vigil`, which keeps their `fates`). No verb of its own.

mod bars;
mod facts;
mod fates;
mod parting;
#[cfg(test)]
mod tests;
mod vigil;

pub(crate) use bars::Bars;
pub(crate) use facts::{progress, reason, speed, time_left};
pub(crate) use vigil::{TICK, Terms, Vigil};

use super::delivery::topics;
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::incoming::CallError;
use crate::listener::Listener;
use crate::time;
use crate::wait::Signals;
use netkit_proto::rpc::call::{Download, DownloadList, DownloadState, DownloadsList};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::collections::BTreeSet;

/// The states of a download that has not ended.
pub(crate) fn unfinished() -> Vec<DownloadState> {
    DownloadState::ALL.into_iter().filter(|state| !state.is_ended()).collect()
}

/// All downloads in these states (none: in any), page by page as `ask` gets them.
pub(crate) fn all<E: From<CallError>>(
    states: &[DownloadState],
    mut ask: impl FnMut(&DownloadsList) -> Result<DownloadList, E>,
) -> Result<Vec<Download>, E> {
    let (mut found, mut seen, mut skip) = (Vec::new(), BTreeSet::new(), 0);
    loop {
        let page = ask(&DownloadsList { states: states.to_vec(), skip })?;
        skip += page.downloads.len() as u64;
        let more = page.more && !page.downloads.is_empty();
        // The queue may move between two pages, and show one download on both.
        found.extend(page.downloads.into_iter().filter(|download| seen.insert(download.id)));
        if !more {
            return Ok(found);
        }
    }
}

/// Listens to what happens to downloads, from now on, until a signal comes.
pub(crate) fn listen(context: &Context, signals: &Signals) -> Outcome<Listener> {
    let topics = topics(&["download"]);
    let listener = Listener::lasting(context.socket.clone(), topics, signals.fd_to_keep()?);
    listener.map_err(|e| signals.caught().map_or(e, Failure::silent))
}

/// The present time.
pub(crate) fn now() -> Timestamp {
    Timestamp(time::now().timestamp().as_millisecond())
}

/// Which download this happened to.
pub(crate) fn download_of(event: &Event) -> Option<u64> {
    match event {
        Event::DownloadQueued { download, .. }
        | Event::DownloadActive { download, .. }
        | Event::DownloadRestarted { download, .. }
        | Event::DownloadPaused { download }
        | Event::DownloadRetryWait { download, .. }
        | Event::DownloadVerifying { download }
        | Event::DownloadDone { download, .. }
        | Event::DownloadFailed { download, .. }
        | Event::DownloadCancelled { download }
        | Event::DownloadRemoved { download } => Some(*download),
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
        | Event::Other => None,
    }
}
