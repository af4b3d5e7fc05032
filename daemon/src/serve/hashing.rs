//! Files that are being hashed for their manifests. A file is hashed once however many ask, by a thread; who asked follows
//! it, and gets each value when it is known. Of several files each has its turn for a block. When nobody follows any more it
//! is broken off; what was hashed to its end is kept, so that the next one has it at once. Whose question began it holds a
//! permit until it has ended, also where he left: so many wait for their turn at most.

use super::permits::Permit;
use super::site::Site;
use super::turns::Turns;
use crate::files::{OpenFile, Stamp};
use crate::hub::content::{ContentReport, file_key};
use crate::limits;
use crate::store::{FileKey, ManifestRow};
use netkit_proto::files::manifest::BlockHash;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{oneshot, watch};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module.
#[derive(Debug)]
pub(super) struct Hashings {
    turns: Turns,
    running: Mutex<HashMap<FileKey, Arc<Progress>>>,
}

impl Default for Hashings {
    fn default() -> Hashings {
        Hashings { turns: Turns::new(limits::HASHINGS), running: Mutex::default() }
    }
}

/// How far a file is hashed.
#[derive(Debug)]
struct Progress {
    values: Mutex<Vec<BlockHash>>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done(BlockHash),
    /// The file was changed, or can't be read.
    Failed,
}

impl Progress {
    fn new(state: State, values: Vec<BlockHash>) -> Arc<Progress> {
        Arc::new(Progress { values: Mutex::new(values), state: watch::Sender::new(state) })
    }

    fn follow(self: &Arc<Progress>) -> Follower {
        Follower { state: self.state.subscribe(), progress: Arc::clone(self), told: 0 }
    }
}

/// Who waits for a file's values.
#[derive(Debug)]
pub(super) struct Follower {
    progress: Arc<Progress>,
    state: watch::Receiver<State>,
    told: usize,
}

/// What a follower is told.
pub(super) enum Told {
    /// The next values.
    Values(Vec<u8>),
    /// There are no more; the hash of the whole.
    Root(BlockHash),
}

impl Follower {
    /// Waits for what comes next.
    pub(super) async fn next(&mut self) -> io::Result<Told> {
        loop {
            let state = *self.state.borrow_and_update(); // before the values: after the end there are no more
            let values = self.values();
            if !values.is_empty() {
                return Ok(Told::Values(values));
            }
            let failed = || io::Error::other("the file was changed while it was hashed, or can't be read");
            match state {
                State::Done(root) => return Ok(Told::Root(root)),
                State::Failed => return Err(failed()),
                State::Running => self.state.changed().await.map_err(|_| failed())?,
            }
        }
    }

    fn values(&mut self) -> Vec<u8> {
        let values = lock(&self.progress.values);
        let end = values.len().min(self.told + limits::MANIFEST_PIECE);
        let some = values[self.told..end].as_flattened().to_vec();
        self.told = end;
        some
    }
}

impl Hashings {
    /// Follows the hashing of a file, which begins where it is not known or under way.
    pub(super) async fn follow(
        self: &Arc<Hashings>,
        site: &Arc<Site>,
        path: Vec<u8>,
        file: OpenFile,
        permit: &Arc<Permit>,
    ) -> Follower {
        let key = file_key(&file.stamp);
        if let Some(progress) = lock(&self.running).get(&key) {
            return progress.follow();
        }
        if let Some((root, blocks, is_here)) = known(site, key, &path).await {
            if !is_here {
                // It is elsewhere, too: whoever sees only this place is to find it.
                let (site, blocks, permit) = (Arc::clone(site), blocks.clone(), Arc::clone(permit));
                tokio::spawn(async move {
                    keep(&site, ManifestRow { file: key, path, root, blocks }).await;
                    drop(permit);
                });
            }
            return Progress::new(State::Done(root), blocks).follow();
        }
        let (follower, begun) = self.begin(key);
        let Some(progress) = begun else {
            return follower; // somebody began meanwhile
        };
        let is_settled = is_settled(&file.stamp, SystemTime::now());
        let (hashings, site) = (Arc::clone(self), Arc::clone(site));
        let permit = Arc::clone(permit);
        tokio::spawn(async move {
            let hashed = hashings.hash(key, &progress, file, Arc::clone(&permit)).await;
            let state = hashed.as_ref().map_or(State::Failed, |(root, _)| State::Done(*root));
            progress.state.send_replace(state);
            if let Some((root, blocks)) = hashed.filter(|_| is_settled) {
                keep(&site, ManifestRow { file: key, path, root, blocks }).await;
            }
            hashings.forget(key, &progress);
            drop(permit);
        });
        follower
    }

