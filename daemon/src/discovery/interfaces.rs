//! The interfaces that discovery is on: which of them suit, the nets that are on their links, and word of a change.
//! The announcer asks `Selection` for each interface, the discovery task has the nets. Opens no socket but the one on
//! which the kernel tells of changes.

use crate::config::{Config, Pattern};
use crate::limits;
use crate::syscall::Waited;
use if_addrs::{IfAddr, IfOperStatus, Interface};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Interval;

/// Which interfaces suit: what the configuration in force says of them, and where the chat port listens.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// What is in force.
    pub(super) config: watch::Receiver<Arc<Config>>,
    /// Where peers are to reach us: an address that is not listened on is of no use to them.
    pub(super) listen: IpAddr,
}

impl Selection {
    /// Whether this address of an interface is one to be found at. Left out are loopback, what is down, and
    /// point-to-point links: few of them carry multicast, and those that do are mostly ways out of the LAN.
    pub(super) fn takes(&self, interface: &Interface) -> bool {
        let is_listened_on = match (self.listen, interface.ip()) {
            (IpAddr::V4(ours), IpAddr::V4(ip)) => ours.is_unspecified() || ours == ip,
            (IpAddr::V6(ours), IpAddr::V6(ip)) => ours.is_unspecified() || ours == ip,
            (IpAddr::V6(ours), IpAddr::V4(_)) => ours.is_unspecified(),
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        };
        is_listened_on
            && !interface.is_loopback()
            && !interface.is_p2p()
            && interface.oper_status == IfOperStatus::Up
            && is_selected(&self.config.borrow().discovery.interfaces, &interface.name)
    }

    /// What is on the links of the interfaces that suit.
    ///
    /// # Errors
    /// Those of getifaddrs(3).
    pub(super) fn nets(&self) -> io::Result<Vec<Net>> {
        let interfaces = if_addrs::get_if_addrs()?;
        let mut nets: Vec<Net> = interfaces.iter().filter(|i| self.takes(i)).filter_map(Net::of).collect();
        nets.sort_unstable();
        Ok(nets)
    }
}

/// A list of patterns selects a name that one of them matches and none with `!` does; one that only excludes selects
/// all others.
fn is_selected(patterns: &[Pattern], name: &str) -> bool {
    let matches = |exclude| patterns.iter().any(|p| p.exclude == exclude && is_match(&p.glob, name));
    let only_excludes = !patterns.is_empty() && patterns.iter().all(|pattern| pattern.exclude);
    (only_excludes || matches(false)) && !matches(true)
}

/// Whether `name` matches `glob`, where `*` stands for any characters or none.
fn is_match(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// An address of ours and what is on the link with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Net {
    /// The interface's index: the scope of link-local addresses (RFC 4007, section 6).
    index: u32,
    net: IpNet,
    address: IpAddr,
}

impl Net {
    fn of(interface: &Interface) -> Option<Net> {
        // A mask of zero would put the whole internet on the link: it stands for one that is not known.
        let net = match &interface.addr {
            IfAddr::V4(v4) => {
                Ipv4Net::new(v4.ip, if v4.prefixlen == 0 { 32 } else { v4.prefixlen }).map(IpNet::V4)
            }
            IfAddr::V6(v6) => {
                Ipv6Net::new(v6.ip, if v6.prefixlen == 0 { 128 } else { v6.prefixlen }).map(IpNet::V6)
            }
        };
        Some(Net { index: interface.index?, net: net.ok()?.trunc(), address: interface.ip() })
    }

    /// Whether an address is on this link, and can be a host's; `scope` is where it was heard of.
    pub(super) fn has(&self, address: IpAddr, scope: u32) -> bool {
        let is_host = match (address, self.net) {
            (IpAddr::V4(v4), IpNet::V4(net)) => {
                let is_edge = net.prefix_len() < 31 && (v4 == net.network() || v4 == net.broadcast());
                !is_edge && !v4.is_loopback() && !v4.is_multicast() && !v4.is_broadcast()
            }
            (IpAddr::V6(v6), IpNet::V6(_)) => !v6.is_loopback() && !v6.is_multicast() && !v6.is_unspecified(),
            _ => return false,
        };
        is_host && self.net.contains(&address) && (!is_link_local(address) || self.index == scope)
    }

    /// Whether it is ourselves.
    pub(super) fn is_own(&self, address: IpAddr, scope: u32) -> bool {
        self.address == address && (!is_link_local(address) || self.index == scope)
    }
}

/// Whether an address means something only together with an interface. IPv4's (RFC 3927) is not among them: there the
/// system routes it to one interface.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Word of interfaces and addresses that come and go (rtnetlink(7)).
#[derive(Debug)]
pub(super) enum Changes {
    /// The kernel tells.
    Told(Waited),
    /// It does not: they are looked at now and then.
    Looked(Interval),
}

impl Changes {
    pub(super) fn new() -> Changes {
        subscribe().map_or_else(Changes::without, Changes::Told)
    }

    fn without(error: io::Error) -> Changes {
        tracing::warn!(%error, "the kernel does not tell of interfaces that come and go");
        Changes::Looked(tokio::time::interval(limits::INTERFACES_POLL))
    }

    /// Waits until something may have changed; more often follows soon, since changes come in flocks.
    pub(super) async fn next(&mut self) {
        let told = match self {
            Changes::Looked(interval) => {
                interval.tick().await;
                return;
            }
            Changes::Told(socket) => socket.readable().await.and_then(|mut ready| {
                drain(ready.get_inner())?;
                ready.clear_ready();
                Ok(())
            }),
        };
        if let Err(error) = told {
            *self = Changes::without(error);
        }
    }
}

