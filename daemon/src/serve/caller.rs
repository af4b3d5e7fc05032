//! Who asks on a connection, what may be shown to it now, and whether what it is being sent is still its to have. Trust
//! is looked up for each request and whenever it changes: a peer that is blocked, or whose share is closed to it, is cut off
//! in the middle of an answer.

use super::site::Site;
use crate::files::Share;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::Trust;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Debug)]
pub(super) struct Caller {
    /// Where it is.
    pub from: IpAddr,
    /// Who it proved to be.
    pub peer: Option<PeerId>,
    /// What its last request was for.
    taking: Mutex<Option<Arc<Share>>>,
}

impl Caller {
    pub(super) fn new(from: IpAddr, peer: Option<PeerId>) -> Caller {
        Caller { from, peer, taking: Mutex::default() }
    }

    /// The shares that it may see now.
    pub(super) fn shares(&self, site: &Site) -> Vec<Arc<Share>> {
        let trust = site.trust();
        site.shares().iter().filter(|share| trust.may_see(self.peer, &share.access)).cloned().collect()
    }

    /// The share of this name, if it may see that. It counts as what is taken from then on.
    pub(super) fn share(&self, site: &Site, name: &[u8]) -> Option<Arc<Share>> {
        let shares = site.shares();
        let share = shares.iter().find(|share| share.name.as_bytes() == name)?;
        if !site.trust().may_see(self.peer, &share.access) {
            return None;
        }
        self.takes(share);
        Some(Arc::clone(share))
    }

    /// It is being sent something of this share.
    pub(super) fn takes(&self, share: &Arc<Share>) {
        *self.taking.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(share));
    }

    /// Nothing is said to such a peer.
    pub(super) fn is_blocked(&self, site: &Site) -> bool {
        self.peer.is_some_and(|peer| site.trust().of(peer) == Trust::Blocked)
    }

    /// Whether it may have the rest of what it is being sent. What is sent of a share that is ended goes on.
    pub(super) fn may_go_on(&self, site: &Site) -> bool {
        let taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_open = |taken: Arc<Share>| {
            let shares = site.shares();
            let now = shares.iter().find(|share| share.name == taken.name && share.path == taken.path);
            now.is_none_or(|share| site.trust().may_see(self.peer, &share.access))
        };
        !self.is_blocked(site) && taking.is_none_or(is_open)
    }

    /// Waits until something changes, from the call on, so that it may not have the rest of what it is being sent.
    pub(super) fn cut_off(&self, site: &Site) -> impl Future<Output = ()> {
        let (mut trust, mut shares) = site.changes();
        async move {
            loop {
                tokio::select! {
                    Ok(()) = trust.changed() => {}
                    Ok(()) = shares.changed() => {}
                    else => std::future::pending().await, // netkitd stops: others end the connection
                }
                if !self.may_go_on(site) {
                    return;
                }
            }
        }
    }
}
