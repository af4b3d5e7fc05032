//! What a request names: a place in the shares, and the host it was sent to. Pure.

use crate::config::HostName;
use crate::limits;
use hyper::Uri;
use netkit_proto::files::manifest::{BlockHash, from_hex};
use netkit_proto::path::SafePath;
use percent_encoding::percent_decode_str;
use std::net::{IpAddr, Ipv6Addr};

/// Where manifests are, by share and path; no share's name starts with a dot.
const MANIFEST: &str = "/.netkit/v1/manifest/";
/// Where files are by their content.
const BLOB: &str = "/.netkit/v1/blob/";
/// Where the pages' style is.
pub(super) const STYLE: &str = "/.netkit/v1/style.css";

/// A place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The list of shares.
    Root,
    /// The pages' style.
    Style,
    /// The manifest of a file in a share.
    Manifest {
        /// The share's name.
        share: Vec<u8>,
        /// The path beneath it.
        path: SafePath,
    },
    /// Any file of this content.
    Blob(BlockHash),
    /// Something in a share.
    In {
        /// The share's name.
        share: Vec<u8>,
        /// The path beneath it.
        path: SafePath,
    },
}

/// The small files of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Small {
    /// Those of at most so many bytes,
    pub most: u64,
    /// behind this path.
    pub after: Vec<u8>,
}

/// In which form a directory is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A listing of it.
    Listing,
    /// A listing of all that is beneath.
    Tree,
    /// An archive of it.
    Archive,
    /// An archive of its small files.
    Small(Small),
}

impl Form {
    /// `None` where the query can't be understood. What is not ours in it is passed over.
    fn of(query: &str) -> Option<Form> {
        let part = |name: &str| {
            query.split('&').find_map(|part| {
                let (found, value) = part.split_once('=').unwrap_or((part, ""));
                (found == name).then_some(value)
            })
        };
        if part("tree") == Some("") {
            return Some(Form::Tree);
        }
        if part("tar") != Some("") {
            return Some(Form::Listing);
        }
        let Some(most) = part("small") else { return Some(Form::Archive) };
        let most = most.parse::<u64>().ok()?.min(limits::ARCHIVE_SMALL);
        let after = percent_decode_str(part("after").unwrap_or_default()).collect();
        Some(Form::Small(Small { most, after }))
    }
}

/// What a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub place: Place,
    /// It ends with a slash, as a directory's does.
    pub trailing_slash: bool,
    /// What is wanted of a directory.
    pub form: Form,
}

impl From<Place> for Target {
    fn from(place: Place) -> Target {
        Target { place, trailing_slash: false, form: Form::Listing }
    }
}

impl Target {
    /// `None` where it names nothing that could exist. Each segment is decoded by itself, so that an encoded slash or
    /// dot does what a plain one in a name would: nothing.
    pub(super) fn of(uri: &Uri) -> Option<Target> {
        let path = uri.path();
        if path == STYLE {
            return Some(Place::Style.into());
        }
        if let Some(digits) = path.strip_prefix(BLOB) {
            return Some(Place::Blob(from_hex(digits)?).into());
        }
        if let Some(path) = path.strip_prefix(MANIFEST) {
            let (share, path) = share_and_path(path)?;
            return Some(Place::Manifest { share, path }.into());
        }
        let form = Form::of(uri.query().unwrap_or_default())?;
        let path = path.strip_prefix('/')?;
        let (path, trailing_slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        if path.is_empty() {
            return (!trailing_slash).then_some(Target { place: Place::Root, trailing_slash: true, form });
        }
        let (share, path) = share_and_path(path)?;
        Some(Target { place: Place::In { share, path }, trailing_slash, form })
    }
}

/// Each segment is decoded by itself.
fn share_and_path(path: &str) -> Option<(Vec<u8>, SafePath)> {
    let mut segments = path.split('/').map(|segment| percent_decode_str(segment).collect::<Vec<u8>>());
    let share = segments.next()?;
    let path = segments.try_fold(SafePath::root(), |path, segment| path.join(&segment)).ok()?;
    Some((share, path))
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

    /// What kind of place, with its share and path, and in which form.
    fn target(uri: &str) -> Option<(String, bool, Form)> {
        let Target { place, trailing_slash, form } = Target::of(&uri.parse().unwrap())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = match place {
            Place::Root => "root".into(),
            Place::Style => "style".into(),
            Place::Blob(hash) => format!("blob {}", hash[31]),
            Place::Manifest { share, path } => {
                format!("manifest {} {}", text(&share), text(path.as_bytes()))
            }
            Place::In { share, path } => format!("{} {}", text(&share), text(path.as_bytes())),
        };
        Some((shown, trailing_slash, form))
    }

    #[test]
    fn targets_are_decoded_and_lead_nowhere_else() {
        let found = |shown: &str, slash| Some((shown.to_owned(), slash, Form::Listing));
        let zeros = "0".repeat(62);
        for (uri, expected) in [
            ("/", found("root", true)),
            ("http://box/", found("root", true)),
            ("/pub", found("pub ", false)),
            ("/pub/", found("pub ", true)),
            ("/pub/a%20b/%E4%BD%A0", found("pub a b/你", false)),
            ("/pub/%ff", found("pub \u{fffd}", false)),
            ("/pub/%2e%2e/x", None),
            ("/pub/../x", None),
            ("/pub/./x", None),
            ("/pub/a%2fb", None),
            ("/pub/a%00b", None),
            ("/pub//x", None),
            ("//", None),
            ("/.netkit/v1/style.css", found("style", false)),
            ("/.netkit/v1/manifest/pub/a%20b", found("manifest pub a b", false)),
            ("/.netkit/v1/manifest/pub", found("manifest pub ", false)),
            ("/.netkit/v1/manifest/pub/a/", None),
            ("/.netkit/v1/manifest/pub/../x", None),
            (&format!("/.netkit/v1/blob/{zeros}0A"), found("blob 10", false)),
            (&format!("/.netkit/v1/blob/{zeros}0"), None),
            (&format!("/.netkit/v1/blob/{zeros}000"), None),
            (&format!("/.netkit/v1/blob/{zeros}0x"), None),
        ] {
            assert_eq!(target(uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_directory_is_asked_for_in_several_forms() {
        let small = |most, after: &str| Some(Form::Small(Small { most, after: after.into() }));
        for (query, expected) in [
            ("", Some(Form::Listing)),
            ("x=1", Some(Form::Listing)),
            ("tar=x", Some(Form::Listing)),
            ("small=1", Some(Form::Listing)),
            ("tar", Some(Form::Archive)),
            ("x=1&tar=", Some(Form::Archive)),
            ("tar&after=x", Some(Form::Archive)),
            ("tree", Some(Form::Tree)),
            ("tar&small=5", small(5, "")),
            ("tar&small=5&after=a%2Fb%20", small(5, "a/b ")),
            ("after=a/b&small=99999999999&tar", small(limits::ARCHIVE_SMALL, "a/b")),
            ("tar&small=", None),
            ("tar&small=-1", None),
            ("tar&small=99999999999999999999", None),
        ] {
            assert_eq!(Form::of(query), expected, "{query}");
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
