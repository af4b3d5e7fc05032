//! Where a download comes from, as people write it, and the name that its file gets: the last segment of what was
//! asked for, never what a server says.

use crate::files::pattern::Pattern;
use crate::limits;
use crate::name::{NameError, PeerName, host_and_port, is_unsafe};
use crate::path::{self, SafePath};
use percent_encoding::percent_decode_str;
use std::str::FromStr;

/// A source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `http://…` or `https://…`, without its fragment.
    Http(String),
    /// `tcp://HOST:PORT/NAME`: a server that answers a bare name with the file's bytes and closes.
    Plain {
        /// A host name or an IP address, an IPv6 one without its brackets.
        host: String,
        /// Never 0.
        port: u16,
        /// What is asked for, as it is: nothing in it is an escape.
        name: String,
    },
    /// `PEER:SHARE/path`: another netkit box.
    Peer {
        /// Its name, or its whole id.
        name: PeerName,
        /// The start of its id, to tell namesakes apart.
        id_prefix: Option<String>,
        /// Its share, and the path in that: of the file, or of the directory.
        path: SafePath,
        /// What of that.
        wanted: Wanted,
    },
}

/// What is wanted of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `SHARE/path`: the file.
    File,
    /// `SHARE`, `SHARE/` or `SHARE/dir/`: the directory, with all that is in it.
    Tree,
    /// `SHARE/dir/*.iso`: those files of the directory whose names match.
    Matching(Pattern),
}

