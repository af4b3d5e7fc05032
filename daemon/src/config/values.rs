//! Types of configuration values that check themselves: sizes, rates, durations, nets, hosts, patterns. An error
//! carries the place of the value in the file, since it is found while that value is read.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A value written as a string and made by [`FromStr`].
fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

macro_rules! text_values {
    ($($name:ty),*) => {
        $(impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                from_text(deserializer)
            }
        })*
    };
}

text_values!(Age, NetEntry, Principal, HostName, HostPort, Pattern, AbsolutePath);

/// A number of bytes: an integer, or a string such as `"10 MiB"` (powers of 1024) or `"10 MB"` (of 1000).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
            Other(toml::Value),
        }
        const EXPECTED: &str = "a size such as \"10 MiB\" or a number of bytes";
        match Written::deserialize(deserializer)? {
            Written::Number(number) => u64::try_from(number)
                .map(Size)
                .map_err(|_| D::Error::invalid_value(Unexpected::Signed(number), &EXPECTED)),
            Written::Text(text) => text
                .parse::<bytesize::ByteSize>()
                .map(|size| Size(size.as_u64()))
                .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED)),
            Written::Other(value) => {
                Err(D::Error::invalid_type(Unexpected::Other(value.type_str()), &EXPECTED))
            }
        }
    }
}

/// A length of time: a number and one of `s`, `m`, `h`, `d`; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = String;
    fn from_str(text: &str) -> Result<Age, String> {
        let wrong =
            || format!("{text:?} is no length of time; write a number and s, m, h or d, such as \"90d\"");
        let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let seconds = match &text.trim()[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        match number.checked_mul(seconds) {
            Some(0) => Err(format!("{text:?} is no time at all")),
            // A century; what is longer is a slip, and would not fit in milliseconds further on.
            Some(seconds) if seconds <= 100 * 366 * 86400 => Ok(Age(Duration::from_secs(seconds))),
            _ => Err(format!("{text:?} is longer than a hundred years")),
        }
    }
}

/// One entry of a list of nets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NetEntry {
    Private,
    Net(IpNet),
}

impl FromStr for NetEntry {
    type Err = String;
    fn from_str(text: &str) -> Result<NetEntry, String> {
        if text == "private" {
            return Ok(NetEntry::Private);
        }
        let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
        net.map(NetEntry::Net).map_err(|_| {
            format!("{text:?} is no net; write \"private\", an address, or a net such as \"10.1.0.0/16\"")
        })
    }
}

/// Nets that are let in. `private` stands for private (RFC 1918, RFC 4193), link-local, carrier-grade NAT
/// (RFC 6598) and loopback ranges.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Nets(Vec<NetEntry>);

impl Nets {
    /// `["private"]`.
    #[must_use]
    pub fn private() -> Nets {
        Nets(vec![NetEntry::Private])
    }

    /// Whether an address is in one of the nets; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|entry| match entry {
            NetEntry::Private => is_private(address),
            NetEntry::Net(net) => net.contains(&address),
        })
    }
}

fn is_private(address: IpAddr) -> bool {
    const CGNAT: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);
    const UNIQUE_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback() || CGNAT.contains(&v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || UNIQUE_LOCAL.contains(&v6),
    }
}

/// A user, or with `@` a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user's name.
    User(String),
    /// A group's name.
    Group(String),
}

impl FromStr for Principal {
    type Err = String;
    fn from_str(text: &str) -> Result<Principal, String> {
        let name = text.strip_prefix('@').unwrap_or(text);
        if name.is_empty()
            || name.len() > 256
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':')
        {
            return Err(format!("{text:?} is no user's name and no group's (@name)"));
        }
        let name = name.to_owned();
        Ok(if text.starts_with('@') { Principal::Group(name) } else { Principal::User(name) })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::User(name) => write!(f, "{name}"),
            Principal::Group(name) => write!(f, "@{name}"),
        }
    }
}

