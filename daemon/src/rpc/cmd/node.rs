//! `node.status`, `node.reload` and `rpc.discover`.

use super::{Handle, Progress, Session};
use netkit_proto::rpc::call::{
    Access, ChatStatus, ControlStatus, Discover, DownloadStatus, Dropped, FileStatus, LogStatus, NodeReload,
    NodeStatus, PeerStatus, RefusedConnections, Reloaded, Status,
};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::schema;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::oneshot;

/// Asked of the kernel once: with each `node.status` it would be a system call more.
static PID: LazyLock<u32> = LazyLock::new(std::process::id);

impl Handle for NodeStatus {
    async fn start(self, session: &mut Session) -> Result<Progress<Status>, Error> {
        let context = &session.context;
        let hub = context.snapshot.borrow();
        let config = context.config.borrow();
        let drops = &context.counters;
        let files = &context.file_counters;
        Ok(Progress::Done(Status {
            name: config.node.name.to_string(),
            version: crate::VERSION.to_owned(),
            pid: *PID,
            started: context.started,
            access: context.access(&session.caller).unwrap_or(Access::Reader),
            log: LogStatus {
                epoch: context.epoch.0,
                head: hub.log.head,
                events: hub.log.events,
                bytes: hub.log.bytes,
                unverified: hub.log.unverified_events,
                trouble: hub.trouble.clone(),
            },
            chat: ChatStatus {
                listen: context.chat_listen.to_string(),
                plain: config.chat.plain,
                received: hub.received,
                sent: hub.sent,
                queued: hub.queued,
                dropped: Dropped {
                    kernel: drops.kernel.load(Relaxed),
                    saturated: drops.saturated.load(Relaxed),
                    not_allowed: drops.not_allowed.load(Relaxed),
                    not_accepted: drops.not_accepted.load(Relaxed),
                },
            },
            peers: PeerStatus {
                linked: hub.peers.linked,
                known: hub.peers.known,
                new: hub.peers.new,
                queued: hub.peers.queued,
                refused: hub.peers.refused + drops.quic_refused.load(Relaxed),
                dropped: drops.quic_dropped.load(Relaxed),
                full: hub.peers.full,
                challenged: drops.quic_challenged.load(Relaxed),
                mistakes: drops.mistakes.load(Relaxed),
            },
            files: FileStatus {
                listen: context.files_listen.to_string(),
                shares: context.shares.borrow().iter().count() as u64,
                open: files.open.load(Relaxed),
                served: files.served.load(Relaxed),
                bytes: files.bytes.load(Relaxed),
                refused: RefusedConnections {
                    not_allowed: files.not_allowed.load(Relaxed),
                    busy: files.busy.load(Relaxed),
                    silent: files.evicted.load(Relaxed),
                },
            },
            downloads: DownloadStatus {
                dir: config.downloads.dir.display().to_string(),
                active: hub.downloads.active,
                waiting: hub.downloads.waiting,
                paused: hub.downloads.paused,
                failed: hub.downloads.failed,
                rate: hub.downloads.rate,
                limit: hub.downloads.limit,
            },
            control: ControlStatus {
                socket: context.socket.to_string_lossy().into_owned(),
                sessions: context.sessions.load(Relaxed),
                refused: context.sessions_refused.load(Relaxed),
                log_lines_dropped: context.log.dropped(),
            },
        }))
    }
}

impl Handle for NodeReload {
    async fn start(self, session: &mut Session) -> Result<Progress<Reloaded>, Error> {
        let stopping = || Error::new(Kind::Unavailable, "netkitd is stopping");
        let (reply, answer) = oneshot::channel();
        session.context.reload.send(reply).await.map_err(|_| stopping())?;
        Ok(Progress::later(async move {
            let changes = answer.await.map_err(|_| stopping())?;
            let changes = changes.map_err(|why| {
                Error::new(Kind::BadConfig, why)
                    .hint("the configuration in force stays; mend the file and reload again")
            })?;
            Ok(Reloaded { changed: changes.live, needs_restart: changes.restart })
        }))
    }
}

impl Handle for Discover {
    async fn start(self, _: &mut Session) -> Result<Progress<serde_json::Value>, Error> {
        Ok(Progress::Done(schema::openrpc(crate::VERSION)))
    }
}
