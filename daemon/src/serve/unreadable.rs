//! What is in a shared directory and can't be read by netkitd: what is made of the directory must not seem whole. Noted by
//! who makes it, named in the log at most once in a while.

use crate::files::Share;
use crate::limits;
use netkit_proto::path::SafePath;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// When somebody was told last.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Option<Instant>>);

/// See the module.
#[derive(Debug)]
pub(super) struct Unreadable {
    told: Arc<Told>,
    first: Option<SafePath>,
    count: u64,
}

impl Unreadable {
    pub(super) fn new(told: &Arc<Told>) -> Unreadable {
        Unreadable { told: Arc::clone(told), first: None, count: 0 }
    }

    /// This can't be read.
    pub(super) fn note(&mut self, path: &SafePath) {
        self.count += 1;
        self.first.get_or_insert_with(|| path.clone());
    }

    /// All else was gone through.
    ///
    /// # Errors
    /// Where something could not be read.
    pub(super) fn end(self, share: &Share) -> io::Result<()> {
        let Some(first) = self.first else { return Ok(()) };
        let mut last = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= limits::UNREADABLE_TOLD) {
            *last = Some(Instant::now());
            let (share, first, count) = (&share.name, String::from_utf8_lossy(first.as_bytes()), self.count);
            tracing::warn!(share, ?first, count, "netkitd may not read what it is to serve");
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "not all of the directory can be read"))
    }
}
