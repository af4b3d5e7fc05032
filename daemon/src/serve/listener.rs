//! Accepts connections to the file port and hands each to a task of its own.

use super::blob;
use super::connection;
use super::site::{Ends, Site};
use crate::limits;
use crate::listen;
use socket2::Type;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A bound file port.
#[derive(Debug)]
pub struct FilePort {
    listener: TcpListener,
    /// The address in use.
    pub listen: SocketAddr,
}

impl FilePort {
    /// Binds `listen`; `[::]` serves IPv4 too, and is `0.0.0.0` where IPv6 is off.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(listen: SocketAddr) -> io::Result<FilePort> {
        let socket = listen::bind(listen, Type::STREAM)?;
        socket.listen(limits::BACKLOG)?;
        let listener = TcpListener::from(socket);
        let listen = listener.local_addr()?;
        Ok(FilePort { listener, listen })
    }

    /// Serves until `stop`; transfers under way are cut off.
    ///
    /// # Errors
    /// Where the listener can't be used.
    pub async fn run(self, ends: Ends, stop: CancellationToken) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let (site, sought) = Site::new(ends).map_err(io::Error::other)?;
        let site = Arc::new(site);
        let tracker = TaskTracker::new();
        let (for_peers, until) = (Arc::clone(&site), stop.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = until.cancelled() => {}
                () = blob::answer_peers(for_peers, sought) => {}
            }
        });
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors or memory: others give theirs back in time.
                    tracing::warn!(%error, "can't accept on the file port");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let from = from.ip().to_canonical();
            if !site.config().files.allow.contains(from) {
                site.counters.not_allowed.fetch_add(1, Relaxed);
                let _ = stream.set_zero_linger(); // a clean end would be an empty file
                continue;
            }
            let (site, stop) = (Arc::clone(&site), stop.clone());
            tracker.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = connection::run(stream, from, site) => {}
                }
            });
        }
        tracker.close();
        tracker.wait().await;
        Ok(())
    }
}
