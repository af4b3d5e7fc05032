//! The work on the disk for a directory that is fetched: what is there of it, its files' part files, its name. Blocks.

use super::super::verify;
use super::listing::Entry;
use crate::fetch::content::Content;
use crate::fetch::disk;
use crate::fetch::task::{Break, Task};
use crate::files::{Naming, PartFile, Stage, TargetDir, part_name, uncache};
use crate::hub::orders::{Done, Failed, StageRow, StagedFile};
use crate::limits;
use netkit_proto::files::checksum::Algorithm;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

/// What a directory begins with.
pub(super) struct Beginning {
    pub stage: Arc<Stage>,
    pub row: StageRow,
    /// Files that are there as they are wanted.
    pub done: BTreeMap<SafePath, StagedFile>,
    /// Bytes that were there and are of no use, and why.
    pub lost: Option<(u64, String)>,
}

fn open(task: &Task) -> Result<Arc<TargetDir>, Break> {
    if !task.engine.may_write(&task.start.target.root) {
        let why = format!("{} may not be written any more", task.start.target.root.display());
        return Err(Failed::new(Kind::Permission, why).hint("name it in downloads.allow").into());
    }
    let dir = TargetDir::open(&task.start.target, task.engine.group);
    Ok(Arc::new(dir.map_err(|error| disk::failed(&task.path, &error))?))
}

/// The directory that a netkitd placed which was killed before it could note so.
pub(super) fn placed_before(task: &Task) -> Result<Option<Done>, Break> {
    let dir = open(task)?;
    let failed = |error: &io::Error| disk::failed(&task.path, error);
    let (name, naming) = (task.start.target.name(), task.start.naming);
    if let Some((StageRow { complete: Some(blake3), file, .. }, files)) = &task.start.stage {
        let found = Stage::find_placed(&dir, &name, naming, file.1).map_err(|error| failed(&error))?;
        if let Some(name) = found {
            dir.sync().map_err(|error| failed(&error))?; // it may have been killed before that was durable
            let bytes = files.iter().map(|file| file.size).sum();
            return Ok(Some(Done { name, bytes, blake3: *blake3, verified: true, manifest: None }));
        }
    }
    if naming != Naming::Numbered && !matches!(dir.file(&name), Ok(None)) {
        return Err(disk::taken(&task.path.display()).into());
    }
    Ok(None)
}

/// Opens what an earlier try left, or begins anew; makes the directories, and sees that there is room.
pub(super) fn begin(task: &Task, entries: &[Entry]) -> Result<Beginning, Break> {
    let failed = |error: &io::Error| disk::failed(&task.path, error);
    let parent = open(task)?;
    let id = task.start.id;
    let mut lost = None;
    let mut there: (bool, &[StagedFile]) = (true, &[]);
    let kept = match &task.start.stage {
        None => None,
        Some((row, files)) => {
            let stage = Stage::reopen(&parent, id).map_err(|error| failed(&error))?;
            let is_it = |stage: &Stage| stage.identity().is_ok_and(|(_, inode)| inode == row.file.1);
            match stage.filter(is_it) {
                Some(stage) => {
                    there = (!task.engine.boot.is_empty() && row.boot == task.engine.boot, files);
                    Some(stage)
                }
                None => {
                    // Also where no byte was noted: what was is forgotten.
                    lost = Some((task.staged_bytes(), "what was staged of it is gone".to_owned()));
                    None
                }
            }
        }
    };
    let stage = match kept {
        Some(stage) => stage,
        None => Stage::create(&parent, id).map_err(|error| failed(&error))?,
    };
    let wanted: HashMap<&SafePath, &Entry> = entries.iter().map(|entry| (&entry.path, entry)).collect();
    let (is_trusted, files) = there;
    let mut done = BTreeMap::new();
    for file in files {
        let is_same = wanted
            .get(&file.path)
            .is_some_and(|entry| !entry.is_dir && entry.size == file.size && entry.modified == file.modified);
        if is_same && is_there(task, &stage, file, is_trusted)? {
            done.insert(file.path.clone(), file.clone());
        }
    }
    let part = task.start.part.as_ref().and_then(|(part, _)| part.within.as_ref());
    let is_large = |entry: &&Entry| !entry.is_dir && entry.size > limits::FETCH_SMALL;
    let part = part.filter(|path| wanted.get(path).is_some_and(is_large));
    let part = part.and_then(|path| path.parent().join(part_name(id).as_bytes()).ok());
    let mut dirs: HashSet<SafePath> =
        entries.iter().filter(|entry| entry.is_dir).map(|entry| entry.path.clone()).collect();
    // With those that what is kept is in.
    for path in done.keys().chain(&part) {
        let mut path = path.parent();
        while !path.is_root() && dirs.insert(path.clone()) {
            path = path.parent();
        }
    }
    let is_kept = |path: &SafePath, is_dir: bool| match is_dir {
        true => dirs.contains(path),
        false => done.contains_key(path) || part.as_ref() == Some(path),
    };
    stage.sweep(&is_kept).map_err(|error| failed(&error))?;
    for dir in entries.iter().filter(|entry| entry.is_dir) {
        stage.make_dir(&dir.path).map_err(|error| failed(&error))?;
    }
    let missing = entries.iter().filter(|entry| !done.contains_key(&entry.path));
    disk::check_room(&parent, &task.path, missing.map(|entry| entry.size).sum(), task.engine.keep_free())?;
    let boot = task.engine.boot.clone();
    let row = StageRow { boot, file: stage.identity().map_err(|error| failed(&error))?, complete: None };
    Ok(Beginning { stage: Arc::new(stage), row, done, lost })
}

