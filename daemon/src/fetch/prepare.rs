//! What is there before a download asks its source, and the check of what came. Works on the disk, so it blocks.

use super::content::Content;
use super::task::{Break, Task};
use super::{disk, verify};
use crate::files::{self, Naming, PartFile, TargetDir};
use crate::hub::orders::{BlockRow, Done, Failed, PartRow};
use netkit_proto::files::checksum::{Algorithm, Checksum};
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::rpc::code::Kind;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// What a download begins with.
pub(super) struct Prepared {
    pub there: There,
    /// Bytes that were there and are of no use, and why.
    pub restarted: Option<(u64, String)>,
}

/// What is there.
pub(super) enum There {
    /// All that is wanted.
    File(Done),
    /// A part file, perhaps with something in it.
    Part(Box<Content>),
}

/// Opens the directory, and what an earlier try left in it.
pub(super) fn prepare(task: &Task) -> Result<Prepared, Break> {
    let failed = |error: &io::Error| disk::failed(&task.path, error);
    if !task.engine.may_write(&task.start.target.root) {
        let why = format!("{} may not be written any more", task.start.target.root.display());
        return Err(Failed::new(Kind::Permission, why).hint("name it in downloads.allow").into());
    }
    let dir = TargetDir::open(&task.start.target, task.engine.group).map_err(|error| failed(&error))?;
    let dir = Arc::new(dir);
    if let Some(done) = placed_before(task, &dir)? {
        return Ok(Prepared { there: There::File(done), restarted: None });
    }
    if let Some(done) = identical(task, &dir)? {
        files::discard(&dir, task.start.id).map_err(|error| failed(&error))?; // it is not needed any more
        return Ok(Prepared { there: There::File(done), restarted: None });
    }
    let id = task.start.id;
    let mut restarted = None;
    if let Some((part, rows)) = own_part(task) {
        match resumable(task, &dir, part).map_err(|error| failed(&error))? {
            Ok(file) => {
                let boot = &task.engine.boot;
                let content =
                    Content::resume(file, part.clone(), rows, boot).map_err(|error| failed(&error))?;
                let noted: u64 = rows.iter().map(|row| row.bytes).sum();
                let lost = noted.saturating_sub(content.ledger().bytes());
                if lost > 0 {
                    tracing::info!(
                        download = id,
                        lost,
                        "bytes of before the last boot did not reach the disk"
                    );
                }
                return Ok(Prepared { there: There::Part(Box::new(content)), restarted });
            }
            Err(Useless { there, why }) => {
                let lost = there.unwrap_or_else(|| rows.iter().map(|row| row.bytes).sum());
                restarted = (lost > 0).then(|| (lost, why.to_owned()));
            }
        }
    }
    let file = PartFile::create(&dir, id).map_err(|error| failed(&error))?;
    let content = Content::new(file, &task.engine.boot).map_err(|error| failed(&error))?;
    Ok(Prepared { there: There::Part(Box::new(content)), restarted })
}

/// What was noted of the part file; one of a file within a directory, as which this came before, is none.
fn own_part(task: &Task) -> Option<&(PartRow, Vec<BlockRow>)> {
    task.start.part.as_ref().filter(|(part, _)| part.within.is_none())
}

/// A part file that a download can't go on with.
struct Useless {
    /// The bytes in it, where those that were noted may not be all.
    there: Option<u64>,
    why: &'static str,
}

/// The part file, if the download can go on with it.
fn resumable(task: &Task, dir: &Arc<TargetDir>, part: &PartRow) -> io::Result<Result<PartFile, Useless>> {
    let Some(file) = PartFile::reopen(dir, task.start.id)? else {
        return Ok(Err(Useless { there: None, why: "its part file is gone" }));
    };
    // The number of a file system may be another one since the machine was started.
    let ((device, inode), (device_then, inode_then)) = (file.identity()?, part.file);
    if inode != inode_then || (part.boot == task.engine.boot && device != device_then) {
        return Ok(Err(Useless { there: None, why: "its part file is another file now" }));
    }
    if part.complete.is_none() && (part.size.is_none() || part.validator.is_none()) {
        // One connection brought it from its start on.
        let there = Some(file.length()?);
        return Ok(Err(Useless { there, why: "this source can't go on in the middle of a file" }));
    }
    Ok(Ok(file))
}