/// A host name as in a `Host` header, without port (RFC 1123, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(pub String);

impl FromStr for HostName {
    type Err = String;
    fn from_str(text: &str) -> Result<HostName, String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            return Ok(HostName(text.to_ascii_lowercase()));
        }
        Err(format!("{text:?} is no host name"))
    }
}

/// A host name or an address, and perhaps a port; an IPv6 address with a port stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or the address.
    pub host: String,
    /// The port, where one is given.
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = String;
    fn from_str(text: &str) -> Result<HostPort, String> {
        let wrong = || format!("{text:?} is neither HOST nor HOST:PORT");
        let is_host = |host: &str| host.parse::<IpAddr>().is_ok() || host.parse::<HostName>().is_ok();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if text.parse::<IpAddr>().is_ok() || bare.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()) {
            return Ok(HostPort { host: bare.unwrap_or(text).to_owned(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                (host, Some(port.parse::<u16>().ok().filter(|&p| p != 0).ok_or_else(wrong)?))
            }
            None => (text, None),
        };
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().map(|v6| v6.to_string()).map_err(|_| wrong())?,
            None if host.contains(':') => return Err(wrong()),
            None => host.to_owned(),
        };
        if is_host(&host) { Ok(HostPort { host, port }) } else { Err(wrong()) }
    }
}

/// A pattern of interface names: `*` stands for anything, a leading `!` excludes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What it matches is excluded.
    pub exclude: bool,
    /// The pattern without its `!`.
    pub glob: String,
}

impl FromStr for Pattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Pattern, String> {
        let (exclude, glob) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if glob.is_empty()
            || glob.len() > 64
            || glob.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
        {
            return Err(format!(
                "{text:?} is no pattern of interface names, such as \"eth*\" or \"!docker*\""
            ));
        }
        Ok(Pattern { exclude, glob: glob.to_owned() })
    }
}

/// A path from the root, without `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsolutePath(pub PathBuf);

impl FromStr for AbsolutePath {
    type Err = String;
    fn from_str(text: &str) -> Result<AbsolutePath, String> {
        let path = PathBuf::from(text);
        let up = path.components().any(|c| c == std::path::Component::ParentDir);
        if !path.is_absolute() || up || text.contains('\0') {
            return Err(format!("{text:?} is no absolute path without \"..\""));
        }
        Ok(AbsolutePath(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_a_number_and_a_unit() {
        for (text, seconds) in [("90d", 90 * 86400), ("12h", 43200), ("5 m", 300), ("1s", 1)] {
            assert_eq!(text.parse(), Ok(Age(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "d", "90", "-1d", "1.5d", "0s", "1w", "99999999999999999999d", "999999999d", "é"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }

    #[test]
    fn private_nets_are_those_of_a_lan() {
        let nets = Nets::private();
        for address in [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(nets.contains(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8", "::"] {
            assert!(!nets.contains(address.parse().unwrap()), "{address}");
        }
        let one = Nets(vec!["192.0.2.7".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        assert!(one.contains("192.0.2.7".parse().unwrap()) && one.contains("2001:db8::5".parse().unwrap()));
        assert!(!one.contains("192.0.2.8".parse().unwrap()) && !one.contains("127.0.0.1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<NetEntry>().is_err());
    }

    #[test]
    fn hosts_and_ports() {
        let host = |host: &str, port| Ok(HostPort { host: host.into(), port });
        assert_eq!("10.0.0.9".parse(), host("10.0.0.9", None));
        assert_eq!("10.0.0.10:7890".parse(), host("10.0.0.10", Some(7890)));
        assert_eq!("bob.local:1".parse(), host("bob.local", Some(1)));
        assert_eq!("fe80::1".parse(), host("fe80::1", None));
        assert_eq!("[fe80::1]:7".parse(), host("fe80::1", Some(7)));
        for text in ["", ":1", "a:0", "a:65536", "a b", "-a", "fe80::1:x", "[fe80::1", "a/b"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
