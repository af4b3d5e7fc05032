//! What follows from a prefix: how many addresses and hosts, the first and the last, what several networks have in
//! common. Pure; called by `facts` and `many`. The networks themselves are the crate `ipnet`'s.

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::net::IpAddr;

/// A number of addresses: 2 to `bits`, less a few. All of IPv6 is one more than a `u128` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    bits: u8,
    less: u8,
}

impl Count {
    /// How many networks of `prefix` fit into `net`.
    pub(super) fn of_subnets(net: &IpNet, prefix: u8) -> Count {
        Count { bits: prefix.saturating_sub(net.prefix_len()), less: 0 }
    }

    /// The number where a `u128` holds it.
    pub(super) fn value(self) -> Option<u128> {
        match 1_u128.checked_shl(self.bits.into()) {
            Some(all) => Some(all.saturating_sub(self.less.into())),
            None if self.less > 0 => Some(u128::MAX - u128::from(self.less - 1)),
            None => None,
        }
    }

    /// Its digits.
    fn digits(self) -> String {
        self.value().map_or_else(|| "340282366920938463463374607431768211456".to_owned(), |n| n.to_string())
    }
}

/// With commas, for people.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(&self.digits()))
    }
}

/// A JSON number, however large.
impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = RawValue::from_string(self.digits()).map_err(serde::ser::Error::custom)?;
        digits.serialize(serializer)
    }
}

/// Digits in groups of three.
pub(super) fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What hosts can have of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    /// How many.
    pub count: Count,
    /// The first one.
    pub first: IpAddr,
    /// The last one.
    pub last: IpAddr,
}

/// `62 hosts, 10.0.0.1 to 10.0.0.62`.
impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hosts { count, first, last } = self;
        if first == last {
            write!(f, "1 host, {first}")
        } else {
            write!(f, "{count} hosts, {first} to {last}")
        }
    }
}

/// How many bits are left for hosts.
fn host_bits(net: &IpNet) -> u8 {
    net.max_prefix_len() - net.prefix_len()
}

/// How many addresses `net` has.
pub(super) fn addresses(net: &IpNet) -> Count {
    Count { bits: host_bits(net), less: 0 }
}

/// The addresses of `net` that hosts can have. In IPv4 neither the network's own nor the broadcast address; a /31
/// has two hosts (RFC 3021) and a /32 is one. In IPv6 not the first, which is the routers' anycast address
/// (RFC 4291, section 2.6.1); a /127 has two (RFC 6164).
pub(super) fn hosts(net: &IpNet) -> Hosts {
    let (bits, first, last) = (host_bits(net), net.network(), net.broadcast());
    match (bits > 1, first, last) {
        (true, IpAddr::V4(first), IpAddr::V4(last)) => Hosts {
            count: Count { bits, less: 2 },
            first: IpAddr::V4(first.to_bits().saturating_add(1).into()),
            last: IpAddr::V4(last.to_bits().saturating_sub(1).into()),
        },
        (true, IpAddr::V6(first), _) => Hosts {
            count: Count { bits, less: 1 },
            first: IpAddr::V6(first.to_bits().saturating_add(1).into()),
            last,
        },
        _ => Hosts { count: Count { bits, less: 0 }, first, last },
    }
}

/// The broadcast address: IPv4 has one where there are hosts besides (RFC 919; not on a /31, RFC 3021).
pub(super) fn broadcast(net: &IpNet) -> Option<IpAddr> {
    (net.network().is_ipv4() && host_bits(net) > 1).then(|| net.broadcast())
}

/// Why `net`'s address is not a host's in that network.
pub(super) fn not_a_host(net: &IpNet) -> Option<&'static str> {
    let (address, bits) = (net.addr(), host_bits(net));
    match address {
        _ if bits < 2 => None,
        IpAddr::V4(_) if address == net.network() => Some("it is the network's own address"),
        IpAddr::V4(_) if address == net.broadcast() => Some("it is the network's broadcast address"),
        IpAddr::V6(_) if address == net.network() => {
            Some("it is the anycast address of the network's routers")
        }
        // RFC 2526: the last 128 interface identifiers, in EUI-64 form without the universal bit.
        IpAddr::V6(ip) if bits == 64 && ip.to_bits() as u64 & !0x7f == 0xfdff_ffff_ffff_ff80 => {
            Some("it is reserved for anycast (RFC 2526)")
        }
        _ => None,
    }
}

/// The smallest network with all of `nets`, which are of one family.
pub(super) fn common(nets: &[IpNet]) -> Option<IpNet> {
    let mut nets = nets.iter();
    let first = *nets.next()?;
    nets.try_fold(first, |common, net| {
        let same = match (common.network(), net.network()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return None,
        };
        let prefix = common.prefix_len().min(net.prefix_len());
        let prefix = prefix.min(u8::try_from(same).unwrap_or(prefix));
        IpNet::new(common.network(), prefix).ok()
    })
    .map(|net| net.trunc())
}

/// Which of `nets` lie in another one: each with the smallest that holds it, once. Networks are nested or apart, so
/// that one pass over them in order sees all.
pub(super) fn overlaps(nets: &[IpNet]) -> Vec<(IpNet, IpNet)> {
    let mut nets: Vec<IpNet> = nets.iter().map(IpNet::trunc).collect();
    nets.sort_by_key(|net| (net.network(), net.prefix_len()));
    let (mut open, mut found) = (Vec::<IpNet>::new(), Vec::new());
    for net in nets {
        while open.last().is_some_and(|last| !last.contains(&net)) {
            open.pop();
        }
        found.extend(open.last().map(|last| (net, *last)));
        open.push(net);
    }
    found
}

#[cfg(test)]
mod tests;
