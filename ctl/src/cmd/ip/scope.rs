//! How far an address reaches today: its [`Scope`], and the block it is in. Called by `facts` and `machine`. The
//! blocks are in `registry`.

use super::registry::{Block, IPV4, IPV6, MULTICAST};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches; the words are for scripts and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The public internet.
    Global,
    /// A private network (RFC 1918).
    Private,
    /// The same for IPv6 (RFC 4193).
    UniqueLocal,
    /// Between a provider and its customers (RFC 6598): carrier-grade NAT.
    Cgnat,
    /// This machine.
    Loopback,
    /// One link.
    LinkLocal,
    /// A group of hosts.
    Multicast,
    /// All hosts of the link.
    Broadcast,
    /// No address yet.
    Unspecified,
    /// "This network": a host that does not know its address.
    ThisNetwork,
    /// Texts, not networks.
    Documentation,
    /// Measurements between devices.
    Benchmarking,
    /// What a protocol needs.
    Protocol,
    /// IPv4 within IPv6.
    Transition,
    /// Packets to it are dropped.
    Discard,
    /// Given up.
    Deprecated,
    /// Nobody has it.
    Reserved,
}

impl Scope {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Private => "private",
            Scope::UniqueLocal => "unique-local",
            Scope::Cgnat => "cgnat",
            Scope::Loopback => "loopback",
            Scope::LinkLocal => "link-local",
            Scope::Multicast => "multicast",
            Scope::Broadcast => "broadcast",
            Scope::Unspecified => "unspecified",
            Scope::ThisNetwork => "this-network",
            Scope::Documentation => "documentation",
            Scope::Benchmarking => "benchmarking",
            Scope::Protocol => "protocol",
            Scope::Transition => "transition",
            Scope::Discard => "discard",
            Scope::Deprecated => "deprecated",
            Scope::Reserved => "reserved",
        }
    }

    /// The scope of `address`, and the special block it is in, if it is in one.
    pub(super) fn of(address: IpAddr) -> (Scope, Option<&'static Block>) {
        let special = block_of(address);
        let otherwise = match address {
            IpAddr::V4(_) => Scope::Global,
            // The one part of the space that is given out (RFC 4291, section 2.4; IANA's IPv6 address space).
            IpAddr::V6(ip) if ip.segments()[0] >> 13 == 1 => Scope::Global,
            IpAddr::V6(_) => Scope::Reserved,
        };
        (special.map_or(otherwise, |block| block.scope), special)
    }
}

/// The smallest special block that holds `address`.
fn block_of(address: IpAddr) -> Option<&'static Block> {
    let tables: [&[Block]; 2] = if address.is_ipv4() { [IPV4, MULTICAST] } else { [IPV6, MULTICAST] };
    let holding = tables.into_iter().flatten().filter(|block| block.net.contains(&address));
    holding.max_by_key(|block| block.net.prefix_len())
}

/// Why no host can have `address`, whatever network it is in.
pub(super) fn unusable(scope: Scope, block: Option<&Block>) -> Option<String> {
    let why = match scope {
        Scope::Loopback => "it never leaves this machine".to_owned(),
        Scope::Multicast => "it is a group of hosts, not one".to_owned(),
        Scope::Broadcast => "it is all hosts of the link, not one".to_owned(),
        Scope::Reserved => "it is reserved: nobody has it".to_owned(),
        _ => {
            let block = block?;
            let what = match (block.source, block.destination) {
                (Some(false), Some(false)) => "from or to",
                (_, Some(false)) => "to",
                (Some(false), _) => "from",
                _ => return None,
            };
            format!("the registry lets no packet go {what} it: {}, {}", block.name, block.rfc)
        }
    };
    Some(why)
}

/// The IPv4 address within an IPv6 one: mapped (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056).
pub(super) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some([a, b, c, d].into()),
        [0x2002, high, low, ..] => Some((u32::from(high) << 16 | u32::from(low)).into()),
        _ => None,
    }
}

/// How far a multicast address of IPv6 reaches (RFC 7346).
pub(super) fn multicast_reach(address: Ipv6Addr) -> Option<&'static str> {
    if !address.is_multicast() {
        return None;
    }
    Some(match address.segments()[0] & 0xf {
        1 => "this interface",
        2 => "this link",
        3 => "its realm",
        4 => "an administrator's area",
        5 => "this site",
        8 => "this organization",
        0xe => "the internet",
        _ => "an area without a name",
    })
}

/// Whether `net` reaches out of `block`, so that the block does not tell of all of it.
pub(super) fn reaches_out(net: &IpNet, block: &Block) -> bool {
    !block.net.contains(net)
}
