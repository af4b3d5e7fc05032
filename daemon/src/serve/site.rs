//! What the tasks of the file port share: what is in force, what is shared, counters, and the bounds.

use super::hashing::Hashings;
use super::permits::{Permits, Silent};
use super::tls::Tls;
use super::unreadable::Told;
use crate::config::Config;
use crate::files::{Buffers, Shares};
use crate::hub::content::{ContentReport, Sought};
use crate::hub::handle::FileCounters;
use crate::hub::trust::TrustView;
use crate::identity::Identity;
use crate::limits;
use crate::store::Reader;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What the file port works with.
#[derive(Debug)]
pub struct Ends {
    /// What is in force at present.
    pub config: watch::Receiver<Arc<Config>>,
    /// What is shared at present.
    pub shares: watch::Receiver<Arc<Shares>>,
    /// Who may see it.
    pub trust: watch::Receiver<Arc<TrustView>>,
    /// Who we are.
    pub identity: Arc<Identity>,
    /// For what is known of files.
    pub reader: Reader,
    /// Where it is told what becomes known of them.
    pub content: mpsc::Sender<ContentReport>,
    /// What peers seek.
    pub sought: mpsc::Receiver<Sought>,
    /// What it counts.
    pub counters: Arc<FileCounters>,
}

/// What connections work with.
#[derive(Debug)]
pub(super) struct Site {
    config: watch::Receiver<Arc<Config>>,
    shares: watch::Receiver<Arc<Shares>>,
    trust: watch::Receiver<Arc<TrustView>>,
    pub tls: Tls,
    pub reader: Reader,
    pub content: mpsc::Sender<ContentReport>,
    pub hashings: Arc<Hashings>,
    pub counters: Arc<FileCounters>,
    pub buffers: Arc<Buffers>,
    pub unreadable: Arc<Told>,
    pub archives: Arc<Permits>,
    pub listings: Arc<Permits>,
    pub manifests: Arc<Permits>,
    pub silent: Arc<Silent>,
    pub permits: Arc<Permits>,
}

impl Site {
    /// With what peers seek, for who answers that.
    pub(super) fn new(ends: Ends) -> Result<(Site, mpsc::Receiver<Sought>), rustls::Error> {
        // A client that is served takes two: its connection and its file.
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let descriptors =
            usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(limits::OTHER_DESCRIPTORS);
        let site = Site {
            config: ends.config,
            shares: ends.shares,
            trust: ends.trust,
            tls: Tls::new(&ends.identity)?,
            reader: ends.reader,
            content: ends.content,
            hashings: Arc::default(),
            counters: ends.counters,
            buffers: Arc::default(),
            unreadable: Arc::default(),
            archives: Arc::new(Permits::new(limits::ARCHIVES)),
            listings: Arc::new(Permits::new(limits::LISTINGS)),
            manifests: Arc::new(Permits::new(limits::MANIFESTS)),
            silent: Arc::new(Silent::new(limits::SILENT.min(descriptors / 4))),
            permits: Arc::new(Permits::new(limits::SERVING.min(descriptors / 4))),
        };
        Ok((site, ends.sought))
    }

    /// What is in force now.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// What is shared now.
    pub(super) fn shares(&self) -> Arc<Shares> {
        Arc::clone(&self.shares.borrow())
    }

    /// Who may see it now.
    pub(super) fn trust(&self) -> Arc<TrustView> {
        Arc::clone(&self.trust.borrow())
    }

    /// Tells of what may change what somebody may see, from now on.
    pub(super) fn changes(&self) -> (watch::Receiver<Arc<TrustView>>, watch::Receiver<Arc<Shares>>) {
        let (mut trust, mut shares) = (self.trust.clone(), self.shares.clone());
        trust.mark_unchanged();
        shares.mark_unchanged();
        (trust, shares)
    }
}
