//! The state directory: made at first start, and locked by the daemon that uses it.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why the state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// Another daemon uses it.
    #[error("another netkitd uses {0}; stop it, or set node.state_dir to another directory")]
    Taken(PathBuf),
    /// Anything that the system says.
    #[error("can't use the state directory {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// The state directory, ours until this is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    pub(crate) fn open(path: &Path) -> Result<StateDir, StateError> {
        let io_error = |source| StateError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join("lock"));
        let lock = lock.map_err(io_error)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(StateDir { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::Taken(path.to_owned())),
            Err(e) => Err(io_error(e.into())),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("netkit.db")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_until_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/state");
        let first = StateDir::open(&path).unwrap();
        assert!(matches!(StateDir::open(&path), Err(StateError::Taken(taken)) if taken == path));
        drop(first);
        StateDir::open(&path).unwrap();
    }
}
