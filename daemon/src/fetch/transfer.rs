//! The transfer within a download: asks the source for what is missing, lets connections and the writer work, watches
//! over them, and keeps or drops what came.

use super::agenda::Agenda;
use super::content::{Content, Ledger, SharedManifest};
use super::crew::{Crew, Member};
use super::disk;
use super::manifest::Expected;
use super::plan::Plan;
use super::source::{About, Ask, Source};
use super::task::{Break, Task};
use super::writer::{self, Audience, Written};
use crate::files::PartFile;
use crate::hub::orders::{Failed, PartRow, Report, Retry};
use crate::limits;
use netkit_proto::files::checksum::{Algorithm, Checksum};
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::rpc::code::Kind;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

/// How others are found that have the same file.
struct Helpers<'a, S> {
    /// The source that was named.
    source: &'a Arc<S>,
    /// What its manifest says.
    values: &'a SharedManifest,
}

impl Task {
    /// Fetches what is missing.
    pub(super) async fn transfer<S: Source>(
        self: &Arc<Task>,
        source: Arc<S>,
        content: Content,
    ) -> Result<Content, Break> {
        let missing = content.about.size.map(|size| (size, content.missing(size)));
        let is_there = missing.as_ref().is_some_and(|(_, missing)| missing.is_empty());
        // That its blocks are what a manifest said is not enough: they must combine to the hash that this ends with.
        if is_there && (content.about.complete.is_some() || !source.is_checked()) {
            return Ok(content);
        }
        let ask = match (missing, &content.about.validator) {
            (Some((size, missing)), Some(validator)) if content.ledger().bytes() > 0 => {
                // Of what is all there a byte tells whether it is still the same.
                let range = missing.first().cloned().unwrap_or_else(|| size.saturating_sub(1)..size);
                Ask::Part { range, size, validator: Some(validator.clone()) }
            }
            _ => Ask::Whole,
        };
        // What is said of the file goes before what is said of its manifest.
        let asked = self.asked(|| async {
            let manifest = async { Ok(source.manifest().await) };
            let (opened, manifest) = tokio::try_join!(source.open(ask.clone()), manifest)?;
            Ok((opened, manifest?))
        });
        let (opened, manifest) = match asked.await {
            Ok(asked) => asked,
            Err(Break::Stopped) => return Err(Break::Stopped),
            Err(Break::Failed(failed)) => return Err(self.given_up(content, failed).await),
        };
        let about = opened.about.clone();
        let mut content = self.begin(content, &about, opened.is_part).await?;
        let is_checked = manifest.is_some();
        let values = SharedManifest::default();
        if is_checked {
            content.expect(values.clone());
        }
        let mut plan = match content.about.size {
            Some(size) => Plan::new(content.missing(size)),
            None => Plan::open_ended(),
        };
        let whom = self.whom();
        let by = self.sources.add(source.peer(), &whom);
        let first = plan.next_free(by).map(|(run, _)| (run, opened));
        let agenda = Arc::new(Agenda::new(plan, is_checked));

        let keep_free = self.engine.keep_free();
        let room = move |part: &PartFile, ahead: u64| match part.dir().free()? {
            free if free >= keep_free.saturating_add(ahead) => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        };
        let about_part = content.about.clone();
        let ledger = content.ledger();
        let audience = Audience { agenda: Arc::clone(&agenda), sources: Arc::clone(&self.sources) };
        let (pieces, written) =
            writer::start(content, audience, room).map_err(|error| disk::failed(&self.path, &error))?;
        let parts = about.size.filter(|_| about.gives_parts);
        let parts = parts.zip(about.validator.clone().map(Some));
        let count = if parts.is_some() { self.engine.connections() } else { 1 };
        let mut crew = Crew::new(
            Arc::clone(&agenda),
            Arc::clone(&self.sources),
            pieces,
            parts,
            Arc::clone(&self.limits),
        );
        crew.add(&source, &whom, count, first);
        if let Some(opened) = manifest {
            let expected = Expected {
                size: about.size,
                validator: about.validator,
                root: self.start.checksum.as_ref().and_then(blake3_of),
                whom,
            };
            crew.read_manifest::<S>(opened, expected, values.clone());
        }
        let helpers = Helpers { source: &source, values: &values };
        let failed = self.watch(&mut crew, &about_part, &ledger, helpers).await;
        drop(crew); // the writer notices
        self.ended(written, failed, || agenda.is_done()).await
    }

