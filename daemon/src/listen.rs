//! Binds an address for IPv4 and IPv6 in one socket. Used by the chat port and the file port.

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// A bound, non-blocking socket of this type; `[::]` is for IPv4 too, and becomes `0.0.0.0` where IPv6 is off.
///
/// # Errors
/// Those of socket(2) and bind(2).
pub fn bind(listen: SocketAddr, kind: Type) -> io::Result<Socket> {
    match bind_exactly(listen, kind) {
        Err(e) if no_ipv6(&e) && listen.is_ipv6() && listen.ip().is_unspecified() => {
            bind_exactly(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listen.port()), kind)
        }
        bound => bound,
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn bind_exactly(listen: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(listen), kind, None)?;
    if listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?; // a restart must not wait for connections of before
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(socket)
}
