//! A directory of a peer, or some files of it, as one download: its listing is read, its small files come in one stream, the
//! others one after the other as single files do, all into a directory that gets its name when all is there and synced. What
//! is there is noted file by file.

mod archive;
mod listing;
mod small;
mod stage;

use super::content::Content;
use super::disk;
use super::peer::{self, Peer};
use super::source::Source as _;
use super::task::{Break, Name, Task};
use crate::files::{Attributes, Naming, PartFile, Stage, set};
use crate::hub::orders::{Done, Failed, Progress, Report, StageRow, StagedFile};
use crate::limits;
use listing::Entry;
use netkit_proto::files::listing::percent_encoded;
use netkit_proto::files::manifest::{BlockHash, LARGEST, to_hex};
use netkit_proto::files::source::Wanted;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use stage::Beginning;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How much there is in all of a directory that is fetched.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Bytes of all files; 0: not known yet.
    size: AtomicU64,
    /// Bytes of those that are there.
    bytes: AtomicU64,
}

impl Totals {
    pub(super) fn size(&self) -> Option<u64> {
        Some(self.size.load(Ordering::Relaxed)).filter(|size| *size > 0)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A directory under way.
struct Tree {
    stage: Arc<Stage>,
    row: StageRow,
    /// Files that are there.
    done: BTreeMap<SafePath, StagedFile>,
    /// Of those, what is not noted yet.
    fresh: Vec<StagedFile>,
    noted: Instant,
}

impl Tree {
    /// Whether a file of it is still to be fetched.
    fn lacks(&self, entry: &Entry) -> bool {
        !entry.is_dir && !self.done.contains_key(&entry.path)
    }

    /// What all of it hashes to: the hash of what `b3sum` prints for its files, in the byte order of their paths.
    fn hash(&self) -> BlockHash {
        let mut hasher = blake3::Hasher::new();
        for (path, file) in &self.done {
            hasher.update(to_hex(&file.hash).as_bytes()).update(b"  ").update(path.as_bytes()).update(b"\n");
        }
        *hasher.finalize().as_bytes()
    }
}

impl Task {
    /// Fetches the directory at `path`, or what is wanted of it.
    pub(super) async fn fetch_tree(
        self: &Arc<Task>,
        path: &SafePath,
        wanted: &Wanted,
    ) -> Result<Done, Break> {
        let is_exact = self.start.naming != Naming::Numbered;
        let _name = is_exact.then(|| Name::take(&self.engine, &self.path)).transpose()?;
        if let Some(done) = self.blocking(stage::placed_before).await? {
            return Ok(done);
        }
        let way = self.way()?;
        let peer = Peer::new(self.engine.peers.clone(), way, path);
        let listed =
            self.asked(|| async { listing::read(peer.ask_directory("tree").await?, &self.whom()).await });
        let listed = listed.await?;
        let entries: Arc<Vec<Entry>> = Arc::new(match wanted {
            Wanted::Matching(pattern) => {
                let is_one = |entry: &Entry| {
                    let name = entry.path.as_bytes();
                    !entry.is_dir && !name.contains(&b'/') && pattern.matches(name)
                };
                listed.into_iter().filter(is_one).collect()
            }
            Wanted::Tree | Wanted::File => listed,
        });
        if matches!(wanted, Wanted::Matching(_)) && entries.is_empty() {
            let why = format!("no file of the directory at {} has such a name", self.whom());
            return Err(Failed::new(Kind::NotFound, why)
                .hint(format_args!("netkitctl ls {}: shows what is there", self.whom()))
                .into());
        }
        self.check(&entries)?;
        let arranged = Arc::clone(&entries);
        let begun = self.blocking(move |task| stage::begin(task, &arranged)).await?;
        let Beginning { stage, row, done, lost } = begun;
        if let Some((bytes, why)) = lost {
            self.sources.forget_bytes();
            self.report(Report::Restarted(self.start.id, bytes, why)).await;
        }
        let noted = Instant::now();
        let mut tree = Tree { stage, row, done, fresh: Vec::new(), noted };
        self.report(Report::Stage(self.start.id, tree.row.clone(), Vec::new())).await;
        let totals = self.tree.get_or_init(Totals::default);
        totals.size.store(entries.iter().map(|entry| entry.size).sum(), Ordering::Relaxed);
        totals.bytes.store(tree.done.values().map(|file| file.size).sum(), Ordering::Relaxed);
        let fetched = self.fetch_files(&peer, &entries, *wanted == Wanted::Tree, &mut tree).await;
        self.note(&mut tree, 0, true).await;
        fetched?;
        self.complete_tree(tree).await
    }

    /// Fails where not all of it can be had: what is left out would not be missed.
    fn check(&self, entries: &[Entry]) -> Result<(), Failed> {
        if let Some(huge) = entries.iter().find(|entry| entry.size > LARGEST) {
            let path = String::from_utf8_lossy(huge.path.as_bytes());
            return Err(peer::too_large(format_args!("{path:?} in that directory of {}", self.whom())));
        }
        let mut unreadable = entries.iter().filter(|entry| entry.is_unreadable);
        let Some(first) = unreadable.next() else { return Ok(()) };
        let (whom, path) = (self.whom(), String::from_utf8_lossy(first.path.as_bytes()));
        let more = match unreadable.count() {
            0 => String::new(),
            more => format!(", and {more} more of it"),
        };
        let why = format!("{whom} can't read {path:?} in that directory{more}");
        Err(Failed::new(Kind::Refused, why).hint(format_args!(
            "its netkitd's user must be able to, there; then netkitctl queue retry. Or get the rest one by one"
        )))
    }

    /// Fetches what is missing.
    async fn fetch_files(
        self: &Arc<Task>,
        peer: &Peer,
        entries: &[Entry],
        is_tree: bool,
        tree: &mut Tree,
    ) -> Result<(), Break> {
        if is_tree {
            self.fetch_small(peer, entries, tree).await?;
        }
        for entry in entries {
            if tree.lacks(entry) {
                self.fetch_one(peer, entry, tree).await?;
            }
        }
        Ok(())
    }

    /// Fetches the small files that are missing, in one stream.
    async fn fetch_small(
        self: &Arc<Task>,
        peer: &Peer,
        entries: &[Entry],
        tree: &mut Tree,
    ) -> Result<(), Break> {
        let small = || entries.iter().filter(|entry| !entry.is_dir && entry.size <= limits::FETCH_SMALL);
        let missing: HashMap<SafePath, Entry> = small()
            .filter(|entry| tree.lacks(entry))
            .map(|entry| (entry.path.clone(), entry.clone()))
            .collect();
        if missing.len() < 2 {
            return Ok(());
        }
        let wanted = small::Wanted { files: missing, most: small().map(|entry| entry.size).sum() };
        // All before the first that is missing are there.
        let before = small().take_while(|entry| !tree.lacks(entry)).last();
        let after = before.map(|entry| percent_encoded(entry.path.as_bytes())).unwrap_or_default();
        let query = format!("tar&small={}&after={after}", limits::FETCH_SMALL);
        let body = self.asked(|| peer.ask_directory(&query)).await?;
        let giver = self.sources.add(peer.peer(), &self.whom());
        let (told, mut files) = mpsc::channel::<StagedFile>(limits::FETCH_STAGED);
        let (stage, had) = (Arc::clone(&tree.stage), tree.done.len());
        let noting = async {
            let mut tick = tokio::time::interval(limits::FETCH_REPORT);
            let (mut since, mut bytes) = (Instant::now(), 0_u64);
            loop {
                tokio::select! {
                    file = files.recv() => {
                        let Some(file) = file else { return };
                        self.sources.credit(giver, file.size);
                        bytes += file.size;
                        self.there(tree, file);
                    }
                    _ = tick.tick() => {
                        let rate = bytes as f64 / since.elapsed().as_secs_f64().max(0.001);
                        (since, bytes) = (Instant::now(), 0);
                        self.note(tree, rate as u64, false).await;
                    }
                }
            }
        };
        let ended = tokio::join!(small::fetch(self, body, &stage, wanted, told), noting).0;
        // It breaks off at its end each time where the peer can't read something: that is told when it is asked for.
        if let Err(Break::Failed(Failed { failure, .. })) = &ended
            && failure.kind == Kind::Short
            && tree.done.len() == had
            && let Some(first) = small().find(|entry| tree.lacks(entry))
        {
            self.fetch_one(peer, first, tree).await?;
        }
        ended
    }

    /// Fetches one file as a single one is fetched.
    async fn fetch_one(self: &Arc<Task>, peer: &Peer, entry: &Entry, tree: &mut Tree) -> Result<(), Break> {
        self.note(tree, 0, true).await;
        let (stage, path) = (Arc::clone(&tree.stage), entry.path.clone());
        let content = self.blocking(move |task| stage::part_of(task, &stage, &path)).await?;
        let mut content = self.transfer(Arc::new(peer.within(&entry.path)), content).await?;
        let Some((size, hash)) = content.finish() else {
            return Err(Failed::passing(Kind::Short, "bytes of a file are missing after all").into());
        };
        let placed = entry.clone();
        self.blocking(move |task| stage::place(task, &content, &placed)).await?;
        let (path, modified) = (entry.path.clone(), entry.modified);
        self.there(tree, StagedFile { path, size, modified, hash });
        self.note(tree, 0, true).await;
        self.report(Report::Next(self.start.id)).await;
        Ok(())
    }

    /// A file is there.
    fn there(&self, tree: &mut Tree, file: StagedFile) {
        if let Some(totals) = self.tree.get() {
            totals.bytes.fetch_add(file.size, Ordering::Relaxed);
        }
        tree.fresh.push(file.clone());
        tree.done.insert(file.path.clone(), file);
    }

    /// Tells how far it is; what came is noted now and then, or `now`.
    async fn note(&self, tree: &mut Tree, rate: u64, now: bool) {
        let Some(totals) = self.tree.get() else { return };
        let progress = Progress { size: totals.size(), bytes: totals.bytes(), rate };
        self.report(Report::Progress(self.start.id, progress, None)).await;
        if now || tree.noted.elapsed() >= limits::FETCH_NOTE {
            tree.noted = Instant::now();
            let fresh = std::mem::take(&mut tree.fresh);
            if !fresh.is_empty() {
                self.report(Report::Stage(self.start.id, tree.row.clone(), fresh)).await;
            }
            self.report(Report::Sources(self.start.id, self.sources.shown())).await;
        }
    }

    /// All files are there: makes them durable at once, and gives the directory its name.
    async fn complete_tree(self: &Arc<Task>, tree: Tree) -> Result<Done, Break> {
        let (hash, bytes) = (tree.hash(), tree.done.values().map(|file| file.size).sum());
        let row = StageRow { complete: Some(hash), ..tree.row.clone() };
        self.report(Report::Stage(self.start.id, row, Vec::new())).await;
        let (committed, commit) = oneshot::channel();
        self.report(Report::Complete(self.start.id, None, committed)).await;
        tokio::select! {
            committed = commit => if committed.is_err() { return Err(Break::Stopped) },
            () = self.stop.cancelled() => return Err(Break::Stopped),
        }
        let stage = Arc::clone(&tree.stage);
        let placed = self.blocking(move |task| Ok(stage::finish(task, &stage))).await?;
        match placed {
            Ok(name) => Ok(Done { name, bytes, blake3: hash, verified: true, manifest: None }),
            Err(stage::Unfinished::Unsynced(failed)) => {
                // What the disk did not take may be gone from memory, too: the next try reads all of it again.
                let row = StageRow { boot: String::new(), complete: None, ..tree.row };
                self.report(Report::Stage(self.start.id, row, Vec::new())).await;
                Err(failed.into())
            }
            Err(stage::Unfinished::Unnamed(failed)) => Err(failed.into()),
        }
    }
}

/// A file's part file becomes it, within the directory.
fn placed(task: &Task, content: &Content, entry: &Entry) -> Result<(), Failed> {
    let failed = |error: &std::io::Error| disk::failed(&task.path, error);
    let attributes = Attributes { modified: entry.modified, is_executable: entry.is_executable };
    let part: &PartFile = content.file();
    set(part.file(), attributes, part.dir().group()).map_err(|error| failed(&error))?;
    let name = entry.path.file_name().unwrap_or_default();
    part.replace(name).map_err(|error| failed(&error))
}