    /// Notes what the source says of the file, and makes room for it. Where the whole file comes although only a part
    /// was wanted, what was there is given up.
    async fn begin(
        self: &Arc<Task>,
        content: Content,
        about: &About,
        is_part: bool,
    ) -> Result<Content, Break> {
        let lost = content.ledger().bytes();
        let about = about.clone();
        let begun = self.blocking(move |task| {
            let failed = |error: &io::Error| disk::failed(&task.path, error);
            let mut content = content;
            if !is_part {
                if lost > 0 {
                    content = content.start_over(task.start.id).map_err(|error| failed(&error))?;
                }
                content.about.size = about.size;
                content.about.validator = about.validator.filter(|_| about.size.is_some());
            }
            let claimed = claim(task, &mut content, about.size);
            Ok((content, claimed))
        });
        let (content, claimed) = begun.await?;
        if !is_part && lost > 0 {
            let why = "the source sent the whole file: it is another one, or it gives no parts".to_owned();
            self.restarted(lost, why).await;
        }
        self.progress(&content.about, &content.ledger(), 0, true).await;
        match claimed {
            Ok(()) => Ok(content),
            Err(full) => Err(self.given_up(content, full).await),
        }
    }

    /// Tells how far it is until all connections are done; the failure of one, if any.
    async fn watch<S: Source>(
        &self,
        crew: &mut Crew,
        about: &PartRow,
        ledger: &Ledger,
        helpers: Helpers<'_, S>,
    ) -> Result<Option<Failed>, Break> {
        let mut tick = tokio::time::interval_at(Instant::now() + limits::FETCH_REPORT, limits::FETCH_REPORT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut noted, mut rate) = ((Instant::now(), ledger.bytes()), Instant::now(), 0.0);
        let mut failure: Option<Failed> = None;
        let (sought, mut found) = mpsc::channel(limits::FETCH_HELPERS);
        let mut asked = HashSet::new();
        // Until then somebody may answer who has the file, too.
        let (mut is_alone, mut patience) = (false, None::<Instant>);
        loop {
            if crew.agenda.is_done() {
                crew.dismiss().await; // those that were taken over, and wait for sources that send nothing
                return Ok(failure);
            }
            let root = helpers.values.lock().root();
            if let (Some(root), true) = (root, is_alone) {
                self.report(Report::Seek(self.start.id, root, sought.clone())).await;
                (is_alone, patience) = (false, Some(Instant::now() + limits::FETCH_HELP));
            }
            let is_waiting = patience.is_some() && !crew.is_at_work() && !crew.agenda.is_done();
            tokio::select! {
                ended = crew.next_end(), if !is_waiting => match ended {
                    None => return Ok(failure),
                    Some((Member::Connection(_), Ok(()))) => {}
                    Some((Member::Manifest, Ok(()))) => {
                        let left = about.size.unwrap_or_default().saturating_sub(ledger.bytes());
                        is_alone = failure.is_some() || left >= limits::FETCH_HELPED;
                    }
                    // The others go on. If they can't bring all, people are told of the first failure that may pass.
                    Some((Member::Connection(source), Err(failed))) => {
                        self.sources.lost(source, &failed);
                        failure = failure.filter(|first| first.retry != Retry::Never).or(Some(failed));
                        is_alone |= patience.is_none();
                    }
                    // Nothing that comes could be believed.
                    Some((Member::Manifest, Err(failed))) => {
                        crew.dismiss().await;
                        return Ok(Some(failed));
                    }
                },
                Some(way) = found.recv() => {
                    // Who calls again and again is one all the same.
                    let is_new = asked.len() < limits::FETCH_HELPERS && asked.insert(way.id);
                    let label = way.label.clone();
                    let helper = root.filter(|_| is_new).and_then(|root| helpers.source.helper(way, root));
                    if let Some(helper) = helper {
                        crew.add_helper(helper, &label);
                    }
                }
                () = self.stop.cancelled() => {
                    crew.dismiss().await;
                    return Err(Break::Stopped);
                }
                _ = tick.tick() => {
                    patience = patience.filter(|until| *until > Instant::now());
                    let (now, bytes) = (Instant::now(), ledger.bytes());
                    let seconds = now.duration_since(last.0).as_secs_f64();
                    if seconds > 0.0 {
                        let current = bytes.saturating_sub(last.1) as f64 / seconds;
                        rate = if rate == 0.0 { current } else { 0.7 * rate + 0.3 * current };
                    }
                    last = (now, bytes);
                    let note = noted.elapsed() >= limits::FETCH_NOTE;
                    if note {
                        noted = now;
                    }
                    self.progress(about, ledger, rate as u64, note).await;
                }
            }
        }
    }

