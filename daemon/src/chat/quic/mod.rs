//! The QUIC endpoint on the chat socket (RFC 9000): its parameters, and its side of the socket. Made by the chat port; what
//! is said on connections is the business of `links`.

mod socket;

pub(super) use socket::QuicSocket;

use super::socket::SharedSocket;
use crate::identity::{Identity, tls};
use crate::limits;
use netkit_proto::chat::frame::ALPN;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use std::io;
use std::sync::Arc;

/// The version of QUIC that is spoken: the demultiplexer knows no other.
const VERSION: u32 = 1;

/// An endpoint, what to dial with, and where to put the packets that are its.
pub(super) struct Quic {
    pub endpoint: Endpoint,
    pub client: ClientConfig,
    pub socket: Arc<QuicSocket>,
}

/// Starts an endpoint. Needs a runtime.
pub(super) fn start(shared: Arc<SharedSocket>, identity: &Identity) -> io::Result<Quic> {
    let socket = Arc::new(QuicSocket::new(shared));
    let server = tls::server_config(identity, ALPN).map_err(io::Error::other)?;
    let server = QuicServerConfig::try_from(server).map_err(io::Error::other)?;
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(Arc::new(transport(1)));
    server.max_incoming(limits::GREETINGS);
    let client = tls::client_config(identity, ALPN).map_err(io::Error::other)?;
    let client = QuicClientConfig::try_from(client).map_err(io::Error::other)?;
    let mut client = ClientConfig::new(Arc::new(client));
    client.version(VERSION);
    client.transport_config(Arc::new(transport(0)));

    let cid_key = identity.cid_key().map_err(io::Error::other)?;
    let mut config = EndpointConfig::new(Arc::new(identity.reset_key().map_err(io::Error::other)?));
    config
        // Both keys outlive a restart, so that packets of connections of before are known, and answered by a reset.
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)))
        .min_reset_interval(limits::RESET_INTERVAL)
        // Without its fixed bit a packet could not be told from binary.
        .grease_quic_bit(false)
        .supported_versions(vec![VERSION])
        .max_udp_payload_size(limits::QUIC_PACKET)
        .map_err(io::Error::other)?;
    let abstract_socket = Arc::clone(&socket);
    let endpoint = Endpoint::new_with_abstract_socket(
        config,
        Some(server),
        abstract_socket,
        Arc::new(quinn::TokioRuntime),
    )?;
    Ok(Quic { endpoint, client, socket })
}

/// What a connection may do; `streams`: how many the peer may open.
fn transport(streams: u32) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW))
        .receive_window(VarInt::from_u32(limits::STREAM_WINDOW))
        .send_window(limits::SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(limits::LINK_KEEP_ALIVE))
        .max_idle_timeout(IdleTimeout::try_from(limits::LINK_IDLE).ok())
        .initial_rtt(limits::FIRST_ROUND_TRIP);
    config
}