/// Whether a file that was noted is there; after another boot, or a sync that failed, it is read from the disk, which it may
/// not have reached.
fn is_there(task: &Task, stage: &Stage, file: &StagedFile, is_trusted: bool) -> Result<bool, Break> {
    let failed = |error: io::Error| disk::failed(&task.path, &error);
    let Some(found) = stage.file(&file.path, file.size).map_err(failed)? else { return Ok(false) };
    if is_trusted {
        return Ok(true);
    }
    uncache(&found).map_err(failed)?;
    match verify::checksum(&found, Algorithm::Blake3, &task.stop) {
        Ok((checksum, _)) => Ok(checksum.digest() == file.hash),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Break::Stopped),
        Err(error) => Err(failed(error).into()),
    }
}

/// The part file of a file: the one of before, where it is of this one.
pub(super) fn part_of(task: &Task, stage: &Stage, path: &SafePath) -> Result<Content, Break> {
    let failed = |error: io::Error| disk::failed(&task.path, &error);
    let dir = stage.make_dir(&path.parent()).map_err(failed)?;
    let id = task.start.id;
    if let Some((part, rows)) =
        task.start.part.as_ref().filter(|(part, _)| part.within.as_ref() == Some(path))
        && let Some(file) = PartFile::reopen(&dir, id).map_err(failed)?
        && file.identity().map_err(failed)?.1 == part.file.1
    {
        return Ok(Content::resume(file, part.clone(), rows, &task.engine.boot).map_err(failed)?);
    }
    let file = PartFile::create(&dir, id).map_err(failed)?;
    let mut content = Content::new(file, &task.engine.boot).map_err(failed)?;
    content.about.within = Some(path.clone());
    Ok(content)
}

/// A file is complete: it gets its name within the directory.
pub(super) fn place(task: &Task, content: &Content, entry: &Entry) -> Result<(), Break> {
    Ok(super::placed(task, content, entry)?)
}

/// Why a complete directory has not got its name.
pub(super) enum Unfinished {
    Unsynced(Failed),
    Unnamed(Failed),
}

/// Makes all of it durable, and gives it its name.
pub(super) fn finish(task: &Task, stage: &Stage) -> Result<String, Unfinished> {
    let failed = |error: io::Error| disk::failed(&task.path, &error);
    stage.sync().map_err(|error| Unfinished::Unsynced(failed(error)))?;
    match stage.parent().is_still_of(&task.start.target) {
        Ok(true) => {}
        Ok(false) => return Err(Unfinished::Unnamed(disk::moved(&task.path))),
        Err(error) => return Err(Unfinished::Unnamed(failed(error))),
    }
    let placed = stage.place(&task.start.target.name(), task.start.naming);
    placed.map_err(|error| Unfinished::Unnamed(failed(error)))
}
