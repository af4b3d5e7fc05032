//! How socket addresses are written and read: `10.0.0.9:7890`, `[::1]:7890`, `/run/x.sock`, `@abstract`. Called by all
//! of `socket`, and by `peers` for names. Looks nothing up but in `resolve`.

use crate::exit::{Exit, Failure, Outcome};
use rustix::net::{SocketAddrAny, SocketAddrUnix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// An address for people and for JSON; one of IPv4 always as such.
pub(crate) fn show_address(address: &SocketAddrAny) -> String {
    if let Some(inet) = inet_of(address) {
        return inet.to_string();
    }
    let Ok(unix) = SocketAddrUnix::try_from(address.clone()) else { return "an unknown address".into() };
    match (unix.path_bytes(), unix.abstract_name()) {
        (Some(path), _) => String::from_utf8_lossy(path).into_owned(),
        (None, Some(name)) if !name.is_empty() => format!("@{}", String::from_utf8_lossy(name)),
        (None, _) => "unnamed".into(),
    }
}

/// The address where it is one of IP; one of IPv4 always as such.
pub(crate) fn inet_of(address: &SocketAddrAny) -> Option<SocketAddr> {
    let inet = SocketAddr::try_from(address.clone()).ok()?;
    Some(match inet.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, inet.port()),
        IpAddr::V6(_) => inet,
    })
}

/// `HOST:PORT`; for listening `PORT` alone is every address, which is `None` here.
///
/// # Errors
/// A sentence that says what an address looks like.
pub(super) fn split(text: &str, may_lack_host: bool) -> Result<(Option<&str>, u16), String> {
    let example =
        if may_lack_host { "7890, 127.0.0.1:7890 or [::1]:7890" } else { "10.0.0.9:7890 or [::1]:7890" };
    let bad = || format!("{text:?} is no address such as {example}");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if may_lack_host => ("", text),
        None => return Err(bad()),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let port = port.parse().map_err(|_| bad())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match (bare, host) {
        (Some(bare), _) if bare.parse::<Ipv6Addr>().is_ok() || bare.contains('%') => Ok((Some(bare), port)),
        (Some(_), _) => Err(bad()),
        (None, "" | "*") if may_lack_host => Ok((None, port)),
        (None, "") => Err(bad()),
        (None, host) if host.contains([':', '/', '@']) || host.contains(char::is_whitespace) => Err(bad()),
        (None, host) => Ok((Some(host), port)),
    }
}

/// All addresses of a host, in the order to try them.
///
/// # Errors
/// That it has none.
pub(super) fn resolve(host: &str, port: u16) -> Outcome<Vec<SocketAddr>> {
    let found = (host, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::new(Exit::NotFound, format!("looking up {host}: it has no address"))),
        Err(e) => Err(Failure::new(Exit::NotFound, format!("looking up {host}: {e}"))),
    }
}

/// Every address of this box, in the family of `like`.
pub(super) fn wildcard(like: SocketAddr, port: u16) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, listening, connecting) in [
            ("7890", Ok((None, 7890)), Err(())),
            (":7890", Ok((None, 7890)), Err(())),
            ("*:7890", Ok((None, 7890)), Ok((Some("*"), 7890))),
            ("127.0.0.1:0", Ok((Some("127.0.0.1"), 0)), Ok((Some("127.0.0.1"), 0))),
            ("[::1]:9", Ok((Some("::1"), 9)), Ok((Some("::1"), 9))),
            ("[fe80::1%lo]:9", Ok((Some("fe80::1%lo"), 9)), Ok((Some("fe80::1%lo"), 9))),
            ("box:9", Ok((Some("box"), 9)), Ok((Some("box"), 9))),
            ("::1:9", Err(()), Err(())),
            ("[x]:9", Err(()), Err(())),
            ("box:", Err(()), Err(())),
            ("box:70000", Err(()), Err(())),
            ("box:+9", Err(()), Err(())),
            ("", Err(()), Err(())),
            ("udp://box:9", Err(()), Err(())),
        ] {
            assert_eq!(split(text, true).map_err(|_| ()), listening, "{text}");
            assert_eq!(split(text, false).map_err(|_| ()), connecting, "{text}");
        }
    }

    #[test]
    fn addresses_are_shown() {
        let inet = |text: &str| SocketAddrAny::from(text.parse::<SocketAddr>().unwrap());
        let unix = |unix: SocketAddrUnix| SocketAddrAny::from(unix);
        for (address, shown) in [
            (inet("10.0.0.9:1"), "10.0.0.9:1"),
            (inet("[::ffff:10.0.0.9]:1"), "10.0.0.9:1"),
            (inet("[::1]:1"), "[::1]:1"),
            (unix(SocketAddrUnix::new("/x/y").unwrap()), "/x/y"),
            (unix(SocketAddrUnix::new_abstract_name(b"n").unwrap()), "@n"),
            (unix(SocketAddrUnix::new_unnamed()), "unnamed"),
        ] {
            assert_eq!(show_address(&address), shown);
        }
    }
}
