//! The download engine: does what the hub orders and reports how it goes. One download is one task (`task`, `transfer`); its
//! connections (`connection`) take runs of bytes from its `plan` and hand what comes to one thread (`writer`) that
//! hashes and writes (`content`). Kinds of source are `http` and `plain`. Decides nothing: what is tried again, and
//! when, is the hub's.

mod agenda;
mod answer;
mod channel;
mod connection;
mod content;
mod crew;
mod disk;
mod http;
mod limit;
mod list;
mod manifest;
mod net;
mod offer;
mod pace;
mod peer;
mod plain;
mod plan;
mod prepare;
mod source;
mod sources;
mod suspects;
mod task;
mod transfer;
mod tree;
mod verify;
mod writer;

use crate::config::Config;
use crate::files::{self, Group, Shares, Target, TargetDir};
use crate::hub::orders::{End, Failed, Order, Report};
use crate::identity::Identity;
use crate::limits;
use limit::Limiter;
use netkit_proto::rpc::code::Kind;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::{OnceCell, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the engine works with.
#[derive(Debug)]
pub struct Ends {
    /// What is in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// What to do.
    pub orders: mpsc::Receiver<Order>,
    /// How it goes.
    pub reports: mpsc::Sender<Report>,
    /// The most bytes a second for all downloads together; 0 = no limit.
    pub limit: watch::Receiver<u64>,
    /// What is shared: what is fetched into that can be had here, too.
    pub shares: watch::Receiver<Arc<Shares>>,
    /// Who may read what is downloaded.
    pub group: Group,
    /// What this box proves to peers.
    pub identity: Arc<Identity>,
}

/// What all downloads share.
#[derive(Debug)]
struct Engine {
    config: watch::Receiver<Arc<Config>>,
    reports: mpsc::Sender<Report>,
    shares: watch::Receiver<Arc<Shares>>,
    limit: Arc<Limiter>,
    client: OnceCell<reqwest::Client>,
    /// For peers.
    peers: channel::Client,
    /// Who may ask a peer for a listing.
    listings: Semaphore,
    group: Group,
    /// Held while space is claimed.
    claims: Mutex<()>,
    /// Where those go that will do with no other name.
    taken: Mutex<HashSet<PathBuf>>,
    /// Names the time since the machine was started; empty where that can't be told, and then every start counts as one.
    boot: String,
    stop: CancellationToken,
}

impl Engine {
    /// The HTTP client, made when it is needed first: a netkitd that fetches nothing does without.
    async fn client(&self) -> Result<reqwest::Client, Failed> {
        let made = self.client.get_or_try_init(|| async {
            let made = tokio::task::spawn_blocking(http::client).await.map_err(|e| e.to_string())?;
            made.map_err(|e| e.to_string())
        });
        let client =
            made.await.map_err(|why| Failed::new(Kind::Tls, format_args!("can't set up TLS: {why}")))?;
        Ok(client.clone())
    }

    fn keep_free(&self) -> u64 {
        self.config.borrow().downloads.keep_free
    }

    fn connections(&self) -> u8 {
        self.config.borrow().downloads.connections
    }

    fn may_write(&self, root: &Path) -> bool {
        let config = self.config.borrow();
        root == config.downloads.dir || config.downloads.allow.iter().any(|allowed| allowed.0 == root)
    }
}

/// Works until `stop`; what runs then stops, and keeps what came.
///
/// # Errors
/// Where TLS can't be set up; a download's failure is its own.
pub async fn run(mut ends: Ends, stop: CancellationToken) -> io::Result<()> {
    let engine = Arc::new(Engine {
        config: ends.config,
        reports: ends.reports,
        shares: ends.shares,
        limit: Arc::new(Limiter::new(ends.limit)),
        client: OnceCell::new(),
        peers: channel::Client::new(&ends.identity).map_err(io::Error::other)?,
        listings: Semaphore::new(limits::LISTS),
        group: ends.group,
        claims: Mutex::default(),
        taken: Mutex::default(),
        boot: boot_id(),
        stop: stop.clone(),
    });
    let tasks = TaskTracker::new();
    loop {
        let order = tokio::select! {
            () = stop.cancelled() => break,
            order = ends.orders.recv() => order,
        };
        match order {
            None => stop.cancelled().await, // the hub is gone, and with it netkitd soon
            Some(Order::Start(start)) => {
                let (engine, id) = (Arc::clone(&engine), start.id);
                tasks.spawn(async move {
                    let ended = tokio::spawn(task::run(Arc::clone(&engine), *start)).await;
                    let end = ended.unwrap_or_else(|panic| {
                        let why = format!("the download failed inside netkitd: {panic}");
                        End::Failed(Failed::new(Kind::InternalError, why))
                    });
                    let _ = engine.reports.send(Report::Ended(id, end)).await; // the hub is there, or all ends
                });
            }
            Some(Order::List(list)) => {
                tasks.spawn(list::answer(Arc::clone(&engine), *list));
            }
            Some(Order::Discard(id, target)) => {
                let engine = Arc::clone(&engine);
                tasks.spawn(async move {
                    let discarded = tokio::task::spawn_blocking(move || discard(id, &target)).await;
                    let discarded = discarded.unwrap_or_else(|panic| Err(panic.to_string()));
                    let _ = engine.reports.send(Report::Discarded(id, discarded)).await; // as above
                });
            }
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Deletes what came of a download.
fn discard(id: u64, target: &Target) -> Result<(), String> {
    let removed = TargetDir::existing(target).and_then(|dir| match dir {
        Some(dir) => files::discard(&dir, id),
        None => Ok(()),
    });
    removed.map_err(|error| format!("its part file beside {} stays: {error}", target.shown().display()))
}

/// random(4): made at each start of the machine.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_else(
        |error| {
            tracing::warn!(%error, "can't tell one boot from another: part files are checked at each start");
            String::new()
        },
    )
}

#[cfg(test)]
mod tests;
