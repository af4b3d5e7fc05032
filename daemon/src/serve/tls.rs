//! TLS on the file port (RFC 8446), with the box's identity. A certificate is asked for only of who says by ALPN (RFC 7301)
//! that it is a netkit box: a browser would ask its user for one. Whoever has proved a key is a peer; what it may see is not
//! decided here.

use super::stream::Stream;
use crate::identity::{Identity, tls};
use netkit_proto::chat::frame::ALPN;
use netkit_proto::ids::PeerId;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use std::io;
use std::sync::Arc;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// What others than netkit boxes speak (RFC 7301, section 6).
const HTTP_1: &[u8] = b"http/1.1";

/// How callers of each kind are answered.
#[derive(Debug)]
pub(super) struct Tls {
    peers: Arc<ServerConfig>,
    others: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn new(identity: &Identity) -> Result<Tls, rustls::Error> {
        Ok(Tls {
            peers: Arc::new(tls::server_config(identity, ALPN)?),
            others: Arc::new(tls::public_server_config(identity, HTTP_1)?),
        })
    }

    /// Shakes hands, and tells who the caller proved to be; `lets_others`: one that is no netkit box is let in, too.
    pub(super) async fn accept(
        &self,
        stream: Stream,
        lets_others: bool,
    ) -> io::Result<(TlsStream<Stream>, Option<PeerId>)> {
        let reset = stream.reset();
        let shaken = async {
            let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            let is_netkit = start.client_hello().alpn().is_some_and(|mut offered| offered.any(|p| p == ALPN));
            if !is_netkit && !lets_others {
                return Err(io::Error::other("only netkit boxes are let in"));
            }
            start.into_stream(Arc::clone(if is_netkit { &self.peers } else { &self.others })).await
        };
        let stream = shaken.await.inspect_err(|_| reset.clear())?; // a reset would eat the alert that says why
        let certificate = stream.get_ref().1.peer_certificates().and_then(|all| all.first());
        let peer = certificate.map(tls::peer_id).transpose().map_err(io::Error::other)?;
        Ok((stream, peer))
    }
}
