//! A file that is not complete yet: `.netkit-ID.part` beside its final name, which it gets only whole, synced, and
//! over no other file unless that was asked for. It is locked (flock(2)) while it is open, so that two netkitds that
//! share a directory never write one file, and it gets its name only if it is still the file that was written.

use super::leftover::discard;
use super::target::TargetDir;
use crate::limits;
use netkit_proto::path::numbered;
use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

/// Which names a file may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// This one, or one with a number where it is taken.
    Numbered,
    /// This one alone.
    Exact,
    /// This one, whatever file has it.
    Replace,
}

/// The part file is no longer under its name, or another file is.
#[derive(Debug, thiserror::Error)]
#[error("its part file was taken away, or replaced by another one")]
pub struct TakenAway;

/// A part file, open for reading and writing, and locked.
#[derive(Debug)]
pub struct PartFile {
    file: Arc<File>,
    dir: Arc<TargetDir>,
    name: String,
}

/// What the file, or the directory, of this download is called until it is complete.
#[must_use]
pub fn part_name(id: u64) -> String {
    format!(".netkit-{id}.part")
}

impl PartFile {
    /// A new, empty one; an old one goes. Blocks, as all of this does.
    ///
    /// # Errors
    /// Those of open(2), and [`io::ErrorKind::ResourceBusy`] where another program has the old one.
    pub fn create(dir: &Arc<TargetDir>, id: u64) -> io::Result<PartFile> {
        discard(dir, id)?;
        let name = part_name(id);
        let file = dir.create(&name)?;
        lock(&file)?;
        Ok(PartFile { file: Arc::new(file), dir: Arc::clone(dir), name })
    }

    /// The one of before; `None` where it is gone.
    ///
    /// # Errors
    /// As [`PartFile::create`].
    pub fn reopen(dir: &Arc<TargetDir>, id: u64) -> io::Result<Option<PartFile>> {
        let name = part_name(id);
        let Some(file) = dir.reopen(&name)? else { return Ok(None) };
        lock(&file)?;
        Ok(Some(PartFile { file: Arc::new(file), dir: Arc::clone(dir), name }))
    }

    /// Deletes it, unless another file has its name by now.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove(&self) -> io::Result<()> {
        if self.is_at(self.name.as_str())? { self.dir.remove(&self.name) } else { Ok(()) }
    }

    /// Whether the file of this name in its directory is this one.
    fn is_at(&self, name: impl rustix::path::Arg) -> io::Result<bool> {
        let here = rustix::fs::fstat(&self.file)?;
        match rustix::fs::statat(self.dir.fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn check_is_at(&self, name: impl rustix::path::Arg) -> io::Result<()> {
        if self.is_at(name)? { Ok(()) } else { Err(io::Error::other(TakenAway)) }
    }

    /// The file system's number, and the file's in it.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        identity(&self.file)
    }

    /// Its length: the end of the last byte that was written.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The directory that it is in.
    #[must_use]
    pub fn dir(&self) -> &Arc<TargetDir> {
        &self.dir
    }

    /// The file itself; it stays locked for as long as anybody has it.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Those of pwrite(2).
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        bytes.chunks(limits::FETCH_WRITE).try_for_each(|chunk| {
            self.file.write_all_at(chunk, at)?;
            at += chunk.len() as u64;
            Ok(())
        })
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// Those of pread(2), and [`io::ErrorKind::UnexpectedEof`].
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// Claims the space for `size` bytes, so that nobody else takes it meanwhile; `false` where the file system can't.
    ///
    /// # Errors
    /// Those of fallocate(2): [`io::ErrorKind::StorageFull`] above all.
    pub fn allocate(&self, size: u64) -> io::Result<bool> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back the space of what was not written: `missing`, in rising order, up to the end of the file.
    ///
    /// # Errors
    /// Those of fallocate(2) and ftruncate(2).
    pub fn release(&self, missing: &[Range<u64>]) -> io::Result<()> {
        let len = self.length()?;
        for hole in missing.iter().filter(|hole| hole.start < len) {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match rustix::fs::fallocate(&self.file, punch, hole.start, hole.end.min(len) - hole.start) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // To its own length: that frees what was claimed beyond it.
        self.file.set_len(len)
    }

    /// Makes its content and its size durable.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives the file its name, durably; the name that it got.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where it may not have the name; [`TakenAway`].
    pub fn place(&self, name: &str, naming: Naming) -> io::Result<String> {
        self.check_is_at(self.name.as_str())?;
        let placed = match naming {
            Naming::Replace => {
                self.replace(name.as_bytes())?;
                return Ok(name.to_owned());
            }
            Naming::Exact => self.rename_to_free(name).map(|()| name.to_owned())?,
            Naming::Numbered => {
                let mut names = (0..limits::NUMBERED_NAMES).map(|number| numbered(name, number));
                loop {
                    let Some(name) = names.next() else { return Err(io::ErrorKind::AlreadyExists.into()) };
                    match self.rename_to_free(&name) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        renamed => break renamed.map(|()| name)?,
                    }
                }
            }
        };
        self.check_is_at(placed.as_str())?;
        self.dir.sync()?;
        Ok(placed)
    }

    /// Gives it this name, whatever file has it, and makes that durable. The name may be of any bytes.
    ///
    /// # Errors
    /// As [`PartFile::place`].
    pub fn replace(&self, name: &[u8]) -> io::Result<()> {
        self.check_is_at(self.name.as_str())?;
        match rustix::fs::renameat(self.dir.fd(), &self.name, self.dir.fd(), name) {
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            renamed => renamed?,
        }
        self.check_is_at(name)?;
        self.dir.sync()
    }

    fn rename_to_free(&self, name: &str) -> io::Result<()> {
        let dir = self.dir.fd();
        match rustix::fs::renameat_with(dir, &self.name, dir, name, RenameFlags::NOREPLACE) {
            // Some file systems can't; a second link is as good, and fails where the name is taken.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(dir, &self.name, dir, name, AtFlags::empty())?;
                self.dir.remove(&self.name)
            }
            renamed => Ok(renamed?),
        }
    }
}

/// Has what is read next come from the disk: what the kernel holds of a file need not be there after a sync that failed.
/// What is not written yet, and what another program has mapped, stays.
///
/// # Errors
/// Those of posix_fadvise(2).
pub fn uncache(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Takes the lock for as long as the file is open.
pub(super) fn lock(file: impl std::os::fd::AsFd) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        // Some file systems have no locks.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::ResourceBusy.into()),
        Err(error) => Err(error.into()),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The name under which a file was placed before netkitd could note it: one that it may have, and the file itself. Only
/// its number counts: that of its file system may be another one since the machine was started.
///
/// # Errors
/// What the file system says.
pub fn find_placed(
    dir: &TargetDir,
    name: &str,
    naming: Naming,
    inode: u64,
) -> io::Result<Option<(String, File)>> {
    let count = if naming == Naming::Numbered { limits::NUMBERED_NAMES } else { 1 };
    for name in (0..count).map(|number| numbered(name, number)) {
        match dir.file(&name) {
            Ok(None) => return Ok(None),
            Ok(Some(found)) if identity(&found)?.1 == inode => return Ok(Some((name, found))),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(Some(_)) | Err(_) => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
