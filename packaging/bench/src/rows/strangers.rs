//! Many peers in this process, each with an identity of its own and one idle link to a netkitd; they share a UDP socket
//! and a thread. Used by `links`.

use anyhow::{Context as _, Result};
use netkit_daemon::identity::{Identity, tls};
use netkit_proto::chat::frame::{ALPN, Decoder, Frame, Hello, VERSION, encode};
use netkit_proto::ids::{Epoch, PeerId};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// As netkitd keeps its own links alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// All of them.
pub(crate) struct Strangers {
    /// Held open.
    links: Vec<(Connection, SendStream, RecvStream)>,
    endpoint: Endpoint,
    dir: TempDir,
    runtime: Runtime, // goes last: what is above ends on it
}

impl Strangers {
    pub(crate) fn new() -> Result<Strangers> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let guard = runtime.enter();
        let endpoint =
            Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).context("cannot open a UDP socket")?;
        drop(guard);
        let dir = TempDir::with_prefix("netkit-bench-ids-").context("cannot make a temporary directory")?;
        Ok(Strangers { runtime, endpoint, dir, links: Vec::new() })
    }

    /// Links one more; when this returns, netkitd knows it.
    pub(crate) fn link(&mut self, to: SocketAddr) -> Result<PeerId> {
        let n = self.links.len();
        let own = self.dir.path().join(n.to_string());
        fs::create_dir(&own)?;
        let identity = Identity::load_or_create(&own, None)?;
        let crypto = QuicClientConfig::try_from(tls::client_config(&identity, ALPN)?)?;
        let mut transport = TransportConfig::default();
        transport.keep_alive_interval(Some(KEEP_ALIVE)).receive_window(VarInt::from_u32(64 << 10));
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        let link = self.runtime.block_on(async {
            let connecting = self.endpoint.connect_with(config, to, tls::SERVER_NAME)?;
            let connection = connecting.await.context("no link")?;
            let (mut send, mut receive) = connection.open_bi().await?;
            let mut hello = Vec::new();
            encode(&Frame::Hello(introduction(n)?), &mut hello);
            send.write_all(&hello).await?;
            let mut decoder = Decoder::default();
            // Where netkitd tells how far it has stored what was said before, its hub knows the link.
            while !matches!(decoder.frame()?, Some(Frame::Stored { .. })) {
                if let Some(chunk) = receive.read_chunk(4096, true).await? {
                    decoder.push(&chunk.bytes);
                }
            }
            anyhow::Ok((connection, send, receive))
        })?;
        self.links.push(link);
        Ok(identity.id())
    }
}

fn introduction(n: usize) -> Result<Hello> {
    let name = format!("peer{n}").parse()?;
    let (instance, epoch) = (n as u64, Epoch(n as u64));
    Ok(Hello {
        name,
        version: VERSION,
        features: Vec::new(),
        instance,
        file_port: None,
        rooms: Vec::new(),
        epoch,
    })
}
