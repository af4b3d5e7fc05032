//! The control socket itself: one daemon for each, with the permissions that the configuration asks for. Accepts
//! connections and counts them; sessions do the rest.

use super::Context;
use super::caller::Rights;
use super::session;
use crate::config::Config;
use crate::limits;
use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use netkit_proto::rpc::call::Access;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::message;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the control socket can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon has it.
    #[error("another netkitd serves {0}; stop it, or set control.socket to another path")]
    Taken(PathBuf),
    /// The path is something else.
    #[error("{0} exists and is not a socket; remove it, or set control.socket to another path")]
    NotASocket(PathBuf),
    /// Anything that the system says.
    #[error("can't listen on the control socket {path}")]
    Io {
        /// The socket, or what beside it failed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound control socket.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Listener,
    file: SocketFile,
    rights: Rights,
}

/// The file of a control socket that is ours; dropping it removes the file.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Locked while the socket is ours.
    _lock: File,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "could not remove the control socket");
        }
    }
}

impl ControlSocket {
    /// Binds the socket. A socket file that nobody serves is replaced; a live daemon's is not.
    ///
    /// # Errors
    /// See [`ListenError`]. Needs a runtime; blocks on the name service.
    pub fn bind(config: &Config) -> Result<ControlSocket, ListenError> {
        let path = config.control.socket.clone();
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| ListenError::Io { path, source }
        };
        if let Some(parent) = path.parent() {
            make_parent(parent).map_err(io_error(parent))?;
        }
        let rights = Rights::resolve(config);
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(io_error(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ListenError::Taken(path)),
            Err(e) => return Err(io_error(&lock_path)(e.into())),
        }
        remove_stale(&path)?;
        let name = path.as_path().to_fs_name::<GenericFilePath>().map_err(io_error(&path))?;
        let listener =
            ListenerOptions::new().name(name).reclaim_name(false).create_tokio().map_err(io_error(&path))?;
        // The umask is 077: the socket is closed to others until it is opened here as far as it should be.
        let socket = ControlSocket { listener, file: SocketFile { path, _lock: lock }, rights };
        socket.open_up(config).map_err(io_error(&config.control.socket))?;
        Ok(socket)
    }

    /// Gives the socket's file the group and the mode that the rights ask for.
    fn open_up(&self, config: &Config) -> io::Result<()> {
        if let Some(gid) = self.rights.gid()
            && fs::metadata(&self.file.path)?.gid() != gid
            // Only root and members may give a file to a group: else the mode below keeps the others out.
            && let Err(error) = chown(&self.file.path, None, Some(gid))
        {
            tracing::warn!(%error, "can't give the control socket to control.group; is netkitd's user a member?");
        }
        let mode = self.rights.socket_mode(!config.control.readers.is_empty());
        fs::set_permissions(&self.file.path, Permissions::from_mode(mode))
    }

    /// Who may do what, as resolved at binding.
    pub(super) fn rights(&self) -> Rights {
        self.rights.clone()
    }

    /// Accepts connections until `stop`; the socket file stays, for the caller to drop at the very end.
    pub async fn run(
        mut self,
        context: Arc<Context>,
        stop: CancellationToken,
        tracker: TaskTracker,
    ) -> SocketFile {
        let mut config = context.config.clone();
        let (ended, mut ends) = mpsc::channel::<u32>(limits::SESSIONS);
        let mut by_uid: HashMap<u32, usize> = HashMap::new();
        let mut last_id = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(uid) = ends.recv() => forget(&mut by_uid, uid, &context),
                Ok(()) = config.changed() => self.on_config(&mut config, &context).await,
                accepted = self.listener.accept() => {
                    let stream = match accepted {
                        Ok(Stream::UdSocket(stream)) => UnixStream::from(stream),
                        Err(error) => {
                            // Out of descriptors or memory: others give theirs back in time.
                            tracing::warn!(%error, "can't accept on the control socket");
                            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                            continue;
                        }
                    };
                    let caller = match Rights::caller(&stream) {
                        Ok(caller) => caller,
                        Err(error) => {
                            tracing::debug!(%error, "a control connection left before it was looked at");
                            continue;
                        }
                    };
                    while let Ok(uid) = ends.try_recv() {
                        forget(&mut by_uid, uid, &context);
                    }
                    let access = match context.check(&caller, Access::Reader) {
                        Ok(()) => context.access(&caller),
                        Err(denied) => {
                            refuse(&stream, &denied);
                            continue;
                        }
                    };
                    if !has_room(&by_uid, caller.uid, access) {
                        context.sessions_refused.fetch_add(1, Relaxed);
                        let error = Error::new(Kind::Busy, "too many control sessions are open");
                        refuse(&stream, &error.hint("close some: netkitctl status shows how many there are"));
                        continue;
                    }
                    *by_uid.entry(caller.uid).or_default() += 1;
                    context.sessions.fetch_add(1, Relaxed);
                    last_id += 1;
                    let (id, uid, ended) = (last_id, caller.uid, ended.clone());
                    let session = session::run(stream, Arc::clone(&context), id, caller, stop.clone());
                    tracker.spawn(async move {
                        let notice = Notice { uid, ended };
                        session.await;
                        drop(notice);
                    });
                }
            }
        }
        self.file
    }

    async fn on_config(&mut self, config: &mut watch::Receiver<Arc<Config>>, context: &Context) {
        let config = Arc::clone(&config.borrow_and_update());
        let (old, new) = (self.rights.clone(), Arc::clone(&config));
        let Ok(rights) = tokio::task::spawn_blocking(move || old.refresh(&new)).await else { return };
        self.rights = rights.clone();
        context.rights.0.send_replace(rights);
        if let Err(error) = self.open_up(&config) {
            tracing::warn!(%error, "can't set the control socket's permissions");
        }
    }
}

/// Tells the listener that a session ended, also when it panicked.
struct Notice {
    uid: u32,
    ended: mpsc::Sender<u32>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        let _ = self.ended.try_send(self.uid); // there is room for every session; a stopped listener counts no more
    }
}

fn forget(by_uid: &mut HashMap<u32, usize>, uid: u32, context: &Context) {
    context.sessions.fetch_sub(1, Relaxed);
    if let Some(count) = by_uid.get_mut(&uid) {
        *count -= 1;
        if *count == 0 {
            by_uid.remove(&uid);
        }
    }
}

fn has_room(by_uid: &HashMap<u32, usize>, uid: u32, access: Option<Access>) -> bool {
    let all: usize = by_uid.values().sum();
    if access == Some(Access::Operator) {
        return all < limits::SESSIONS;
    }
    let own = by_uid.get(&uid).copied().unwrap_or(0);
    all < limits::SESSIONS - limits::SESSIONS_OF_OPERATORS && own < limits::SESSIONS_PER_READER
}

/// Tells why before closing; the client may not be reading, and is not waited for.
fn refuse(stream: &UnixStream, error: &Error) {
    let line = message::failure(&message::null_id(), error) + "\n";
    let _ = stream.try_write(line.as_bytes());
}

fn make_parent(parent: &Path) -> io::Result<()> {
    if parent.as_os_str().is_empty() || parent.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(parent)?;
    // Others must pass through it to reach the socket, whose own mode decides.
    fs::set_permissions(parent, Permissions::from_mode(0o755))
}

/// Removes a socket file that nobody serves. The lock is held: a daemon that has it can't be starting just now.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    use std::os::unix::fs::FileTypeExt as _;
    let io_error = |source| ListenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io_error(e)),
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match BlockingStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io_error),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(ListenError::Taken(path.to_owned())),
        Err(e) => Err(io_error(e)),
    }
}
