//! A connection to a peer's file port: TLS 1.3 with both identities, HTTP/1.1 over it, one request at a time. It is driven
//! by whoever reads from it, with no task of its own. Knows nothing of files.

use super::net;
use crate::hub::orders::{Failed, Way};
use crate::identity::{Identity, tls};
use crate::limits;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use netkit_proto::chat::frame::ALPN;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::code::Kind;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::error::Error as _;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Connection = http1::Connection<TokioIo<TlsStream<TcpStream>>, String>;

/// What connections are made with.
#[derive(Clone, Debug)]
pub(super) struct Client(Arc<ClientConfig>);

/// What an answer begins with.
#[derive(Debug)]
pub(super) struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The length of the body, where that is told.
    pub size: Option<u64>,
}

/// See the module.
pub(super) struct Channel {
    host: String,
    sender: SendRequest<String>,
    /// `None` once it ended.
    connection: Option<Pin<Box<Connection>>>,
    body: Option<Incoming>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Client {
    /// Proves this identity.
    ///
    /// # Errors
    /// Where TLS can't be set up.
    pub(super) fn new(identity: &Identity) -> Result<Client, rustls::Error> {
        tls::client_config(identity, ALPN).map(|config| Client(Arc::new(config)))
    }

    /// A connection to a peer, at the first of its addresses where it is.
    ///
    /// # Errors
    /// Why it is at none of them.
    pub(super) async fn connect(&self, way: &Way) -> Result<Channel, Failed> {
        let whom = &way.label;
        let mut last = Failed::passing(Kind::Network, format_args!("no address of {whom} is known"));
        for &address in &way.addresses {
            match timeout(limits::FETCH_CONNECT, self.connect_to(address, way)).await {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(failed)) => last = failed,
                Err(_) => {
                    let seconds = limits::FETCH_CONNECT.as_secs();
                    let why = format!("{whom} took no connection at {address} within {seconds} s");
                    last = Failed::passing(Kind::Timeout, why);
                }
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr, way: &Way) -> Result<Channel, Failed> {
        let whom = &way.label;
        let place = format!("{whom} at {address}");
        let unreachable = |error: &io::Error| {
            net::unreachable(&place, error)
                .hint("does netkitd run there, and does a firewall let its file port be reached (TCP 7891)?")
        };
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
        let not_proved = |why: &dyn fmt::Display| {
            Failed::passing(Kind::Tls, format_args!("{place} could not prove who it is: {why}"))
                .hint("is another service there, or an older netkitd?")
        };
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let name = ServerName::try_from(tls::SERVER_NAME).map_err(|why| not_proved(&why))?;
        let stream = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await;
        let stream = stream.map_err(|why| not_proved(&why))?;
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let found: Option<PeerId> = certificate.and_then(|certificate| tls::peer_id(certificate).ok());
        // Before anything is asked: no other box is to learn what is wanted of this one.
        if found != Some(way.id) {
            let found = found.map_or_else(|| "nobody".to_owned(), |found| found.to_string());
            return Err(Failed::passing(Kind::Tls, format_args!("another box is at {address}: {found}"))
                .hint(format_args!(
                    "{whom} may have moved; netkitctl peers show {whom} tells where it was seen"
                )));
        }
        if session.alpn_protocol() != Some(ALPN) {
            return Err(not_proved(&"it does not speak netkit/1"));
        }
        let handshake =
            http1::Builder::new().max_buf_size(limits::FETCH_BUFFER).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| broken(&error, whom))?;
        // Without the scope of a link-local address, which means nothing to the other side.
        let host = SocketAddr::new(address.ip(), address.port()).to_string();
        Ok(Channel { host, sender, connection: Some(Box::pin(connection)), body: None })
    }
}

/// What broke while a peer was asked or answered.
pub(super) fn broken(error: &hyper::Error, whom: &str) -> Failed {
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        _ if error.is_incomplete_message() => net::short(&whom),
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => net::short(&whom),
        Some(io) => net::broken(io, whom),
        None => Failed::passing(Kind::Network, format_args!("{whom} gave no proper answer: {error}")),
    }
}

impl Channel {
    /// How a request names the other side.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Sends a request; the answer's head. Its body is read by [`Channel::next`], to its end.
    ///
    /// # Errors
    /// Where the connection ended.
    pub(super) async fn ask(&mut self, request: Request<String>) -> Result<Head, hyper::Error> {
        let answer = self.sender.send_request(request);
        let response = drive(&mut self.connection, answer).await?;
        let (parts, body) = response.into_parts();
        let size = parts.headers.get(CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok());
        self.body = Some(body);
        Ok(Head { status: parts.status, headers: parts.headers, size })
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// Where it broke off.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        let Some(body) = &mut self.body else { return Ok(None) };
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            match drive(&mut self.connection, frame).await {
                None => {
                    self.body = None;
                    return Ok(None);
                }
                Some(frame) => {
                    if let Ok(bytes) = frame?.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// Whether another request can be sent.
    pub(super) fn is_reusable(&self) -> bool {
        self.body.is_none() && self.connection.is_some() && self.sender.is_ready()
    }
}

/// Waits for something that comes over a connection, which moves only while somebody does so. That the connection ended
/// is told by what is waited for.
async fn drive<T>(connection: &mut Option<Pin<Box<Connection>>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if let Some(moving) = connection
            && moving.as_mut().poll(cx).is_ready()
        {
            *connection = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}
