//! What was typed: an address, an address with a prefix or a netmask, an address with its interface. Made by clap from
//! the arguments of `ip`; looks nothing up.

use super::class::Class;
use ipnet::{IpNet, ip_mask_to_prefix};
use std::net::IpAddr;
use std::str::FromStr;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The address.
    pub address: IpAddr,
    /// The prefix, where one was typed.
    pub prefix: Option<u8>,
    /// The interface behind `%`: its name or number (RFC 4007, section 11).
    pub zone: Option<String>,
}

impl Target {
    /// What stands for the target where networks are compared: an address alone is itself.
    pub(super) fn net(&self) -> IpNet {
        let given = self.prefix.and_then(|prefix| IpNet::new(self.address, prefix).ok());
        given.unwrap_or_else(|| IpNet::from(self.address))
    }

    /// The network the address is in, and whether its class says so because no prefix was typed.
    pub(super) fn network(&self) -> Option<(IpNet, bool)> {
        match (self.prefix, self.address) {
            (Some(_), _) => Some((self.net(), false)),
            (None, IpAddr::V4(ip)) => {
                let prefix = Class::of(ip).prefix()?;
                IpNet::new(self.address, prefix).ok().map(|net| (net, true))
            }
            (None, IpAddr::V6(_)) => None,
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (address, zone) = match address.split_once('%') {
            Some((address, zone)) => (address, Some(zone.to_owned())),
            None => (address, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            "it is not an address such as 10.0.0.9, 10.0.0.0/24, 10.0.0.0/255.255.255.0 or fe80::1%eth0"
                .to_owned()
        })?;
        if zone.as_ref().is_some_and(|zone| zone.is_empty() || address.is_ipv4()) {
            return Err("an interface stands behind an IPv6 address: fe80::1%eth0".to_owned());
        }
        let prefix = prefix.map(|prefix| prefix_of(prefix, address)).transpose()?;
        Ok(Target { address, prefix, zone })
    }
}

/// A prefix length, or a netmask of the same family.
fn prefix_of(text: &str, address: IpAddr) -> Result<u8, String> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if let Ok(mask) = text.parse::<IpAddr>()
        && mask.is_ipv4() == address.is_ipv4()
    {
        return ip_mask_to_prefix(mask)
            .map_err(|_| format!("{text} is not a netmask: its ones do not come first"));
    }
    prefix_length(text).filter(|prefix| *prefix <= most).ok_or_else(|| {
        format!(
            "/{text} is not a prefix: an IPv{} address takes /0 to /{most}",
            if most == 32 { 4 } else { 6 }
        )
    })
}

/// Digits alone: no sign.
fn prefix_length(text: &str) -> Option<u8> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The prefix to divide networks by: `/26` or `26`.
///
/// # Errors
/// A sentence that says what it looks like.
pub(super) fn parse_split(text: &str) -> Result<u8, String> {
    prefix_length(text.strip_prefix('/').unwrap_or(text))
        .filter(|prefix| *prefix <= 128)
        .ok_or_else(|| "it is not a prefix such as /26".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::seed::seeded())]

        #[test]
        fn no_text_is_a_reason_to_end(text in "\\PC{0,20}", close in "[0-9a-f:./%]{0,30}") {
            for text in [&text, &close] {
                let target = text.parse::<Target>();
                let _ = (target.map(|target| (target.net(), target.network())), parse_split(text));
            }
        }

        #[test]
        fn what_is_printed_is_read_again(ip in any::<u128>(), v4 in any::<u32>(), prefix in 0..=128_u8) {
            for (ip, most) in [(IpAddr::from(ip.to_be_bytes()), 128), (IpAddr::from(v4.to_be_bytes()), 32)] {
                let prefix = prefix.min(most);
                let read: Target = format!("{ip}/{prefix}").parse().unwrap();
                prop_assert_eq!(read, Target { address: ip, prefix: Some(prefix), zone: None });
            }
        }
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, net, network) in [
            ("10.0.0.9", Some("10.0.0.9/32"), Some("10.0.0.9/8")),
            ("192.168.1.9", Some("192.168.1.9/32"), Some("192.168.1.9/24")),
            ("224.0.0.1", Some("224.0.0.1/32"), None),
            ("10.0.0.9/24", Some("10.0.0.9/24"), Some("10.0.0.9/24")),
            ("10.0.0.9/0", Some("10.0.0.9/0"), Some("10.0.0.9/0")),
            ("10.0.0.9/255.255.254.0", Some("10.0.0.9/23"), Some("10.0.0.9/23")),
            ("fe80::1%eth0/64", None, None),
            ("fe80::1%eth0", Some("fe80::1/128"), None),
            ("::1/128", Some("::1/128"), Some("::1/128")),
            ("::/ffff::", Some("::/16"), Some("::/16")),
        ] {
            let Ok(target) = text.parse::<Target>() else { panic!("{text}") };
            if let Some(net) = net {
                assert_eq!(target.net().to_string(), net, "{text}");
                assert_eq!(target.network().map(|(net, _)| net.to_string()).as_deref(), network, "{text}");
            }
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.256",
            "010.0.0.1",
            "10.0.0.9/33",
            "10.0.0.9/",
            "10.0.0.9/-1",
            "10.0.0.9/+8",
            "10.0.0.9/255.0.255.0",
            "10.0.0.9/ffff::",
            "10.0.0.9%eth0",
            "fe80::1%",
            "::1/129",
            "::1/1/1",
            "bob",
            "10.0.0.9/99999999999999999999",
            "\u{1b}[2J",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert_eq!((parse_split("/26"), parse_split("26").ok()), (Ok(26), Some(26)));
        assert!(["", "/", "/129", "-1", "x"].iter().all(|text| parse_split(text).is_err()));
    }
}