impl FromStr for Source {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Source, NameError> {
        let wrong = |why: &str| Err(NameError::Other(format!("{text} is no source: {why}")));
        if text.len() > limits::SOURCE {
            let (what, len, max) = ("source", text.len(), limits::SOURCE);
            return Err(NameError::TooLong { what, len, max });
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            let Some((address, name)) = rest.split_once('/') else {
                return wrong("write tcp://HOST:PORT/NAME");
            };
            let (host, port) = host_and_port(address).map_err(|why| {
                NameError::Other(format!("tcp://{address}/ is not tcp://HOST:PORT/NAME: {why}"))
            })?;
            if name.is_empty() || name.len() > limits::PLAIN_LINE || name.contains(['\n', '\r', '\0']) {
                return wrong("the name has from 1 to 1024 bytes, all on one line");
            }
            return Ok(Source::Plain { host, port, name: name.to_owned() });
        }
        if is_http(text) {
            let url = text.split_once('#').map_or(text, |(url, _)| url);
            if let Some(bad) = url.chars().find(|c| c.is_whitespace() || is_unsafe(*c)) {
                return Err(NameError::Character { what: "URL", found: bad });
            }
            if authority_and_path(url).0.contains('@') {
                return wrong("a password in a URL would be shown to all who may see the queue");
            }
            return Ok(Source::Http(url.to_owned()));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return wrong(&format!("{scheme}:// is not known; there is http://, https:// and tcp://"));
        }
        match text.split_once(':') {
            Some((peer, path)) if !path.is_empty() => {
                let (name, id_prefix) = match peer.split_once('~') {
                    Some((name, prefix)) => (name, Some(prefix.to_owned())),
                    None => (peer, None),
                };
                let (dir, last) = path.rsplit_once('/').unwrap_or(("", path));
                let (wanted, path) = match (last, Pattern::of(last)) {
                    ("", _) => (Wanted::Tree, dir),
                    // A number is rather a port, of an address without http:// or tcp://.
                    (_, None) if dir.is_empty() && !is_number(path) => (Wanted::Tree, path),
                    (_, Some(pattern)) => (Wanted::Matching(pattern), dir),
                    (_, None) => (Wanted::File, path),
                };
                let least = if wanted == Wanted::File { 2 } else { 1 };
                match SafePath::parse(path.as_bytes()) {
                    Ok(path) if path.components().count() >= least => {
                        Ok(Source::Peer { name: name.parse()?, id_prefix, path, wanted })
                    }
                    _ => wrong(
                        "write PEER:SHARE/path, of a directory PEER:SHARE/path/, of a share PEER:SHARE/, without . and ..",
                    ),
                }
            }
            _ => wrong("write https://…, tcp://HOST:PORT/NAME or PEER:SHARE/path"),
        }
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_http(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// `host:port` and `/path` of a URL, without query.
fn authority_and_path(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

impl Source {
    /// The peer as it was named, where the source is one.
    #[must_use]
    pub fn peer(&self) -> Option<String> {
        match self {
            Source::Peer { name, id_prefix: Some(prefix), .. } => Some(format!("{name}~{prefix}")),
            Source::Peer { name, id_prefix: None, .. } => Some(name.to_string()),
            Source::Http(_) | Source::Plain { .. } => None,
        }
    }

    /// The name that the file gets where none is asked for.
    ///
    /// # Errors
    /// Why the last segment can't be one.
    pub fn file_name(&self) -> Result<SafePath, NameError> {
        let (path, decode) = match self {
            Source::Http(url) => (authority_and_path(url).1, true),
            Source::Plain { name, .. } => (name.as_str(), false),
            Source::Peer { path, .. } => (std::str::from_utf8(path.as_bytes()).unwrap_or_default(), false),
        };
        let last = path.rsplit('/').next().unwrap_or_default();
        if !decode {
            return file_name(last);
        }
        let decoded = percent_decode_str(last).decode_utf8();
        let decoded = decoded.map_err(|_| NameError::Other(format!("the file name {last} is not UTF-8")))?;
        file_name(&decoded)
    }
}

/// The name of a file, cut at a character where it is longer than a file system takes.
fn file_name(name: &str) -> Result<SafePath, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty("file name"));
    }
    if let Some(found) = name.chars().find(|&c| is_unsafe(c)) {
        return Err(NameError::Character { what: "file name", found });
    }
    if path::is_part(name.as_bytes()) {
        return Err(NameError::Other(format!("{name} is what netkit calls files that are not complete yet")));
    }
    SafePath::root()
        .join(path::numbered(name, 0).as_bytes())
        .map_err(|_| NameError::Other(format!("{name:?} can't be a file's name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let http = |url: &str| Source::Http(url.into());
        let plain =
            |host: &str, port, name: &str| Source::Plain { host: host.into(), port, name: name.into() };
        let peer = |name: &str, id: Option<&str>, path: &str| Source::Peer {
            name: name.parse().unwrap(),
            id_prefix: id.map(str::to_owned),
            path: SafePath::parse(path.as_bytes()).unwrap(),
            wanted: Wanted::File,
        };
        for (text, expected) in [
            ("http://a/b", http("http://a/b")),
            ("HTTPS://a/b?c#d", http("HTTPS://a/b?c")),
            ("tcp://10.0.0.1:7891/你好 1.txt", plain("10.0.0.1", 7891, "你好 1.txt")),
            ("tcp://[::1]:7/a/b%20c", plain("::1", 7, "a/b%20c")),
            ("bob:isos/x", peer("bob", None, "isos/x")),
            ("bob~k7:isos/x:y", peer("bob", Some("k7"), "isos/x:y")),
        ] {
            assert_eq!(text.parse::<Source>(), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("ftp://a/b", "ftp:// is not known"),
            ("file:///etc/passwd", "file:// is not known"),
            ("tcp://a:1", "write tcp://HOST:PORT/NAME"),
            ("tcp://a:1/", "from 1 to 1024 bytes"),
            ("tcp://a/b", "the port is missing"),
            ("tcp://a:1/x\ny", "all on one line"),
            ("http://a b/c", "can't contain ' '"),
            ("http://me:secret@a/b", "a password in a URL"),
            ("isos/debian.iso", "write https://"),
            ("bob:", "write https://"),
            ("localhost:8080", "write PEER:SHARE/path"),
            ("bob:isos/../x", "write PEER:SHARE/path"),
            ("bob:/isos/x", "write PEER:SHARE/path"),
            ("bob:*", "write PEER:SHARE/path"),
            ("bob:/", "write PEER:SHARE/path"),
            ("bob:isos//", "write PEER:SHARE/path"),
            ("", "write https://"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(format!("http://a/{}", "x".repeat(limits::SOURCE)).parse::<Source>().is_err());
        assert!("http://a/@b?x@y".parse::<Source>().is_ok(), "an @ elsewhere is no password");
    }

    #[test]
    fn directories_and_patterns_are_told_from_files() {
        let of = |text: &str| match text.parse() {
            Ok(Source::Peer { path, wanted, .. }) => {
                (String::from_utf8(path.as_bytes().to_vec()).unwrap(), wanted)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(of("bob:isos/"), ("isos".into(), Wanted::Tree));
        assert_eq!(of("bob:isos"), of("bob:isos/"), "no file is a share");
        assert_eq!(of("bob:isos/deb/"), ("isos/deb".into(), Wanted::Tree));
        let pattern = Wanted::Matching(Pattern::of("*.iso").unwrap());
        assert_eq!(of("bob:isos/deb/*.iso"), ("isos/deb".into(), pattern));
        assert_eq!(of("bob:isos/[x].iso"), ("isos/[x].iso".into(), Wanted::File));
    }

    #[test]
    fn a_file_is_called_as_what_was_asked_for() {
        let name = |text: &str| {
            let source: Source = text.parse().unwrap();
            source.file_name().map(|name| String::from_utf8(name.as_bytes().to_vec()).unwrap())
        };
        for (text, expected) in [
            ("http://a/b/c.iso?x=/y", "c.iso"),
            ("http://a/%E4%BD%A0%20x", "你 x"),
            ("tcp://a:1/dir/b%20c", "b%20c"),
            ("bob:isos/deb/x", "x"),
            ("bob:isos/deb/", "deb"),
            ("bob:isos/*", "isos"),
            ("bob:isos", "isos"),
        ] {
            assert_eq!(name(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "http://a",
            "http://a/",
            "http://a/b/",
            "http://a/%2e%2e",
            "http://a/..",
            "http://a/a%2Fb",
            "http://a/a%00b",
            "http://a/a%0Ab",
            "http://a/%FF",
            "http://a/x%E2%80%AEy",
            "http://a/.netkit-7.part",
            "tcp://a:1/..",
        ] {
            assert!(name(text).is_err(), "{text}");
        }
        assert_eq!(name(&format!("http://a/{}.iso", "x".repeat(300))).unwrap().len(), 255);
    }
}
