//! The gateways of this machine: routes that lead over another host, from /proc/net/route and /proc/net/ipv6_route.
//! Called by `ip`. Rules and further tables (policy routing) are not looked at.

use super::read_lines;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Bytes read of each table: some ten thousand routes. A router with all of the internet's has more.
const MOST_BYTES: u64 = 4 << 20;
/// Gateways kept at most.
const MOST: usize = 256;
/// Flags of a route that is usable and leads over a gateway (linux/route.h).
const UP_GATEWAY: u32 = 0x1 | 0x2;

/// A route over another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// Where it leads.
    pub to: IpNet,
    /// Over whom.
    pub gateway: IpAddr,
    /// Out of which interface.
    pub interface: String,
    /// The lower, the sooner it is taken.
    pub metric: u32,
}

/// All gateways, default routes first, then by metric; and whether there were more than were read.
pub(crate) fn gateways() -> (Vec<Gateway>, bool) {
    let mut found = Vec::new();
    let mut more = false;
    for (path, read) in [
        ("/proc/net/route", read_v4 as fn(&str) -> Option<Gateway>),
        ("/proc/net/ipv6_route", read_v6), // missing where IPv6 is off
    ] {
        let cut = read_lines(Path::new(path), MOST_BYTES, |line| match read(line) {
            Some(gateway) if found.len() < MOST => found.push(gateway),
            Some(_) => more = true,
            None => {}
        });
        more |= cut.unwrap_or(false);
    }
    found.sort_by_key(|gateway| (gateway.to.addr().is_ipv6(), gateway.to.prefix_len(), gateway.metric));
    (found, more)
}

/// A line such as `eth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0`: interface, destination, gateway, flags, …,
/// metric, mask. Addresses are words in the machine's own byte order.
fn read_v4(line: &str) -> Option<Gateway> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
    let [interface, to, gateway, flags, _, _, metric, mask] = fields[..] else { return None };
    let word = |text: &str| u32::from_str_radix(text, 16).ok();
    let address = |text: &str| word(text).map(|word| Ipv4Addr::from(word.to_ne_bytes()));
    if word(flags)? & UP_GATEWAY != UP_GATEWAY {
        return None;
    }
    Some(Gateway {
        to: IpNet::with_netmask(address(to)?.into(), address(mask)?.into()).ok()?,
        gateway: address(gateway)?.into(),
        interface: interface.to_owned(),
        metric: metric.parse().ok()?,
    })
}

/// A line such as `0…0 00 0…0 00 fe80…01 00000400 00000001 00000000 00000003 eth0`: destination and prefix, source and
/// prefix, next hop, metric, references, uses, flags, interface, in hexadecimal.
fn read_v6(line: &str) -> Option<Gateway> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let [to, prefix, _, _, gateway, metric, _, _, flags, interface] = fields[..] else { return None };
    let word = |text: &str| u32::from_str_radix(text, 16).ok();
    let address = |text: &str| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from);
    if word(flags)? & UP_GATEWAY != UP_GATEWAY {
        return None;
    }
    Some(Gateway {
        to: IpNet::new(address(to)?.into(), u8::from_str_radix(prefix, 16).ok()?).ok()?,
        gateway: address(gateway)?.into(),
        interface: interface.to_owned(),
        metric: word(metric)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gateways_are_read() {
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let line = |gateway, flags, mask| {
            let (to, gateway, mask) = (word([0; 4]), word(gateway), word(mask));
            format!("eth0\t{to}\t{gateway}\t{flags}\t0\t0\t100\t{mask}\t0\t0\t0   ")
        };
        let found = read_v4(&line([10, 0, 0, 1], "0003", [0; 4])).unwrap();
        assert_eq!(
            (found.to.to_string(), found.gateway.to_string()),
            ("0.0.0.0/0".into(), "10.0.0.1".into())
        );
        assert_eq!((found.interface.as_str(), found.metric), ("eth0", 100));
        assert_eq!(read_v4(&line([0; 4], "0001", [255, 255, 255, 0])), None, "no gateway");
        assert_eq!(read_v4(&line([10, 0, 0, 1], "0002", [0; 4])), None, "down");
        assert_eq!(read_v4(&line([10, 0, 0, 1], "0003", [255, 0, 255, 0])), None, "no mask");
        assert_eq!(read_v4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU"), None);
        let zero = "0".repeat(32);
        let line = |flags| {
            format!("{zero} 00 {zero} 00 fd{}1 00000400 00000002 00000000 {flags}     eth0", "0".repeat(29))
        };
        let found = read_v6(&line("00000003")).unwrap();
        assert_eq!((found.to.to_string(), found.gateway.to_string()), ("::/0".into(), "fd00::1".into()));
        assert_eq!((found.interface.as_str(), found.metric), ("eth0", 1024));
        assert_eq!(read_v6(&line("00200200")), None);
    }

    proptest! {
        #![proptest_config(crate::seed::seeded())]

        #[test]
        fn no_line_is_a_reason_to_end(line in "\\PC{0,80}", words in prop::collection::vec("[0-9a-fx]{0,33}", 0..12)) {
            for line in [&line, &words.join(" ")] {
                let _ = (read_v4(line), read_v6(line));
            }
        }
    }
}
