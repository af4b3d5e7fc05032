//! The identity's files: read only where they are private, written so that a crash leaves the old or the new one whole. Used
//! by `identity` alone; what is in the files is not its business.

use super::IdentityError;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// More than any of the files has: what is longer is none of ours.
const LONGEST: u64 = 16 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    dir: &'a Path,
}

impl<'a> Kept<'a> {
    pub(super) fn new(dir: &'a Path) -> Kept<'a> {
        Kept { dir }
    }

    /// What is in a file; `None` where it does not exist.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, IdentityError> {
        let path = self.dir.join(name);
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK; // a pipe must not hold up the start
        let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if Errno::from_io_error(&e) == Some(Errno::LOOP) => {
                return Err(IdentityError::NotAFile(path));
            }
            Err(source) => return Err(failed("read", path, source)),
        };
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(source) => return Err(failed("look at", path, source)),
        };
        if !metadata.is_file() {
            return Err(IdentityError::NotAFile(path));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(IdentityError::NotOurs(path, metadata.uid()));
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed(path, mode));
        }
        let mut contents = Vec::new();
        if let Err(source) = (&mut file).take(LONGEST).read_to_end(&mut contents) {
            return Err(failed("read", path, source));
        }
        Ok(Some(contents))
    }

    /// Puts a file there that survives a crash, in one step.
    pub(super) fn write(&self, name: &str, contents: &[u8]) -> Result<(), IdentityError> {
        let (path, new) = (self.dir.join(name), self.dir.join(format!(".{name}.new")));
        self.remove(&format!(".{name}.new"))?; // of a start that was cut off
        let write = || {
            let flags = libc::O_NOFOLLOW;
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&new)?;
            file.write_all(contents)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(self.dir)?.sync_all()
        };
        write().map_err(|source| failed("write", path.clone(), source))
    }

    /// Removes a file, if there is one.
    pub(super) fn remove(&self, name: &str) -> Result<(), IdentityError> {
        let path = self.dir.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, e)),
            _ => Ok(()),
        }
    }
}

fn failed(what: &'static str, path: PathBuf, source: io::Error) -> IdentityError {
    IdentityError::Io { what, path, source }
}
