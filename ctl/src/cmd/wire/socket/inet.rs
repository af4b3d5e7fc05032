//! Opens UDP and TCP sockets, multicast and broadcast included. Called by `socket` alone. The options are those of
//! udp(7), tcp(7), ip(7) and ipv6(7).

use super::name::{resolve, split, wildcard};
use super::{Action, Endpoint, Family, Opened, Patience, failure};
use crate::cmd::wire::limits;
use crate::exit::{Exit, Failure, Outcome};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, netdevice, socket_with,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 1024;

pub(super) fn open(endpoint: &Endpoint, patience: &Patience<'_>) -> Outcome<Opened> {
    let is_listening = endpoint.action == Action::Listen;
    let (host, port) = split(&endpoint.address, is_listening).map_err(|e| Failure::new(Exit::Usage, e))?;
    if !is_listening && port == 0 {
        return Err(Failure::new(Exit::Usage, format!("{}: nobody listens on port 0", endpoint.address)));
    }
    let addresses = match host {
        Some(host) => resolve(host, port)?,
        // Every address: IPv6 sockets serve IPv4, too; where IPv6 is off there is the other.
        None => vec![
            SocketAddr::new(IpAddr::from([0u16; 8]), port),
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        ],
    };
    let mut last = Failure::new(Exit::Failed, "no address to try");
    for address in addresses {
        let opened = match (endpoint.family, endpoint.action) {
            (Family::Tcp, Action::Listen) => listen_tcp(endpoint, address),
            (Family::Tcp, Action::Connect) => connect_tcp(endpoint, address, patience)?,
            (_, Action::Listen) => listen_udp(endpoint, address),
            (_, Action::Connect) => connect_udp(endpoint, address),
        };
        match opened {
            Ok(opened) => return Ok(opened),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn make(address: SocketAddr, kind: SocketType) -> Outcome<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let made = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    let fd = made.map_err(|e| failure("making a socket".into(), e))?;
    if address.ip().is_unspecified() && address.is_ipv6() {
        let _ = sockopt::set_ipv6_v6only(&fd, false); // where it must be IPv6 alone, it serves that
    }
    Ok(fd)
}

fn bind_to(fd: &OwnedFd, address: SocketAddr) -> Outcome {
    bind(fd, &address).map_err(|e| {
        let failed = failure(format!("binding {address}"), e);
        let is_low = e == Errno::ACCESS && address.port() < 1024;
        if is_low { failed.hint("ports below 1024 need root or CAP_NET_BIND_SERVICE") } else { failed }
    })
}

/// The local address to connect from, where one was asked for.
fn bind_as_asked(fd: &OwnedFd, endpoint: &Endpoint, to: SocketAddr) -> Outcome<bool> {
    let Some(text) = &endpoint.bind else { return Ok(false) };
    let (host, port) = split(text, true).map_err(|e| Failure::new(Exit::Usage, e))?;
    let local = match host {
        None => wildcard(to, port),
        Some(host) => {
            resolve(host, port)?.into_iter().find(|local| local.is_ipv4() == to.is_ipv4()).ok_or_else(
                || Failure::new(Exit::Usage, format!("{text} and {to} are of different address families")),
            )?
        }
    };
    // So that the same local port can be used again at once.
    let _ = sockopt::set_socket_reuseaddr(fd, endpoint.family == Family::Tcp);
    bind_to(fd, local).map(|()| true)
}

fn listen_tcp(endpoint: &Endpoint, address: SocketAddr) -> Outcome<Opened> {
    let fd = make(address, SocketType::STREAM)?;
    let _ = sockopt::set_socket_reuseaddr(&fd, true); // connections that linger must not block the next start
    set_ttl(&fd, endpoint, address)?;
    bind_to(&fd, address)?;
    listen(&fd, BACKLOG).map_err(|e| failure(format!("listening on {address}"), e))?;
    Ok(Opened::Clients { fd })
}

/// The outer error ends it, with the inner one the next address is tried.
fn connect_tcp(endpoint: &Endpoint, to: SocketAddr, patience: &Patience<'_>) -> Outcome<Outcome<Opened>> {
    let made = make(to, SocketType::STREAM).and_then(|fd| {
        set_ttl(&fd, endpoint, to)?;
        bind_as_asked(&fd, endpoint, to)?;
        let _ = sockopt::set_tcp_nodelay(&fd, true); // each message is to go at once
        Ok(fd)
    });
    let fd = match made {
        Ok(fd) => fd,
        Err(error) => return Ok(Err(error)),
    };
    let result = match connect(&fd, &to) {
        Err(Errno::INPROGRESS) => patience.connected(fd.as_fd())?,
        other => other,
    };
    Ok(match result {
        Ok(()) => Ok(Opened::Stream { fd, to: to.into() }),
        Err(e) => Err(failure(format!("connecting to {to}"), e)),
    })
}

fn listen_udp(endpoint: &Endpoint, address: SocketAddr) -> Outcome<Opened> {
    let is_group = address.ip().is_multicast();
    let local = if is_group { wildcard(address, address.port()) } else { address };
    let fd = make(local, SocketType::DGRAM)?;
    prepare(&fd, endpoint, local)?;
    if is_group {
        // Several programs of one box hear a group.
        let shared = sockopt::set_socket_reuseaddr(&fd, true);
        shared.map_err(|e| failure(format!("sharing port {}", local.port()), e))?;
        let _ = sockopt::set_socket_reuseport(&fd, true); // those that share it so need it of all
    }
    bind_to(&fd, local)?;
    if is_group {
        join(&fd, endpoint, address.ip())?;
    }
    Ok(Opened::Datagrams { fd, to: None, is_connected: false })
}

/// Answers to a group or a broadcast come from elsewhere, so only a socket for one peer is connected.
fn connect_udp(endpoint: &Endpoint, to: SocketAddr) -> Outcome<Opened> {
    let fd = make(to, SocketType::DGRAM)?;
    prepare(&fd, endpoint, to)?;
    let is_bound = bind_as_asked(&fd, endpoint, to)?;
    let is_for_many = to.ip().is_multicast() || endpoint.broadcast || is_broadcast(to);
    if is_for_many {
        if !is_bound {
            bind_to(&fd, wildcard(to, 0))?;
        }
    } else {
        connect(&fd, &to).map_err(|e| match e {
            Errno::ACCESS => failure(format!("connecting to {to}"), e)
                .hint("a broadcast address must be asked for: --broadcast; else a firewall forbids it"),
            _ => failure(format!("connecting to {to}"), e),
        })?;
    }
    Ok(Opened::Datagrams { fd, to: Some(to.into()), is_connected: !is_for_many })
}

fn is_broadcast(address: SocketAddr) -> bool {
    address.ip() == IpAddr::from(Ipv4Addr::BROADCAST)
}

/// Everything but addresses.
fn prepare(fd: &OwnedFd, endpoint: &Endpoint, address: SocketAddr) -> Outcome {
    let _ = sockopt::set_socket_recv_buffer_size(fd, limits::RECEIVE_BUFFER); // cut to net.core.rmem_max
    if endpoint.broadcast || is_broadcast(address) {
        sockopt::set_socket_broadcast(fd, true).map_err(|e| failure("allowing broadcasts".into(), e))?;
    }
    set_ttl(fd, endpoint, address)?;
    let index = interface(fd, endpoint)?;
    let set = match address {
        SocketAddr::V4(_) => {
            sockopt::set_ip_multicast_loop(fd, endpoint.multicast_loop).and_then(|()| match index {
                0 => Ok(()),
                _ => sockopt::set_ip_multicast_if_with_ifindex(
                    fd,
                    &Ipv4Addr::UNSPECIFIED,
                    &Ipv4Addr::UNSPECIFIED,
                    index,
                ),
            })
        }
        SocketAddr::V6(_) => sockopt::set_ipv6_multicast_loop(fd, endpoint.multicast_loop)
            .and_then(|()| if index == 0 { Ok(()) } else { sockopt::set_ipv6_multicast_if(fd, index) }),
    };
    set.map_err(|e| failure("setting how multicast goes".into(), e))
}

fn set_ttl(fd: &OwnedFd, endpoint: &Endpoint, address: SocketAddr) -> Outcome {
    let Some(ttl) = endpoint.ttl else { return Ok(()) };
    let is_stream = endpoint.family == Family::Tcp;
    let set = match address {
        SocketAddr::V4(_) => sockopt::set_ip_ttl(fd, ttl.into())
            .and_then(|()| if is_stream { Ok(()) } else { sockopt::set_ip_multicast_ttl(fd, ttl.into()) }),
        SocketAddr::V6(_) => sockopt::set_ipv6_unicast_hops(fd, Some(ttl))
            .and_then(|()| if is_stream { Ok(()) } else { sockopt::set_ipv6_multicast_hops(fd, ttl.into()) }),
    };
    set.map_err(|e| failure(format!("setting the TTL {ttl}"), e))
}

/// The number of the interface asked for; 0 leaves the choice to the system.
fn interface(fd: &OwnedFd, endpoint: &Endpoint) -> Outcome<u32> {
    let Some(name) = &endpoint.interface else { return Ok(0) };
    netdevice::name_to_index(fd, name).map_err(|_| {
        Failure::new(Exit::NotFound, format!("no interface is called {name}")).hint("`ip link` shows them")
    })
}

fn join(fd: &OwnedFd, endpoint: &Endpoint, group: IpAddr) -> Outcome {
    let index = interface(fd, endpoint)?;
    let joined = match group {
        IpAddr::V4(group) => {
            let any = Ipv4Addr::UNSPECIFIED;
            sockopt::set_ip_add_membership_with_ifindex(fd, &group, &any, index)
        }
        IpAddr::V6(group) => sockopt::set_ipv6_add_membership(fd, &group, index),
    };
    joined.map_err(|e| {
        failure(format!("joining {group}"), e)
            .hint("--interface NAME says where; without one it needs a route to the group")
    })
}

/// How many datagrams the system dropped since we did not read them in time, as proc_net_udp(5) has it.
pub(crate) fn dropped(fd: &OwnedFd) -> Option<u64> {
    let inode = rustix::fs::fstat(fd).ok()?.st_ino.to_string();
    ["/proc/net/udp", "/proc/net/udp6"].into_iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        let fields = |line: &'_ str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let ours = table.lines().map(fields).find(|fields| fields.get(9) == Some(&inode))?;
        ours.last()?.parse().ok()
    })
}

/// The address of this box that the system would send to `peer` from: what a wildcard socket's packets carry.
pub(crate) fn local_towards(peer: SocketAddr) -> Option<IpAddr> {
    let fd = make(peer, SocketType::DGRAM).ok()?;
    connect(&fd, &peer).ok()?;
    Some(super::inet_of(&getsockname(&fd).ok()?)?.ip())
}
