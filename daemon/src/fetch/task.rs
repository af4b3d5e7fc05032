//! One download from its start to its end: what is there already, what the source says, the transfer, the check, the
//! name. Tells the hub how far it is; what it notes is written to the part file before.

use super::content::{Content, Ledger};
use super::http::Http;
use super::limit::Limits;
use super::peer::Peer;
use super::plain::Plain;
use super::source::{Ask, Source as _};
use super::sources::Sources;
use super::tree::Totals;
use super::{Engine, disk, offer, prepare};
use crate::files::{Naming, OpenFile};
use crate::hub::orders::{Done, End, Failed, PartNote, PartRow, Progress, Report, Retry, Start, Way};
use crate::limits;
use netkit_proto::files::source::{self, Wanted};
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a download does not go on.
#[derive(Debug)]
pub(super) enum Break {
    /// It was told to stop.
    Stopped,
    /// It can't.
    Failed(Failed),
}

impl From<Failed> for Break {
    fn from(failed: Failed) -> Break {
        Break::Failed(failed)
    }
}

/// A running download.
pub(super) struct Task {
    pub engine: Arc<Engine>,
    pub start: Start,
    /// Where the file goes, to be shown.
    pub path: PathBuf,
    pub stop: CancellationToken,
    pub limits: Arc<Limits>,
    /// Who gives its bytes.
    pub sources: Arc<Sources>,
    /// Of a directory, once it was listed: how much there is in all.
    pub tree: OnceLock<Totals>,
}

/// A name that no other running download may get.
pub(super) struct Name<'a>(&'a Engine, &'a PathBuf);

impl<'a> Name<'a> {
    /// Takes it.
    pub(super) fn take(engine: &'a Engine, path: &'a PathBuf) -> Result<Name<'a>, Failed> {
        let is_free = engine.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        if is_free { Ok(Name(engine, path)) } else { Err(disk::taken(&path.display())) }
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}

/// Fetches; always ends with a report.
pub(super) async fn run(engine: Arc<Engine>, start: Start) -> End {
    let mut control = start.control.clone();
    let (rate, watched) = watch::channel(control.borrow().limit);
    let stop = engine.stop.child_token();
    let path = start.target.shown();
    let limits = Arc::new(Limits::new(watched, Arc::clone(&engine.limit)));
    let sources = Arc::new(Sources::new(start.sources.clone()));
    let tree = OnceLock::new();
    let task = Arc::new(Task { engine, start, path, stop: stop.clone(), limits, sources, tree });
    let obey = async {
        loop {
            let now = *control.borrow_and_update();
            rate.send_replace(now.limit);
            if now.stop {
                stop.cancel();
            }
            if control.changed().await.is_err() {
                std::future::pending::<()>().await; // nobody is left to say anything
            }
        }
    };
    let ended = tokio::select! {
        ended = task.fetch() => ended,
        () = obey => Err(Break::Stopped),
    };
    match ended {
        Ok(done) => End::Done(done),
        Err(Break::Stopped) => End::Stopped,
        Err(Break::Failed(failed)) => End::Failed(failed),
    }
}

impl Task {
    async fn fetch(self: &Arc<Task>) -> Result<Done, Break> {
        match &self.start.source {
            source::Source::Peer { path, wanted: Wanted::File, .. } => {
                // What was staged before turned out to be a directory then.
                if self.start.stage.is_some() {
                    return match self.fetch_tree(path, &Wanted::Tree).await {
                        Err(Break::Failed(failed))
                            if failed.failure.kind == Kind::NotFound && self.tree.get().is_none() =>
                        {
                            self.fetch_file_instead(path).await
                        }
                        ended => ended,
                    };
                }
                let mut directory = None;
                let ended = self.fetch_file(&mut directory).await;
                let (Err(Break::Failed(_)), Some(lost)) = (&ended, directory) else { return ended };
                if lost > 0 {
                    self.restarted(lost, "it is a directory at the source now".to_owned()).await;
                }
                self.fetch_tree(path, &Wanted::Tree).await
            }
            source::Source::Peer { path, wanted, .. } => self.fetch_tree(path, wanted).await,
            source::Source::Http(_) | source::Source::Plain { .. } => self.fetch_file(&mut None).await,
        }
    }