    /// Follows the hashing that is under way; else a new one, which the caller is to do. In one step: what nobody follows is
    /// given up.
    fn begin(&self, key: FileKey) -> (Follower, Option<Arc<Progress>>) {
        match lock(&self.running).entry(key) {
            Entry::Occupied(running) => (running.get().follow(), None),
            Entry::Vacant(free) => {
                let progress = Progress::new(State::Running, Vec::new());
                free.insert(Arc::clone(&progress));
                (progress.follow(), Some(progress))
            }
        }
    }

    async fn hash(
        self: &Arc<Hashings>,
        key: FileKey,
        progress: &Arc<Progress>,
        file: OpenFile,
        permit: Arc<Permit>,
    ) -> Option<(BlockHash, Vec<BlockHash>)> {
        let (hashings, progress) = (Arc::clone(self), Arc::clone(progress));
        let job = tokio::task::spawn_blocking(move || {
            let _permit = permit; // a thread can't be told to stop waiting
            let mut turn = hashings.turns.take();
            if hashings.is_abandoned(key, &progress) {
                return Err(io::Error::other("nobody waits for it any more"));
            }
            file.hash_blocks(|value| {
                lock(&progress.values).push(value);
                progress.state.send_replace(State::Running);
                if hashings.is_abandoned(key, &progress) {
                    return ControlFlow::Break(());
                }
                turn.next();
                ControlFlow::Continue(())
            })
        });
        job.await.map_err(io::Error::other).flatten().inspect_err(|e| tracing::debug!(%e, "not hashed")).ok()
    }

    /// Whether nobody follows any more; then nobody can begin to.
    fn is_abandoned(&self, key: FileKey, progress: &Arc<Progress>) -> bool {
        if progress.state.receiver_count() > 0 {
            return false;
        }
        let mut running = lock(&self.running);
        let is_abandoned = progress.state.receiver_count() == 0;
        if is_abandoned {
            running.remove(&key);
        }
        is_abandoned
    }

    fn forget(&self, key: FileKey, progress: &Arc<Progress>) {
        let mut running = lock(&self.running);
        if running.get(&key).is_some_and(|other| Arc::ptr_eq(other, progress)) {
            running.remove(&key);
        }
    }
}

/// What is known of a file, and whether it is known to be at this place.
async fn known(site: &Site, key: FileKey, path: &[u8]) -> Option<(BlockHash, Vec<BlockHash>, bool)> {
    site.reader.manifest(key, path.to_owned()).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "what is known of files can't be read");
        None
    })
}

/// Has what a file hashes to kept.
async fn keep(site: &Site, row: ManifestRow) {
    let (reply, kept) = oneshot::channel();
    if site.content.send(ContentReport::Hashed(Box::new(row), reply)).await.is_ok() {
        let _ = kept.await; // where it was not, the next one hashes again
    }
}

