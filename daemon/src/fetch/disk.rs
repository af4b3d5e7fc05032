//! What can go wrong with the disk that a file goes to, in the words that people are told.

use crate::files::{TakenAway, TargetDir};
use crate::hub::orders::Failed;
use bytesize::ByteSize;
use netkit_proto::rpc::code::Kind;
use rustix::io::Errno;
use std::io;
use std::path::Path;

/// What to do about a full disk.
const MAKE_ROOM: &str = "make room, then retry it; what came is kept";

/// The directory is another one than when the download began.
pub(super) fn moved(path: &Path) -> Failed {
    let path = path.display();
    Failed::passing(
        Kind::Unavailable,
        format_args!("the directory of {path} was moved, or replaced by another one"),
    )
}

/// What the file system said of the file, or its directory, at `path`.
pub(super) fn failed(path: &Path, error: &io::Error) -> Failed {
    let path = path.display();
    if error.get_ref().is_some_and(|inner| inner.is::<TakenAway>()) {
        return Failed::passing(Kind::Unavailable, format_args!("{path} starts over: {error}"));
    }
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            Failed::passing(Kind::Busy, format_args!("another netkitd writes the part file beside {path}"))
                .hint("let each have a directory of its own: downloads.dir, and -o")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failed::new(Kind::NoSpace, format_args!("no space left for {path}"))
                .hint(MAKE_ROOM)
        }
        io::ErrorKind::FileTooLarge => Failed::new(
            Kind::NoSpace,
            format_args!("the file system, or a limit, takes no file as large as {path} gets"),
        ),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Failed::new(Kind::Permission, format_args!("netkitd may not write {path}: {error}"))
                .hint("netkitd's user must be able to write there, and the service's sandbox must let it: ReadWritePaths=")
        }
        io::ErrorKind::AlreadyExists => taken(&path),
        _ if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => Failed::new(
            Kind::Permission,
            format_args!("a link on the way to {path} leads out of the directory that downloads may go to"),
        )
        .hint("name where it leads to in downloads.allow, and in -o"),
        _ => Failed::new(Kind::Unavailable, format_args!("can't write {path}: {error}"))
            .hint("look at the directory and its disk; what came is kept where it can be"),
    }
}

/// The name belongs to another file.
pub(super) fn taken(path: &dyn std::fmt::Display) -> Failed {
    Failed::new(Kind::Exists, format_args!("{path} exists already, or is being fetched"))
        .hint("take another name (-o); --force replaces a file, never a directory")
}

/// Fails where the disk has no room for `needed` bytes besides those that are to stay free.
pub(super) fn check_room(dir: &TargetDir, path: &Path, needed: u64, keep_free: u64) -> Result<(), Failed> {
    let free = dir.free().map_err(|error| failed(path, &error))?;
    if free >= needed.saturating_add(keep_free) {
        return Ok(());
    }
    let size = |bytes| ByteSize::b(bytes).display().iec();
    let what = if needed == 0 { "more".to_owned() } else { size(needed).to_string() };
    let why = format!(
        "no space left for {}: {what} to come, {} free, of which downloads.keep_free keeps {}",
        path.display(),
        size(free),
        size(keep_free)
    );
    Err(Failed::new(Kind::NoSpace, why).hint(MAKE_ROOM))
}