    /// There is no directory any more where one was staged from: fetches the file that is there instead. Where there is
    /// none either, or this box is not shown it at present, what is staged stays.
    async fn fetch_file_instead(self: &Arc<Task>, path: &SafePath) -> Result<Done, Break> {
        let peer = Peer::new(self.engine.peers.clone(), self.way()?, path);
        drop(self.asked(|| peer.open(Ask::Whole)).await?);
        self.restarted(self.staged_bytes(), "it is a file at the source now".to_owned()).await;
        self.fetch_file(&mut None).await
    }

    /// Bytes that were noted of a directory.
    pub(super) fn staged_bytes(&self) -> u64 {
        let files = self.start.stage.iter().flat_map(|(_, files)| files).map(|file| file.size);
        let part = self.start.part.iter().filter(|(part, _)| part.within.is_some());
        files.chain(part.flat_map(|(_, rows)| rows).map(|row| row.bytes)).sum()
    }

    /// Fetches a file; `directory` tells that it is a directory instead, and how much of a file was there.
    async fn fetch_file(self: &Arc<Task>, directory: &mut Option<u64>) -> Result<Done, Break> {
        let is_exact = self.start.naming == Naming::Exact;
        let _name = is_exact.then(|| Name::take(&self.engine, &self.path)).transpose()?;
        let prepared = self.blocking(prepare::prepare).await?;
        if let Some((lost, why)) = prepared.restarted {
            self.restarted(lost, why).await;
        }
        let content = match prepared.there {
            prepare::There::File(done) => return Ok(done),
            prepare::There::Part(content) => *content,
        };
        let content = match &self.start.source {
            source::Source::Http(url) => {
                let client = self.engine.client().await?;
                let url = url.parse().map_err(|error| {
                    Failed::new(Kind::InvalidParams, format_args!("{url} is no URL: {error}"))
                })?;
                self.transfer(Arc::new(Http { client, url, found: OnceLock::new() }), content).await?
            }
            source::Source::Plain { host, port, name } => {
                let plain = Plain { host: host.clone(), port: *port, name: name.clone() };
                self.transfer(Arc::new(plain), content).await?
            }
            source::Source::Peer { path, .. } => match self.way() {
                Ok(way) => {
                    let peer = Arc::new(Peer::new(self.engine.peers.clone(), way, path));
                    let before = content.ledger().bytes();
                    let content = self.transfer(Arc::clone(&peer), content).await;
                    // One file has a checksum, a directory has not.
                    let is_directory = peer.is_directory() && self.start.checksum.is_none();
                    *directory = is_directory.then_some(before);
                    content?
                }
                Err(failed) => return Err(self.given_up(content, failed).await),
            },
        };
        self.complete(content).await
    }

    /// The way to the peer that it comes from.
    pub(super) fn way(&self) -> Result<Way, Failed> {
        let unknown = || Failed::new(Kind::NotFound, "it is not known any more which peer it comes from");
        self.start.way.clone().unwrap_or_else(|| Err(unknown()))
    }

    /// Asks, and again where the source is busy, after the time that it names; that is no failure, unless it goes on: then
    /// others get the turn.
    pub(super) async fn asked<T, A>(&self, ask: impl Fn() -> A) -> Result<T, Break>
    where
        A: Future<Output = Result<T, Failed>>,
    {
        let until = Instant::now() + limits::FETCH_BUSY_TURN;
        let asked = async {
            loop {
                match ask().await {
                    Err(Failed { retry: Retry::Busy(pause), .. })
                        if until.duration_since(Instant::now()) > pause.max(limits::FETCH_BUSY_PAUSE) =>
                    {
                        tokio::time::sleep(pause.max(limits::FETCH_BUSY_PAUSE)).await;
                    }
                    asked => return asked,
                }
            }
        };
        tokio::select! {
            asked = asked => Ok(asked?),
            () = self.stop.cancelled() => Err(Break::Stopped),
        }
    }