/// Whether a change from `now` on will show in the file's times. They move with a clock of some milliseconds, and on some
/// file systems by seconds; what was changed a moment ago may be changed again without a trace.
fn is_settled(stamp: &Stamp, now: SystemTime) -> bool {
    const SECOND: i128 = 1_000_000_000;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let age = i128::try_from(now).unwrap_or(i128::MAX) - stamp.changed;
    let tick = if stamp.changed % SECOND == 0 { limits::SETTLED_SECONDS } else { limits::SETTLED };
    age > i128::try_from(tick.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::permits::Permits;
    use super::*;
    use crate::files::{Access, Opened, Share};
    use netkit_proto::path::SafePath;
    use std::task::Poll;
    use std::time::Duration;

    #[test]
    fn what_was_changed_just_now_may_be_changed_again_without_a_trace() {
        let at = |changed| Stamp { device: 1, inode: 1, size: 1, modified: 0, changed };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(100_000);
        for (changed, settled) in [
            (0, true),
            (99_999_999_999, false),
            (99_899_999_999, true),
            (99_000_000_000, false),
            (97_000_000_000, true),
            (200_000_000_001, false),
        ] {
            assert_eq!(is_settled(&at(changed), now), settled, "{changed}");
        }
    }

    #[test]
    fn of_those_who_begin_at_once_one_hashes() {
        let hashings = Hashings::default();
        let key = file_key(&Stamp { device: 1, inode: 1, size: 1, modified: 0, changed: 0 });
        let begun: Vec<_> = (0..3).map(|_| hashings.begin(key)).collect();
        assert_eq!(begun.iter().filter(|(_, progress)| progress.is_some()).count(), 1);
        let progress = begun[0].1.as_ref().unwrap();
        assert!(begun.iter().all(|(follower, _)| Arc::ptr_eq(&follower.progress, progress)));
        assert!(!hashings.is_abandoned(key, progress));
    }

    #[tokio::test]
    async fn who_leaves_holds_the_permit_until_the_hashing_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let share = Share {
            name: "s".into(),
            path: dir.path().into(),
            access: Access::Public,
            dot_files: false,
            configured: true,
        };
        let Ok(Opened::File(file)) = share.open(&SafePath::parse(b"f").unwrap()) else { panic!() };
        let (hashings, permits) = (Arc::new(Hashings::default()), Arc::new(Permits::new(1)));
        let (key, address) = (file_key(&file.stamp), [127, 0, 0, 1].into());
        let permit = Arc::new(permits.take(address).unwrap());
        let turns: Vec<_> = (0..limits::HASHINGS).map(|_| hashings.turns.take()).collect();
        let (follower, progress) = hashings.begin(key);
        let progress = progress.unwrap();
        let mut hashing = std::pin::pin!(hashings.hash(key, &progress, file, permit));
        let polled = std::future::poll_fn(|cx| Poll::Ready(hashing.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        while hashings.turns.asked() == turns.len() as u64 {
            std::thread::yield_now(); // until it waits for its turn
        }
        drop(follower);
        assert!(permits.take(address).is_none(), "and holds a thread meanwhile");
        drop(turns);
        assert!(hashing.await.is_none(), "nobody wants it");
        assert!(permits.take(address).is_some());
    }

    #[tokio::test]
    async fn followers_get_each_value_once_and_in_order_however_late_they_come() {
        let progress = Progress::new(State::Running, vec![[0; 32]]);
        let mut early = progress.follow();
        let value = |told: io::Result<Told>| match told.unwrap() {
            Told::Values(values) => values.as_chunks::<32>().0.iter().map(|value| value[0]).collect(),
            Told::Root(root) => vec![100 + root[0]],
        };
        assert_eq!(value(early.next().await), [0]);
        let waiting = tokio::spawn(async move { (value(early.next().await), early) });
        lock(&progress.values).push([1; 32]);
        progress.state.send_replace(State::Running);
        let (told, mut early) = waiting.await.unwrap();
        assert_eq!(told, [1]);
        lock(&progress.values).push([2; 32]);
        progress.state.send_replace(State::Done([3; 32]));
        assert_eq!((value(early.next().await), value(early.next().await)), (vec![2], vec![103]));
        let mut late = progress.follow();
        assert_eq!((value(late.next().await), value(late.next().await)), (vec![0, 1, 2], vec![103]));
    }

    #[tokio::test]
    async fn what_nobody_follows_is_given_up_and_a_failure_is_told() {
        let (hashings, progress) = (Hashings::default(), Progress::new(State::Running, Vec::new()));
        let key = FileKey { device: 1, inode: 1, size: 1, modified: 1, changed: 1 };
        lock(&hashings.running).insert(key, Arc::clone(&progress));
        let mut follower = progress.follow();
        assert!(!hashings.is_abandoned(key, &progress));
        progress.state.send_replace(State::Failed);
        assert!(follower.next().await.is_err());
        drop(follower);
        assert!(hashings.is_abandoned(key, &progress) && lock(&hashings.running).is_empty());
    }
}
