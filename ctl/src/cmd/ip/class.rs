//! The classes of IPv4 addresses, as they were before prefixes (RFC 791, section 3.2; RFC 1112, section 4; ended by
//! RFC 1519) and as tutorials teach them still. Called by `facts` and `target`. What an address is today is in
//! `scope`.

use std::net::Ipv4Addr;

/// The class of an address, told by its first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `0…`: one byte of network, three of host.
    A,
    /// `10…`: two bytes of each.
    B,
    /// `110…`: three bytes of network, one of host.
    C,
    /// `1110…`: multicast, without network and host.
    D,
    /// `1111…`: reserved.
    E,
}

impl Class {
    /// The class of `address`.
    pub(super) fn of(address: Ipv4Addr) -> Class {
        match address.octets()[0].leading_ones() {
            0 => Class::A,
            1 => Class::B,
            2 => Class::C,
            3 => Class::D,
            _ => Class::E,
        }
    }

    /// Its letter.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Class::A => "A",
            Class::B => "B",
            Class::C => "C",
            Class::D => "D",
            Class::E => "E",
        }
    }

    /// The bits of its network part; D and E have none.
    pub(super) fn prefix(self) -> Option<u8> {
        match self {
            Class::A => Some(8),
            Class::B => Some(16),
            Class::C => Some(24),
            Class::D | Class::E => None,
        }
    }

    /// From its first host to its last, as it is taught: without the networks 0 and 127 of class A and the first
    /// ones of B and C, which were reserved when there were classes.
    pub(super) fn range(self) -> [Ipv4Addr; 2] {
        let [first, last] = match self {
            Class::A => [[1, 0, 0, 1], [126, 255, 255, 254]],
            Class::B => [[128, 1, 0, 1], [191, 255, 255, 254]],
            Class::C => [[192, 0, 1, 1], [223, 255, 255, 254]],
            Class::D => [[224, 0, 0, 0], [239, 255, 255, 255]],
            Class::E => [[240, 0, 0, 0], [255, 255, 255, 255]],
        };
        [first.into(), last.into()]
    }

    /// How many networks it has: 2 to the bits of the network part that are not the class's own, and in class A
    /// without 0 ("this network") and 127 (loopback).
    pub(super) fn networks(self) -> Option<u32> {
        let own = match self {
            Class::A => 1,
            Class::B => 2,
            Class::C => 3,
            Class::D | Class::E => return None,
        };
        let reserved = if self == Class::A { 2 } else { 0 };
        self.prefix().map(|prefix| (1 << (prefix - own)) - reserved)
    }

    /// How many hosts each of its networks has: 2 to the bits of the host part, without the first (the network's own
    /// address) and the last (its broadcast address). In class A that is 16,777,214; where 1677214 is taught, a digit
    /// was lost.
    pub(super) fn hosts(self) -> Option<u32> {
        self.prefix().map(|prefix| (1 << (32 - prefix)) - 2)
    }

    /// The network part and the host part of `address`.
    pub(super) fn parts(self, address: Ipv4Addr) -> Option<(String, String)> {
        let octets = address.octets();
        let (network, host) = octets.split_at(usize::from(self.prefix()? / 8));
        let join = |octets: &[u8]| octets.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
        Some((join(network), join(host)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_parts_and_counts_that_are_taught() {
        for (address, letter, parts, networks, hosts) in [
            ("125.245.245.22", "A", Some(("125", "245.245.22")), Some(126), Some(16_777_214)),
            ("131.245.237.22", "B", Some(("131.245", "237.22")), Some(16_384), Some(65_534)),
            ("210.215.187.212", "C", Some(("210.215.187", "212")), Some(2_097_152), Some(254)),
            ("0.0.0.0", "A", Some(("0", "0.0.0")), Some(126), Some(16_777_214)),
            ("127.0.0.1", "A", Some(("127", "0.0.1")), Some(126), Some(16_777_214)),
            ("128.0.0.0", "B", Some(("128.0", "0.0")), Some(16_384), Some(65_534)),
            ("191.255.255.255", "B", Some(("191.255", "255.255")), Some(16_384), Some(65_534)),
            ("192.0.0.0", "C", Some(("192.0.0", "0")), Some(2_097_152), Some(254)),
            ("223.255.255.255", "C", Some(("223.255.255", "255")), Some(2_097_152), Some(254)),
            ("224.0.0.251", "D", None, None, None),
            ("239.255.255.255", "D", None, None, None),
            ("240.0.0.0", "E", None, None, None),
            ("255.255.255.255", "E", None, None, None),
        ] {
            let address: Ipv4Addr = address.parse().unwrap();
            let class = Class::of(address);
            let parts = parts.map(|(network, host)| (network.to_owned(), host.to_owned()));
            assert_eq!((class.letter(), class.parts(address)), (letter, parts), "{address}");
            assert_eq!((class.networks(), class.hosts()), (networks, hosts), "{address}");
        }
    }

    #[test]
    fn a_class_has_the_range_that_is_taught() {
        for (class, expected) in [
            (Class::A, "1.0.0.1-126.255.255.254"),
            (Class::B, "128.1.0.1-191.255.255.254"),
            (Class::C, "192.0.1.1-223.255.255.254"),
            (Class::D, "224.0.0.0-239.255.255.255"),
            (Class::E, "240.0.0.0-255.255.255.255"),
        ] {
            let [first, last] = class.range();
            assert_eq!(format!("{first}-{last}"), expected);
            assert_eq!([Class::of(first), Class::of(last)], [class; 2]);
        }
    }
}
