//! What a request names: a place in the shares, and the host it was sent to. Pure.

use crate::config::HostName;
use hyper::Uri;
use netkit_proto::path::SafePath;
use percent_encoding::percent_decode_str;
use std::net::{IpAddr, Ipv6Addr};

/// Where the pages' style is; no share's name starts with a dot.
pub(super) const STYLE: &str = "/.netkit/v1/style.css";

/// A place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The list of shares.
    Root,
    /// The pages' style.
    Style,
    /// Something in a share.
    In {
        /// The share's name.
        share: Vec<u8>,
        /// The path beneath it.
        path: SafePath,
    },
}

/// What a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub place: Place,
    /// It ends with a slash, as a directory's does.
    pub trailing_slash: bool,
    /// An archive of the directory is asked for.
    pub archive: bool,
}

impl Target {
    /// `None` where it names nothing that could exist. Each segment is decoded by itself, so that an encoded slash or
    /// dot does what a plain one in a name would: nothing.
    pub(super) fn of(uri: &Uri) -> Option<Target> {
        let path = uri.path();
        let archive =
            uri.query().is_some_and(|query| query.split('&').any(|part| part == "tar" || part == "tar="));
        if path == STYLE {
            return Some(Target { place: Place::Style, trailing_slash: false, archive: false });
        }
        let path = path.strip_prefix('/')?;
        let (path, trailing_slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        if path.is_empty() {
            return (!trailing_slash).then_some(Target {
                place: Place::Root,
                trailing_slash: true,
                archive: false,
            });
        }
        let mut segments = path.split('/').map(|segment| percent_decode_str(segment).collect::<Vec<u8>>());
        let share = segments.next()?;
        let path = segments.try_fold(SafePath::root(), |path, segment| path.join(&segment)).ok()?;
        Some(Target { place: Place::In { share, path }, trailing_slash, archive })
    }
}

/// The name or address in a `Host`, which may be followed by a port and nothing else.
fn name_of(host: &str) -> Option<&str> {
    let is_port =
        |rest: &str| rest.is_empty() || rest.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok());
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return (address.parse::<Ipv6Addr>().is_ok() && is_port(rest)).then_some(address);
    }
    let end = host.find(':').unwrap_or(host.len());
    let (name, rest) = host.split_at(end);
    is_port(rest).then_some(name)
}

/// Whether a `Host` (with or without port) means this box: an address, its own names, names of the local network, or
/// one of `files.hosts`.
pub(super) fn is_our_host(host: &str, own: &str, further: &[HostName]) -> bool {
    let Some(name) = name_of(host) else { return false };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.is_empty() {
        return false;
    }
    let is = |other: &str| name == other.to_ascii_lowercase();
    let system = rustix::system::uname();
    name.parse::<IpAddr>().is_ok()
        || is("localhost")
        || name.ends_with(".local")
        || is(own)
        || system.nodename().to_str().is_ok_and(is)
        || further.iter().any(|host| is(&host.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<(String, String, bool, bool)> {
        let Target { place, trailing_slash, archive } = Target::of(&uri.parse().unwrap())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(match place {
            Place::Root => ("/".into(), String::new(), trailing_slash, archive),
            Place::Style => (STYLE.into(), String::new(), trailing_slash, archive),
            Place::In { share, path } => (text(&share), text(path.as_bytes()), trailing_slash, archive),
        })
    }

    #[test]
    fn targets_are_decoded_and_lead_nowhere_else() {
        let found =
            |share: &str, path: &str, slash, tar| Some((share.to_owned(), path.to_owned(), slash, tar));
        for (uri, expected) in [
            ("/", found("/", "", true, false)),
            ("http://box/", found("/", "", true, false)),
            ("/pub", found("pub", "", false, false)),
            ("/pub/", found("pub", "", true, false)),
            ("/pub/a%20b/%E4%BD%A0", found("pub", "a b/你", false, false)),
            ("/pub/dir/?tar", found("pub", "dir", true, true)),
            ("/pub/dir/?x=1&tar=", found("pub", "dir", true, true)),
            ("/pub/%ff", found("pub", "\u{fffd}", false, false)),
            ("/pub/%2e%2e/x", None),
            ("/pub/../x", None),
            ("/pub/./x", None),
            ("/pub/a%2fb", None),
            ("/pub/a%00b", None),
            ("/pub//x", None),
            ("//", None),
            ("/.netkit/v1/style.css", found(STYLE, "", false, false)),
        ] {
            assert_eq!(target(uri), expected, "{uri}");
        }
    }

    #[test]
    fn only_names_of_this_box_are_its_own() {
        let further = ["files.example".parse().unwrap()];
        for (host, expected) in [
            ("10.0.0.9", true),
            ("10.0.0.9:7891", true),
            ("[fe80::1]:7891", true),
            ("[::1]", true),
            ("localhost:7891", true),
            ("box1", true),
            ("BOX1:7891", true),
            ("anything.local", true),
            ("anything.local.", true),
            ("files.example:7891", true),
            ("evil.example", false),
            ("10.0.0.9.evil.example", false),
            ("[evil.example]", false),
            ("[::1]evil.example", false),
            ("[::1]:80:80", false),
            ("localhost:80@evil.example", false),
            ("localhost:evil", false),
            (":80", false),
            (".", false),
            ("", false),
        ] {
            assert_eq!(is_our_host(host, "box1", &further), expected, "{host}");
        }
    }
}