/// The file that a netkitd placed which was killed before it could note so.
fn placed_before(task: &Task, dir: &TargetDir) -> Result<Option<Done>, Break> {
    let Some((PartRow { complete: Some(blake3), file, .. }, _)) = own_part(task) else { return Ok(None) };
    let found = files::find_placed(dir, &task.start.target.name(), task.start.naming, file.1)
        .map_err(|error| disk::failed(&task.path, &error))?;
    let Some((name, file)) = found else { return Ok(None) };
    let (checksum, bytes) = digest(task, &file, Algorithm::Blake3)?;
    let verified = task.start.checksum.is_some() || task.is_of_peer();
    if checksum.digest() != blake3 {
        return Ok(None);
    }
    // It may have been killed before that was durable, or before the name of the part was gone: see `PartFile::place`.
    let is_durable = dir.sync().and_then(|()| files::discard(dir, task.start.id));
    is_durable.map_err(|error| disk::failed(&task.path, &error))?;
    Ok(Some(Done { name, bytes, blake3: *blake3, verified, manifest: None }))
}

/// A file of the wanted name that is what the checksum names; that it is another file is a failure where only that
/// name will do.
fn identical(task: &Task, dir: &TargetDir) -> Result<Option<Done>, Break> {
    let name = task.start.target.name();
    let taken = || Err(disk::taken(&task.path.display()).into());
    let exact = task.start.naming == Naming::Exact;
    let file = match dir.file(&name) {
        Ok(None) => return Ok(None),
        Ok(Some(file)) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return if exact { taken() } else { Ok(None) };
        }
        // It can't be read, and so not compared.
        Err(_) if exact => return taken(),
        Err(_) => return Ok(None),
    };
    if let Some(wanted) = &task.start.checksum {
        let (found, bytes) = digest(task, &file, wanted.algorithm())?;
        if found == *wanted {
            let (blake3, _) = digest(task, &file, Algorithm::Blake3)?;
            let blake3 = BlockHash::try_from(blake3.digest()).unwrap_or_default();
            return Ok(Some(Done { name, bytes, blake3, verified: true, manifest: None }));
        }
    }
    if exact { taken() } else { Ok(None) }
}

/// Checks the content, with its hash by its blocks, against the checksum, if there is one; what a peer gave was compared
/// block by block before. What is not what was wanted is deleted: a later try must not find it.
pub(super) fn verify(task: &Task, content: &Content, blake3: BlockHash) -> Result<bool, Break> {
    let part = content.file();
    let Some(wanted) = &task.start.checksum else { return Ok(task.is_of_peer()) };
    let found = match wanted.algorithm() {
        // Where a block is only believed to be there, the file is read: the checksum is somebody's own word.
        Algorithm::Blake3 if content.is_seen() => Checksum::new(Algorithm::Blake3, &blake3),
        other => Some(digest(task, part.file(), other)?.0),
    };
    if found.as_ref() == Some(wanted) {
        return Ok(true);
    }
    part.remove().map_err(|error| disk::failed(&task.path, &error))?;
    let found = found.map(|found| found.to_string()).unwrap_or_default();
    let why = format!("the content is not what the checksum names: it is {found}, not {wanted}");
    Err(Failed::new(Kind::Checksum, why)
        .hint("the file at the source is another one, or damaged; compare the checksum with its publisher's")
        .into())
}

fn digest(task: &Task, file: &File, algorithm: Algorithm) -> Result<(Checksum, u64), Break> {
    verify::checksum(file, algorithm, &task.stop).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Break::Stopped,
        _ => disk::failed(&task.path, &error).into(),
    })
}
