//! Names, connections and what goes wrong with them, in the words that people are told. Shared by the kinds of source.

use crate::hub::orders::Failed;
use crate::limits;
use netkit_proto::rpc::code::Kind;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The addresses of a host.
///
/// # Errors
/// [`Kind::NameResolution`].
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failed> {
    let lookup = tokio::time::timeout(limits::RESOLVE, tokio::net::lookup_host((host, port)));
    match lookup.await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => Err(unresolved(host, &error)),
        Err(_) => Err(unresolved(host, &format_args!("no answer within {} s", limits::RESOLVE.as_secs()))),
    }
}

pub(super) fn unresolved(host: &str, why: &dyn Display) -> Failed {
    Failed::passing(Kind::NameResolution, format_args!("can't find the address of {host}: {why}"))
        .hint("use the address itself, or check the name: getent hosts NAME")
}

/// A connection to the first address of a host that takes one.
///
/// # Errors
/// [`Kind::NameResolution`], [`Kind::Network`], [`Kind::Timeout`].
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, Failed> {
    let mut last = unresolved(host, &"it has none");
    for address in resolve(host, port).await? {
        match tokio::time::timeout(limits::FETCH_CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = unreachable(&format_args!("{host}:{port}"), &error),
            Err(_) => {
                let why =
                    format!("{address} took no connection within {} s", limits::FETCH_CONNECT.as_secs());
                last = Failed::passing(Kind::Timeout, why);
            }
        }
    }
    Err(last)
}

pub(super) fn unreachable(whom: &dyn Display, error: &io::Error) -> Failed {
    Failed::passing(Kind::Network, format_args!("can't connect to {whom}: {error}"))
        .hint("is the server running, and does a firewall let it be reached?")
}

/// A connection that broke while bytes were coming.
pub(super) fn broken(error: &io::Error, host: &str) -> Failed {
    Failed::passing(Kind::Network, format_args!("the connection to {host} broke: {error}"))
}

/// A file that ended before it should.
pub(super) fn short(host: &dyn Display) -> Failed {
    Failed::passing(Kind::Short, format_args!("{host} sent fewer bytes than it announced"))
}
