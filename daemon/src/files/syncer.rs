//! Syncs a file again and again while it is being written, so that the sync at its end finds little left to do. That is
//! done on a thread beside the writer's: a disk that is busy holds up nobody who brings bytes, up to a bound.

use crate::limits;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// See the module. Whoever has one ends it by [`Syncer::finish`], else an error of the disk is lost: the kernel tells
/// each one once.
#[derive(Debug)]
pub struct Syncer {
    file: Arc<File>,
    /// Bytes written since a sync was asked for.
    unsynced: u64,
    /// From the first sync on: a small file gets none.
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl Syncer {
    /// Of this file.
    #[must_use]
    pub fn of(file: Arc<File>) -> Syncer {
        Syncer { file, unsynced: 0, thread: None }
    }

    /// So many bytes were written. Waits while [`limits::FETCH_UNSYNCED`] syncs are asked for and not begun.
    ///
    /// # Errors
    /// Where the system gives no thread, or where a sync failed: why is told by [`Syncer::finish`].
    pub fn wrote(&mut self, bytes: usize) -> io::Result<()> {
        self.unsynced += bytes as u64;
        if self.unsynced < limits::FETCH_SYNC {
            return Ok(());
        }
        self.unsynced = 0;
        if self.thread.is_none() {
            let (ask, asked) = sync_channel(limits::FETCH_UNSYNCED);
            let file = Arc::clone(&self.file);
            let builder = std::thread::Builder::new().name("fetch-syncer".into());
            self.thread = Some((ask, builder.spawn(move || run(&file, &asked))?));
        }
        match &self.thread {
            Some((ask, _)) if ask.send(()).is_err() => Err(io::Error::other("an early sync failed")),
            _ => Ok(()),
        }
    }

    /// Waits for the sync that is under way, and lets go of the file. What was written after it is still to be synced.
    ///
    /// # Errors
    /// Those of fdatasync(2).
    pub fn finish(self) -> io::Result<()> {
        let Some((ask, thread)) = self.thread else { return Ok(()) };
        drop(ask);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs panicked")))
    }
}

fn run(file: &File, asked: &Receiver<()>) -> io::Result<()> {
    while asked.recv().is_ok() {
        while asked.try_recv().is_ok() {} // one sync is for all that was asked for meanwhile
        file.sync_data()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const HALF: usize = limits::FETCH_SYNC as usize / 2;

    #[test]
    fn a_thread_is_there_for_what_is_large_alone_and_gone_at_the_end() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut syncer = Syncer::of(Arc::clone(&file));
        for is_large in [false, true, true, true] {
            (&*file).write_all(&vec![1; HALF]).unwrap();
            syncer.wrote(HALF).unwrap();
            assert_eq!(syncer.thread.is_some(), is_large);
        }
        syncer.finish().unwrap();
        assert_eq!(Arc::strong_count(&file), 1, "the thread has let go of it");
    }

    #[test]
    fn what_the_disk_says_is_told_at_the_end() {
        let (pipe, _writer) = io::pipe().unwrap(); // a file that can't be synced
        let mut syncer = Syncer::of(Arc::new(std::os::fd::OwnedFd::from(pipe).into()));
        let asked = (0..1000).take_while(|_| syncer.wrote(2 * HALF).is_ok()).count();
        assert!(asked < 1000, "the writer goes on for no longer than it must");
        let said = syncer.finish().unwrap_err();
        assert_eq!(said.raw_os_error(), Some(rustix::io::Errno::INVAL.raw_os_error()));
    }
}