/// Throws away what was told: what matters is how things are now.
fn drain(socket: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // What overflowed was told, too.
            Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn subscribe() -> io::Result<Waited> {
    let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups.cast_unsigned()))?;
    Waited::new(socket)
}

/// A net for tests: the interface's index, and its address with the prefix.
#[cfg(test)]
pub(super) fn net(index: u32, address: &str) -> Net {
    let net: IpNet = address.parse().unwrap();
    Net { index, net: net.trunc(), address: net.addr() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{Ifv4Addr, Ifv6Addr};

    fn config(text: &str) -> Arc<Config> {
        let mut config = Config::from_text("");
        config.discovery = toml::from_str(text).unwrap();
        Arc::new(config)
    }

    fn interface(name: &str, index: u32, address: &str) -> Interface {
        let (ip, prefix) = address.split_once('/').unwrap();
        let prefixlen = prefix.parse().unwrap();
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => {
                let netmask = std::net::Ipv4Addr::UNSPECIFIED;
                IfAddr::V4(Ifv4Addr { ip, netmask, prefixlen, broadcast: None })
            }
            IpAddr::V6(ip) => {
                let netmask = std::net::Ipv6Addr::UNSPECIFIED;
                IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen, broadcast: None })
            }
        };
        let (name, oper_status) = (name.to_owned(), IfOperStatus::Up);
        Interface { name, addr, index: Some(index), oper_status, is_p2p: false }
    }

    #[test]
    fn patterns_select_names() {
        let is = |patterns: &[&str], name| {
            let patterns: Vec<Pattern> = patterns.iter().map(|p| p.parse().unwrap()).collect();
            is_selected(&patterns, name)
        };
        let default = &["*", "!docker*"][..];
        assert!(is(default, "eth0") && is(default, "wlp2s0") && !is(default, "docker0"));
        assert!(
            is(&["!docker*", "*"], "eth0") && !is(&["!docker*", "*"], "docker0"),
            "the order is of no matter"
        );
        assert!(is(&["!docker*"], "eth0"), "a list that only excludes leaves the rest");
        assert!(!is(&[], "eth0"));
        assert!(is(&["eth0"], "eth0") && !is(&["eth0"], "eth01") && !is(&["eth0"], "eth"));
        assert!(is(&["e*h*0"], "eth10") && is(&["e*h*0"], "eh0") && !is(&["e*h*0"], "eth01"));
        assert!(!is(&["ab*ba"], "aba") && is(&["ab*ba"], "abba") && is(&["**"], "") && is(&["*a*a"], "aa"));
        assert!(!is(&["*a*a"], "a") && is(&["*.7"], "eth0.7"));
    }

    #[test]
    fn interfaces_suit_by_kind_state_name_and_what_is_listened_on() {
        let (_sender, config) = watch::channel(config("interfaces = [\"*\", \"!docker*\"]"));
        let any = Selection { config: config.clone(), listen: "::".parse().unwrap() };
        let eth = interface("eth0", 2, "10.0.0.5/24");
        assert!(any.takes(&eth) && any.takes(&interface("eth0", 2, "fe80::5/64")));
        assert!(!any.takes(&interface("lo", 1, "127.0.0.1/8")) && !any.takes(&interface("lo", 1, "::1/128")));
        assert!(!any.takes(&interface("docker0", 3, "172.17.0.1/16")));
        assert!(!any.takes(&Interface { oper_status: IfOperStatus::Down, ..eth.clone() }));
        assert!(!any.takes(&Interface { is_p2p: true, ..eth.clone() }));
        let v4 = Selection { config: config.clone(), listen: "0.0.0.0".parse().unwrap() };
        assert!(v4.takes(&eth) && !v4.takes(&interface("eth0", 2, "fe80::5/64")));
        let one = Selection { config, listen: "10.0.0.5".parse().unwrap() };
        assert!(one.takes(&eth) && !one.takes(&interface("eth0", 2, "10.0.0.6/24")));
    }

    #[test]
    fn what_is_on_a_link_is_told_from_what_is_not() {
        let has = |net: &str, address: &str, scope| {
            Net::of(&interface("x", 2, net)).unwrap().has(address.parse().unwrap(), scope)
        };
        assert!(has("10.0.0.5/24", "10.0.0.9", 9), "where it was heard of is of no matter");
        assert!(has("10.0.0.5/24", "10.0.0.5", 2), "another netkitd on this box");
        for no in [
            "10.0.0.0",
            "10.0.0.255",
            "10.0.1.9",
            "8.8.8.8",
            "224.0.0.1",
            "127.0.0.1",
            "0.0.0.0",
            "::ffff:10.0.0.9",
        ] {
            assert!(!has("10.0.0.5/24", no, 2), "{no}");
        }
        assert!(has("10.0.0.4/31", "10.0.0.5", 2) && has("fd00::5/64", "fd00::9", 0));
        assert!(has("fe80::5/64", "fe80::9", 2) && !has("fe80::5/64", "fe80::9", 3));
        for no in ["::", "::1", "ff02::fb", "fd01::9", "2001:db8::1"] {
            assert!(!has("fd00::5/64", no, 2), "{no}");
        }
        assert!(
            !has("10.0.0.5/0", "8.8.8.8", 2) && !has("fd00::5/0", "2001:db8::1", 2),
            "a mask that is not known"
        );
        assert!(!has("::1/128", "::1", 2) && !has("127.0.0.1/8", "127.0.0.2", 2));
    }
}
