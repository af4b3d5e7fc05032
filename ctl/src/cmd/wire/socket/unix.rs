//! Opens AF_UNIX sockets, and removes their files as long as they are ours. Called by `socket` alone. A path that begins
//! with `@` is an abstract name, as unix(7) has them.

use super::{Action, Endpoint, Family, Opened, failure};
use crate::exit::{Exit, Failure, Outcome};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

const BACKLOG: i32 = 1024;

/// The file of a socket that we made.
pub(crate) struct SocketFile {
    path: PathBuf,
    id: Id,
}

/// Device, inode, and when it was made, since inodes are used again: whoever replaced the file keeps theirs. Nothing
/// writes to a socket's file, so that its time stays.
type Id = (u64, u64, i64, i64);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id_of(&self.path) == Some(self.id) {
            let _ = std::fs::remove_file(&self.path); // nobody is left to be told
        }
    }
}

fn id_of(path: &std::path::Path) -> Option<Id> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

pub(super) fn open(endpoint: &Endpoint) -> Outcome<(Opened, Option<SocketFile>)> {
    let kind = if endpoint.family == Family::Unix { SocketType::STREAM } else { SocketType::DGRAM };
    let address = parse(&endpoint.address)?;
    let fd = make(kind)?;
    match (endpoint.action, endpoint.family) {
        (Action::Listen, Family::Unix) => {
            let file = bind_to(&fd, &endpoint.address, &address, kind)?;
            listen(&fd, BACKLOG).map_err(|e| failure(format!("listening on {}", endpoint.address), e))?;
            Ok((Opened::Clients { fd }, file))
        }
        (Action::Listen, _) => {
            let file = bind_to(&fd, &endpoint.address, &address, kind)?;
            Ok((Opened::Datagrams { fd, to: None, is_connected: false }, file))
        }
        (Action::Connect, family) => {
            let file = match &endpoint.bind {
                Some(path) => bind_to(&fd, path, &parse(path)?, kind)?,
                None if family == Family::Unix => None,
                None => {
                    // Without a name nobody could answer; the kernel picks one (autobind, unix(7)).
                    let bound = bind(&fd, &SocketAddrUnix::new_unnamed());
                    bound.map_err(|e| failure("taking a name to be answered at".into(), e))?;
                    None
                }
            };
            connect(&fd, &address).map_err(|e| {
                let failed = failure(format!("connecting to {}", endpoint.address), e);
                match e {
                    Errno::CONNREFUSED => failed.hint("no program listens on that socket, or not any more"),
                    Errno::AGAIN => failed.hint("too many connections wait there to be accepted"),
                    Errno::PROTOTYPE => {
                        failed.hint("it is of the other type: unix is a stream, unix-dgram datagrams")
                    }
                    _ => failed,
                }
            })?;
            let opened = if family == Family::Unix {
                Opened::Stream { fd, to: address.into() }
            } else {
                Opened::Datagrams { fd, to: Some(address.into()), is_connected: true }
            };
            Ok((opened, file))
        }
    }
}

fn make(kind: SocketType) -> Outcome<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, kind, flags, None).map_err(|e| failure("making a socket".into(), e))
}

fn parse(text: &str) -> Outcome<SocketAddrUnix> {
    let address = match text.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(text),
    };
    address.map_err(|e| failure(format!("the path {text}"), e))
}

/// Binds; a file whose program is gone is replaced, a live one never is.
fn bind_to(
    fd: &OwnedFd,
    text: &str,
    address: &SocketAddrUnix,
    kind: SocketType,
) -> Outcome<Option<SocketFile>> {
    let failed = |e| failure(format!("binding {text}"), e);
    match bind(fd, address) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) if is_dead(text, address, kind)? => {
            std::fs::remove_file(text).map_err(|e| {
                Failure::new(Exit::Failed, format!("replacing {text}, whose program is gone: {e}"))
            })?;
            bind(fd, address).map_err(failed)?;
        }
        Err(Errno::ADDRINUSE) if is_other_file(text, address) => {
            let why = "a file of that name is in the way, which is no socket and is not removed";
            return Err(Failure::new(Exit::Failed, format!("binding {text}: {why}")));
        }
        Err(e) => return Err(failed(e)),
    }
    let path = address.path_bytes().map(|_| PathBuf::from(text));
    Ok(path.and_then(|path| id_of(&path).map(|id| SocketFile { path, id })))
}

/// Whether the file is a socket that no program has open.
fn is_dead(text: &str, address: &SocketAddrUnix, kind: SocketType) -> Outcome<bool> {
    let is_socket = std::fs::symlink_metadata(text).is_ok_and(|found| found.file_type().is_socket());
    Ok(is_socket && connect(make(kind)?, address) == Err(Errno::CONNREFUSED))
}

/// Whether there is a file that is no socket.
fn is_other_file(text: &str, address: &SocketAddrUnix) -> bool {
    let found = address.path_bytes().and_then(|_| std::fs::symlink_metadata(text).ok());
    found.is_some_and(|found| !found.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(family: Family, action: Action, address: &str) -> Endpoint {
        Endpoint {
            family,
            action,
            address: address.to_owned(),
            bind: None,
            interface: None,
            ttl: None,
            broadcast: false,
            multicast_loop: true,
        }
    }

    #[test]
    fn only_our_own_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let text = path.to_str().unwrap();
        for family in [Family::Unix, Family::UnixDgram] {
            let listening = endpoint(family, Action::Listen, text);
            let first = open(&listening).unwrap();
            assert!(open(&listening).is_err(), "a live one is not replaced");
            drop(first);
            assert!(!path.exists(), "ours is removed");

            // A dead one is replaced; one that replaced ours stays.
            let (_, file) = open(&listening).unwrap();
            std::mem::forget(file);
            let (_, file) = open(&listening).unwrap();
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "somebody else's").unwrap();
            drop(file);
            assert!(path.exists());
            assert!(open(&listening).is_err(), "what is no socket is not replaced");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