    /// All bytes are there: checks them, makes them durable, and gives the file its name.
    async fn complete(self: &Arc<Task>, mut content: Content) -> Result<Done, Break> {
        let Some((bytes, blake3)) = content.finish() else {
            return Err(Failed::passing(Kind::Short, "bytes of the file are missing after all").into());
        };
        self.progress(&content.about, &content.ledger(), 0, true).await;
        let (committed, commit) = oneshot::channel();
        self.report(Report::Complete(self.start.id, Some(content.about.clone()), committed)).await;
        tokio::select! {
            committed = commit => if committed.is_err() { return Err(Break::Stopped) },
            () = self.stop.cancelled() => return Err(Break::Stopped),
        }
        let placed = self.blocking(move |task| {
            let verified = prepare::verify(task, &content, blake3)?;
            let file = OpenFile::complete(content.file().file());
            if let Err(error) = content.file().sync() {
                content.distrust();
                return Ok(Err((content.about, disk::failed(&task.path, &error))));
            }
            let is_there = content.file().dir().is_still_of(&task.start.target);
            if !is_there.map_err(|error| disk::failed(&task.path, &error))? {
                return Err(disk::moved(&task.path).into());
            }
            let name = content.file().place(&task.start.target.name(), task.start.naming);
            let name = name.map_err(|error| disk::failed(&task.path, &error))?;
            let manifest = file.ok().and_then(|file| offer::of(&task.engine, file, &content, blake3));
            Ok(Ok(Done { name, bytes, blake3, verified, manifest }))
        });
        let placed = match placed.await {
            Err(Break::Failed(failed)) if failed.failure.kind == Kind::Checksum => {
                let why = failed.failure.message.clone();
                self.restarted(bytes, why).await;
                return Err(failed.into());
            }
            placed => placed?,
        };
        match placed {
            Ok(done) => Ok(done),
            Err((about, failed)) => {
                let progress = Progress { size: Some(bytes), bytes, rate: 0 };
                let note = PartNote { part: about, blocks: Vec::new(), is_new: false };
                self.report(Report::Progress(self.start.id, progress, Some(note))).await;
                Err(failed.into())
            }
        }
    }

    /// How the source is called in messages.
    pub(super) fn whom(&self) -> String {
        match &self.start.source {
            source::Source::Http(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                rest.split(['/', '?']).next().unwrap_or(rest).to_owned()
            }
            source::Source::Plain { host, .. } => host.clone(),
            source::Source::Peer { name, .. } => match &self.start.way {
                Some(Ok(way)) => way.label.clone(),
                _ => name.to_string(),
            },
        }
    }

    pub(super) async fn progress(&self, about: &PartRow, ledger: &Ledger, rate: u64, note: bool) {
        let (size, bytes) = match self.tree.get() {
            Some(totals) => (totals.size(), totals.bytes() + ledger.bytes()),
            None => (about.size, ledger.bytes()),
        };
        let progress = Progress { size, bytes, rate };
        let noted = note.then(|| ledger.to_note(about));
        self.report(Report::Progress(self.start.id, progress, noted)).await;
        if note && self.is_of_peer() {
            self.report(Report::Sources(self.start.id, self.sources.shown())).await;
        }
    }

    pub(super) fn is_of_peer(&self) -> bool {
        matches!(self.start.source, source::Source::Peer { .. })
    }

    /// Tells that what came is of no use.
    pub(super) async fn restarted(&self, lost: u64, why: String) {
        if self.tree.get().is_some() {
            tracing::info!(download = self.start.id, lost, why, "a file of a directory starts over");
            return self.report(Report::Next(self.start.id)).await;
        }
        self.sources.forget_bytes();
        self.report(Report::Restarted(self.start.id, lost, why)).await;
    }

    /// That the hub is gone is told by the token.
    pub(super) async fn report(&self, report: Report) {
        let _ = self.engine.reports.send(report).await;
    }

    /// Does what blocks on a thread for that.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Task>,
        work: impl FnOnce(&Task) -> Result<T, Break> + Send + 'static,
    ) -> Result<T, Break> {
        let task = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || work(&task)).await;
        result.unwrap_or_else(|panic| {
            Err(Failed::new(Kind::InternalError, format_args!("work on the disk failed: {panic}")).into())
        })
    }
}
