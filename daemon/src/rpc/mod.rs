//! The control socket: JSON-RPC 2.0 for netkitctl and for scripts. `listener` accepts, `caller` tells who it is,
//! `session` serves one connection, `dispatch` keeps to the specification, `cmd` has the methods.

mod caller;
mod cmd;
mod dispatch;
mod events;
mod listener;
mod session;
mod subscriptions;

pub use caller::check_group;
pub use listener::{ControlSocket, ListenError};

use crate::config::{Changes, Config};
use crate::files::Shares;
use crate::hub::feed::Feed;
use crate::hub::handle::{ChatCounters, FileCounters, HubHandle, Snapshot};
use crate::logging::LogHandle;
use crate::store::Reader;
use caller::{Caller, Rights};
use netkit_proto::ids::Epoch;
use netkit_proto::rpc::call::Access;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{mpsc, oneshot, watch};

/// Asks for the configuration to be read again; answered with what changed, or why nothing did.
pub type ReloadRequest = oneshot::Sender<Result<Changes, String>>;

/// What sessions work with.
#[derive(Debug)]
pub struct Context {
    /// What is in force at present.
    pub config: watch::Receiver<Arc<Config>>,
    /// For what changes something.
    pub hub: HubHandle,
    /// For what follows the log.
    pub feed: Arc<Feed>,
    /// For what reads the log.
    pub reader: Reader,
    /// How the hub is.
    pub snapshot: watch::Receiver<Snapshot>,
    /// What is shared.
    pub shares: watch::Receiver<Arc<Shares>>,
    /// What the chat port counts.
    pub counters: Arc<ChatCounters>,
    /// What the file port counts.
    pub file_counters: Arc<FileCounters>,
    /// The file port's address.
    pub files_listen: SocketAddr,
    /// The configuration file.
    pub config_file: PathBuf,
    /// The chat port's address.
    pub chat_listen: SocketAddr,
    /// For `node.reload`.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// What the log could not take.
    pub log: LogHandle,
    /// Which log this is.
    pub epoch: Epoch,
    /// When netkitd started.
    pub started: Timestamp,
    /// Where the control socket is.
    pub socket: PathBuf,
    /// Open sessions.
    pub sessions: AtomicU64,
    /// Sessions refused since the start.
    pub sessions_refused: AtomicU64,
    /// Who may do what.
    pub rights: SharedRights,
}

/// Who may do what, replaced when the configuration changes.
#[derive(Debug)]
pub struct SharedRights(watch::Sender<Rights>);

impl From<&ControlSocket> for SharedRights {
    fn from(socket: &ControlSocket) -> SharedRights {
        SharedRights(watch::Sender::new(socket.rights()))
    }
}

impl SharedRights {
    fn watch(&self) -> watch::Receiver<Rights> {
        self.0.subscribe()
    }
}

impl Context {
    fn access(&self, caller: &Caller) -> Option<Access> {
        self.rights.0.borrow().access(caller)
    }

    fn check(&self, caller: &Caller, needed: Access) -> Result<(), Error> {
        self.rights.0.borrow().check(caller, needed)
    }

    fn check_epoch(&self, epoch: Option<Epoch>) -> Result<(), Error> {
        if epoch.is_none_or(|epoch| epoch == self.epoch) {
            return Ok(());
        }
        Err(Error::new(Kind::EpochChanged, "that place is in a log that was replaced since")
            .hint("read from the oldest event again: leave since out"))
    }
}
