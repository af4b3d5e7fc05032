//! Files by their content: who asks for a hash gets whichever file has it, if it may see one. Answers `GET` and what peers
//! ask on their links. What is known was hashed for a manifest before; nothing is hashed for this.

use super::site::Site;
use crate::files::{OpenFile, Opened, Share};
use crate::hub::content::{ContentReport, Sought, file_key};
use crate::store::Seen;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::path::SafePath;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A file of this content in one of these shares, as it was when it was hashed.
pub(super) async fn find(
    site: &Site,
    shares: Vec<Arc<Share>>,
    hash: BlockHash,
) -> Option<(Arc<Share>, SafePath, OpenFile)> {
    let located = move || -> (Vec<_>, Vec<_>) {
        let located = |share: Arc<Share>| {
            let seen = Seen { prefix: share.prefix()?, dot_files: share.dot_files };
            Some((share, seen))
        };
        shares.into_iter().filter_map(located).unzip()
    };
    let (shares, seen) = tokio::task::spawn_blocking(located).await.ok()?;
    // What may not be seen is not looked at: not even the time that it takes tells whether it is there.
    let holders = site.reader.holders(hash, seen).await;
    let holders =
        holders.inspect_err(|error| tracing::debug!(%error, "what is known of files can't be read"));
    let holders = holders.ok().filter(|holders| !holders.is_empty())?;
    let look = move || {
        holders.into_iter().find_map(|holder| {
            let share = shares.get(holder.within)?;
            let path = SafePath::parse(&holder.path).ok()?;
            match share.open(&path) {
                Ok(Opened::File(file)) if file_key(&file.stamp) == holder.file => {
                    Some((Arc::clone(share), path, file))
                }
                _ => None, // gone, or another one since
            }
        })
    };
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

/// Answers what peers seek, one after the other, as long as the hub asks.
pub(super) async fn answer_peers(site: Arc<Site>, mut sought: mpsc::Receiver<Sought>) {
    while let Some(one) = sought.recv().await {
        let trust = site.trust();
        let shares = site.shares();
        let seen = shares.iter().filter(|share| trust.may_see(Some(one.peer), &share.access));
        let seen = seen.cloned().collect();
        let has = find(&site, seen, one.hash).await.is_some();
        let _ = site.content.send(ContentReport::Has(one, has)).await; // the hub may have ended
    }
}
