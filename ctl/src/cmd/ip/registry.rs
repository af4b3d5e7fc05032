//! The special-purpose address blocks: IANA's IPv4 and IPv6 special-purpose address registries (RFC 6890, kept at
//! iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry; as of 2026-11, newest row of
//! 2025-04), and the blocks for multicast. Read by `scope`. The tests compare it with the registries' own files, which
//! lie beside this one.

use super::scope::Scope;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block with a purpose of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its addresses.
    pub net: IpNet,
    /// What the registry calls it.
    pub name: &'static str,
    /// Where it is defined.
    pub rfc: &'static str,
    /// What it is for.
    pub scope: Scope,
    /// Whether a packet may come from it; `None` where the registry does not say.
    pub source: Option<bool>,
    /// Whether a packet may go to it.
    pub destination: Option<bool>,
    /// Whether it can be reached from anywhere.
    pub global: Option<bool>,
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
const N: Option<bool> = None;

/// A block; the flags are: source, destination, globally reachable.
const fn row(
    net: IpNet,
    name: &'static str,
    rfc: &'static str,
    scope: Scope,
    [source, destination, global]: [Option<bool>; 3],
) -> Block {
    Block { net, name, rfc, scope, source, destination, global }
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix)
}

/// IANA's IPv4 special-purpose address registry.
pub(super) static IPV4: &[Block] = &[
    row(v4([0, 0, 0, 0], 8), "This network", "RFC 791", Scope::ThisNetwork, [T, F, F]),
    row(v4([0, 0, 0, 0], 32), "This host on this network", "RFC 1122", Scope::Unspecified, [T, F, F]),
    row(v4([10, 0, 0, 0], 8), "Private-Use", "RFC 1918", Scope::Private, [T, T, F]),
    row(v4([100, 64, 0, 0], 10), "Shared Address Space", "RFC 6598", Scope::Cgnat, [T, T, F]),
    row(v4([127, 0, 0, 0], 8), "Loopback", "RFC 1122", Scope::Loopback, [F, F, F]),
    row(v4([169, 254, 0, 0], 16), "Link Local", "RFC 3927", Scope::LinkLocal, [T, T, F]),
    row(v4([172, 16, 0, 0], 12), "Private-Use", "RFC 1918", Scope::Private, [T, T, F]),
    row(v4([192, 0, 0, 0], 24), "IETF Protocol Assignments", "RFC 6890", Scope::Protocol, [F, F, F]),
    row(v4([192, 0, 0, 0], 29), "IPv4 Service Continuity Prefix", "RFC 7335", Scope::Protocol, [T, T, F]),
    row(v4([192, 0, 0, 8], 32), "IPv4 dummy address", "RFC 7600", Scope::Protocol, [T, F, F]),
    row(v4([192, 0, 0, 9], 32), "Port Control Protocol Anycast", "RFC 7723", Scope::Global, [T, T, T]),
    row(
        v4([192, 0, 0, 10], 32),
        "Traversal Using Relays around NAT Anycast",
        "RFC 8155",
        Scope::Global,
        [T, T, T],
    ),
    row(v4([192, 0, 0, 170], 32), "NAT64/DNS64 Discovery", "RFC 8880", Scope::Protocol, [F, F, F]),
    row(v4([192, 0, 0, 171], 32), "NAT64/DNS64 Discovery", "RFC 8880", Scope::Protocol, [F, F, F]),
    row(v4([192, 0, 2, 0], 24), "Documentation (TEST-NET-1)", "RFC 5737", Scope::Documentation, [F, F, F]),
    row(v4([192, 31, 196, 0], 24), "AS112-v4", "RFC 7535", Scope::Global, [T, T, T]),
    row(v4([192, 52, 193, 0], 24), "AMT", "RFC 7450", Scope::Global, [T, T, T]),
    row(
        v4([192, 88, 99, 0], 24),
        "Deprecated (6to4 Relay Anycast)",
        "RFC 7526",
        Scope::Deprecated,
        [N, N, N],
    ),
    row(v4([192, 88, 99, 2], 32), "6a44-relay anycast address", "RFC 6751", Scope::Transition, [T, T, F]),
    row(v4([192, 168, 0, 0], 16), "Private-Use", "RFC 1918", Scope::Private, [T, T, F]),
    row(v4([192, 175, 48, 0], 24), "Direct Delegation AS112 Service", "RFC 7534", Scope::Global, [T, T, T]),
    row(v4([198, 18, 0, 0], 15), "Benchmarking", "RFC 2544", Scope::Benchmarking, [T, T, F]),
    row(v4([198, 51, 100, 0], 24), "Documentation (TEST-NET-2)", "RFC 5737", Scope::Documentation, [F, F, F]),
    row(v4([203, 0, 113, 0], 24), "Documentation (TEST-NET-3)", "RFC 5737", Scope::Documentation, [F, F, F]),
    row(v4([240, 0, 0, 0], 4), "Reserved", "RFC 1112", Scope::Reserved, [F, F, F]),
    row(v4([255, 255, 255, 255], 32), "Limited Broadcast", "RFC 919", Scope::Broadcast, [F, T, F]),
];