    /// The transfer came to its end: what is there is noted, and the verdict given.
    async fn ended(
        self: &Arc<Task>,
        written: oneshot::Receiver<Written>,
        connections: Result<Option<Failed>, Break>,
        is_done: impl Fn() -> bool,
    ) -> Result<Content, Break> {
        let Ok((content, result)) = written.await else {
            return Err(Failed::new(Kind::InternalError, "the thread that writes the file failed").into());
        };
        let broken = match (result, connections) {
            (_, Err(stopped)) => stopped,
            (Err(error), _) => disk::failed(&self.path, &error).into(),
            (Ok(()), Ok(None)) if is_done() => return Ok(content),
            (Ok(()), Ok(Some(failed))) if !is_done() => failed.into(),
            (Ok(()), Ok(Some(_))) => return Ok(content), // others brought what that one did not
            (Ok(()), Ok(None)) => super::net::short(&self.whom()).into(),
        };
        // Also where the file seems to be another one now: what came is of one file, and when it is asked for the
        // rest the source will say whether that is still there.
        self.kept(content).await;
        Err(broken)
    }

    /// The transfer failed. What belongs to a file that is no more is dropped.
    pub(super) async fn given_up(self: &Arc<Task>, content: Content, failed: Failed) -> Break {
        let lost = content.ledger().bytes();
        if failed.failure.kind == Kind::Changed && lost > 0 {
            let forgotten = self.blocking(move |task| {
                content.file().remove().map_err(|e| disk::failed(&task.path, &e))?;
                Ok(())
            });
            if let Err(why) = forgotten.await {
                return why;
            }
            self.restarted(lost, failed.failure.message.clone()).await;
        } else {
            self.kept(content).await;
        }
        failed.into()
    }

    /// Notes what is there for the next time, and gives back what was claimed beyond it; an empty file goes.
    async fn kept(self: &Arc<Task>, content: Content) {
        let bytes = content.ledger().bytes();
        if bytes > 0 {
            self.progress(&content.about, &content.ledger(), 0, true).await;
        }
        let tidied = self.blocking(move |task| {
            let tidied = match bytes {
                0 => content.file().remove(),
                _ => content.release(),
            };
            tidied.map_err(|error| disk::failed(&task.path, &error).into())
        });
        if let Err(Break::Failed(failed)) = tidied.await {
            tracing::warn!(
                download = self.start.id,
                error = failed.failure.message,
                "disk space stays taken"
            );
        }
    }
}

/// The hash that a checksum names, where it is of that kind.
fn blake3_of(checksum: &Checksum) -> Option<BlockHash> {
    checksum.digest().try_into().ok().filter(|_| checksum.algorithm() == Algorithm::Blake3)
}

/// Claims the disk's space for what is to come, if its size is known.
fn claim(task: &Task, content: &mut Content, size: Option<u64>) -> Result<(), Failed> {
    let needed = size.map_or(0, |size| size.saturating_sub(content.ledger().bytes()));
    let (dir, keep_free) = (Arc::clone(content.file().dir()), task.engine.keep_free());
    // One at a time: of two that fit alone and not together, one gets its room.
    let _one = task.engine.claims.lock().unwrap_or_else(PoisonError::into_inner);
    disk::check_room(&dir, &task.path, needed, keep_free)?;
    if let Some(size) = size.filter(|&size| size > 0) {
        content.claim(size).map_err(|error| disk::failed(&task.path, &error))?;
        // The size that the file system needs may be larger.
        disk::check_room(&dir, &task.path, 0, keep_free)?;
    }
    Ok(())
}
