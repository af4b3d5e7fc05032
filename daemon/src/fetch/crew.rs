//! Those who work on one transfer: connections to its sources, and who reads the manifest. Says how they end; what
//! that means is the transfer's business.

use super::agenda::Agenda;
use super::connection::{Connection, Speed};
use super::content::SharedManifest;
use super::limit::Limits;
use super::manifest::{self, Expected};
use super::plan::RunId;
use super::source::{Opened, Source};
use super::sources::{SourceId, Sources};
use super::writer::Work;
use crate::hub::orders::Failed;
use netkit_proto::rpc::code::Kind;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// A connection to this source.
    Connection(SourceId),
    /// Who reads the manifest.
    Manifest,
}

/// See the module.
pub(super) struct Crew {
    pub agenda: Arc<Agenda>,
    pub sources: Arc<Sources>,
    pub pieces: mpsc::Sender<Work>,
    /// The size and the validator of the file, where it can be had in parts.
    pub parts: Option<(u64, Option<String>)>,
    pub limits: Arc<Limits>,
    members: JoinSet<(Member, Result<(), Failed>)>,
}

impl Crew {
    pub(super) fn new(
        agenda: Arc<Agenda>,
        sources: Arc<Sources>,
        pieces: mpsc::Sender<Work>,
        parts: Option<(u64, Option<String>)>,
        limits: Arc<Limits>,
    ) -> Crew {
        Crew { agenda, sources, pieces, parts, limits, members: JoinSet::new() }
    }

    /// Has so many connections to a source work; the first of them begins with the answer that is there.
    pub(super) fn add<S: Source>(
        &mut self,
        source: &Arc<S>,
        name: &str,
        count: u8,
        begun: Option<(RunId, Opened<S::Body>)>,
    ) {
        let parts = self.parts.clone();
        self.spawn(source, name, count, parts, begun);
    }

    /// Has a helper work, which is asked by the content's hash: what it calls the version of its file is its own.
    pub(super) fn add_helper<S: Source>(&mut self, source: S, name: &str) {
        let parts = self.parts.as_ref().map(|(size, _)| (*size, None));
        self.spawn(&Arc::new(source), name, 1, parts, None);
    }

    fn spawn<S: Source>(
        &mut self,
        source: &Arc<S>,
        name: &str,
        count: u8,
        parts: Option<(u64, Option<String>)>,
        begun: Option<(RunId, Opened<S::Body>)>,
    ) {
        let id = self.sources.add(source.peer(), name);
        let mut begun = begun;
        for _ in 0..count {
            let connection = Connection {
                source: Arc::clone(source),
                id,
                sources: Arc::clone(&self.sources),
                agenda: Arc::clone(&self.agenda),
                pieces: self.pieces.clone(),
                parts: parts.clone(),
                limits: Arc::clone(&self.limits),
                whom: name.to_owned(),
                speed: Speed::default(),
            };
            let work = connection.work(begun.take());
            self.members.spawn(async move { (Member::Connection(id), work.await) });
        }
    }

    /// Has the manifest read.
    pub(super) fn read_manifest<S: Source>(
        &mut self,
        opened: Opened<S::Body>,
        expected: Expected,
        manifest: SharedManifest,
    ) {
        let read = manifest::read(opened, expected, manifest, self.pieces.clone());
        self.members.spawn(async move { (Member::Manifest, read.await) });
    }

    /// Whether any of them is left.
    pub(super) fn is_at_work(&self) -> bool {
        !self.members.is_empty()
    }

    /// The next that ends; `None` when all have.
    pub(super) async fn next_end(&mut self) -> Option<(Member, Result<(), Failed>)> {
        loop {
            match self.members.join_next().await? {
                Ok(ended) => return Some(ended),
                Err(error) if error.is_cancelled() => {}
                // Whoever it was: without one of them the others may do.
                Err(panic) => {
                    let failed =
                        Failed::new(Kind::InternalError, format_args!("a connection failed: {panic}"));
                    return Some((Member::Manifest, Err(failed)));
                }
            }
        }
    }

    /// Ends them all.
    pub(super) async fn dismiss(&mut self) {
        self.members.shutdown().await;
    }
}