/// IANA's IPv6 special-purpose address registry, and the one block of the address space that was given up (RFC 3879).
pub(super) static IPV6: &[Block] = &[
    row(v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "Loopback Address", "RFC 4291", Scope::Loopback, [F, F, F]),
    row(v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "Unspecified Address", "RFC 4291", Scope::Unspecified, [T, F, F]),
    row(
        v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
        "IPv4-mapped Address",
        "RFC 4291",
        Scope::Transition,
        [F, F, F],
    ),
    row(
        v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
        "IPv4-IPv6 Translat.",
        "RFC 6052",
        Scope::Transition,
        [T, T, T],
    ),
    row(
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        "IPv4-IPv6 Translat.",
        "RFC 8215",
        Scope::Transition,
        [T, T, F],
    ),
    row(
        v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
        "Discard-Only Address Block",
        "RFC 6666",
        Scope::Discard,
        [T, T, F],
    ),
    row(v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "Dummy IPv6 Prefix", "RFC 9780", Scope::Protocol, [T, F, F]),
    row(
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        "IETF Protocol Assignments",
        "RFC 2928",
        Scope::Protocol,
        [F, F, F],
    ),
    row(v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "TEREDO", "RFC 4380", Scope::Transition, [T, T, N]),
    row(
        v6([0x2001, 1, 0, 0, 0, 0, 0, 1], 128),
        "Port Control Protocol Anycast",
        "RFC 7723",
        Scope::Global,
        [T, T, T],
    ),
    row(
        v6([0x2001, 1, 0, 0, 0, 0, 0, 2], 128),
        "Traversal Using Relays around NAT Anycast",
        "RFC 8155",
        Scope::Global,
        [T, T, T],
    ),
    row(
        v6([0x2001, 1, 0, 0, 0, 0, 0, 3], 128),
        "DNS-SD Service Registration Protocol Anycast",
        "RFC 9665",
        Scope::Global,
        [T, T, T],
    ),
    row(v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "Benchmarking", "RFC 5180", Scope::Benchmarking, [T, T, F]),
    row(v6([0x2001, 3, 0, 0, 0, 0, 0, 0], 32), "AMT", "RFC 7450", Scope::Global, [T, T, T]),
    row(v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48), "AS112-v6", "RFC 7535", Scope::Global, [T, T, T]),
    row(
        v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28),
        "Deprecated (previously ORCHID)",
        "RFC 4843",
        Scope::Deprecated,
        [N, N, N],
    ),
    row(v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), "ORCHIDv2", "RFC 7343", Scope::Global, [T, T, T]),
    row(
        v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28),
        "Drone Remote ID Protocol Entity Tags (DETs) Prefix",
        "RFC 9374",
        Scope::Global,
        [T, T, T],
    ),
    row(
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        "Documentation",
        "RFC 3849",
        Scope::Documentation,
        [F, F, F],
    ),
    row(v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4", "RFC 3056", Scope::Transition, [T, T, N]),
    row(
        v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48),
        "Direct Delegation AS112 Service",
        "RFC 7534",
        Scope::Global,
        [T, T, T],
    ),
    row(v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "Documentation", "RFC 9637", Scope::Documentation, [F, F, F]),
    row(
        v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
        "Segment Routing (SRv6) SIDs",
        "RFC 9602",
        Scope::Protocol,
        [T, T, F],
    ),
    row(v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "Unique-Local", "RFC 4193", Scope::UniqueLocal, [T, T, F]),
    row(v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "Link-Local Unicast", "RFC 4291", Scope::LinkLocal, [T, T, F]),
    row(v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "Site-Local", "RFC 3879", Scope::Deprecated, [N, N, F]),
];

/// The blocks for multicast, and the best known of their parts: IANA's IPv4 multicast address space registry
/// (RFC 5771), and RFC 4291 for IPv6. Of multicast no packet comes.
pub(super) static MULTICAST: &[Block] = &[
    row(v4([224, 0, 0, 0], 4), "Multicast", "RFC 5771", Scope::Multicast, [F, T, N]),
    row(v4([224, 0, 0, 0], 24), "Local Network Control Block", "RFC 5771", Scope::Multicast, [F, T, F]),
    row(v4([224, 0, 1, 0], 24), "Internetwork Control Block", "RFC 5771", Scope::Multicast, [F, T, N]),
    row(v4([232, 0, 0, 0], 8), "Source-Specific Multicast", "RFC 4607", Scope::Multicast, [F, T, N]),
    row(v4([233, 0, 0, 0], 8), "GLOP", "RFC 3180", Scope::Multicast, [F, T, N]),
    row(v4([233, 252, 0, 0], 24), "MCAST-TEST-NET", "RFC 6676", Scope::Multicast, [F, F, F]),
    row(v4([239, 0, 0, 0], 8), "Administratively Scoped", "RFC 2365", Scope::Multicast, [F, T, F]),
    row(v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "Multicast", "RFC 4291", Scope::Multicast, [F, T, N]),
];

#[cfg(test)]
mod tests;
