//! Names that come from people and from the wire, made only by checking constructors.

use crate::limits;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// Why a name is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a {0} can't be empty")]
    Empty(&'static str),
    /// More bytes than allowed.
    #[error("the {what} is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The most allowed.
        max: usize,
    },
    /// A character that would be misread somewhere.
    #[error("a {what} can't contain {found:?}")]
    Character {
        /// What was being named.
        what: &'static str,
        /// The character.
        found: char,
    },
    /// Anything else that is wrong.
    #[error("{0}")]
    Other(String),
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $forbidden:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<$name, NameError> {
                checked(text, $what, $max, $forbidden).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

checked_name!(
    /// The name of a netkit box or of a room: at most 63 bytes, in NFC, without `: / ~ @`, space, control and
    /// bidirectional-formatting characters.
    PeerName, "name", limits::NAME, |c| c.is_whitespace() || ":/~@".contains(c)
);
checked_name!(
    /// The name of a cursor: at most 128 bytes, in NFC, without space, control and bidirectional-formatting
    /// characters.
    CursorName, "cursor name", limits::KEY, char::is_whitespace
);
checked_name!(
    /// A key that a caller chooses so that repeating a call does nothing twice: at most 128 bytes, as for
    /// [`CursorName`].
    Key, "key", limits::KEY, char::is_whitespace
);

/// The name of a share: a [`PeerName`] that does not start with a dot, since names that do are netkit's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ShareName(PeerName);

impl ShareName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for ShareName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<ShareName, NameError> {
        if text.starts_with('.') {
            return Err(NameError::Other(format!("a share's name can't start with a dot, as {text:?} does")));
        }
        text.parse().map(ShareName)
    }
}

impl<'de> Deserialize<'de> for ShareName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShareName, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

fn checked(
    text: &str,
    what: &'static str,
    max: usize,
    forbidden: fn(char) -> bool,
) -> Result<String, NameError> {
    let name = if text.is_ascii() { text.to_owned() } else { text.nfc().collect() };
    if name.is_empty() {
        return Err(NameError::Empty(what));
    }
    if name.len() > max {
        return Err(NameError::TooLong { what, len: name.len(), max });
    }
    match name.chars().find(|&c| forbidden(c) || is_unsafe(c)) {
        Some(found) => Err(NameError::Character { what, found }),
        None => Ok(name),
    }
}

/// Whether a character from a peer must not reach a terminal or a name as it is: control characters (Unicode Cc),
/// and the formatting characters that reorder or hide text (bidirectional controls, zero-width characters, line
/// and paragraph separators, the byte order mark).
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `udp://HOST:PORT`: a plain peer.
    Plain {
        /// A host name or an IP address, an IPv6 one without its brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// `NAME` or `NAME~prefix`: a netkit peer, the prefix being that of its id.
    Peer {
        /// Its name.
        name: PeerName,
        /// The start of its id, to tell namesakes apart.
        id_prefix: Option<String>,
    },
    /// `@room`.
    Room(PeerName),
    /// `@all`.
    All,
}

impl FromStr for Destination {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Destination, NameError> {
        if let Some(address) = text.strip_prefix("udp://") {
            let (host, port) = host_and_port(address)
                .map_err(|why| NameError::Other(format!("udp://{address} is not udp://HOST:PORT: {why}")))?;
            return Ok(Destination::Plain { host, port });
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(NameError::Other(format!(
                "a message can't go to {scheme}://, only to udp://HOST:PORT"
            )));
        }
        match text.strip_prefix('@') {
            Some("all") => Ok(Destination::All),
            Some(room) => Ok(Destination::Room(room.parse()?)),
            None => {
                let (name, id_prefix) = match text.split_once('~') {
                    Some((name, prefix)) => (name, Some(prefix)),
                    None => (text, None),
                };
                if let Some(prefix) = id_prefix
                    && (prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_alphanumeric()))
                {
                    let why =
                        format!("after ~ in {text} comes the start of the peer's id, letters and digits");
                    return Err(NameError::Other(why));
                }
                Ok(Destination::Peer { name: name.parse()?, id_prefix: id_prefix.map(str::to_owned) })
            }
        }
    }
}

/// Splits `HOST:PORT`, an IPv6 address standing in brackets (RFC 3986, section 3.2.2).
pub(crate) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
            (host, rest.strip_prefix(':').ok_or("the port is missing")?)
        }
        None => text.rsplit_once(':').ok_or("the port is missing")?,
    };
    if host.is_empty() {
        return Err("the host is missing".into());
    }
    if host.contains(':') && !text.starts_with('[') {
        return Err("an IPv6 address stands in brackets: udp://[::1]:7890".into());
    }
    if host.len() > 255 || host.chars().any(|c| c.is_whitespace() || is_unsafe(c) || "/@?#".contains(c)) {
        return Err("the host is neither a name nor an address".into());
    }
    match port.parse::<u16>() {
        Ok(number) if number != 0 && port.bytes().all(|b| b.is_ascii_digit()) => {
            Ok((host.to_owned(), number))
        }
        _ => Err(format!("{port:?} is not a port from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(host: &str, port: u16) -> Destination {
        Destination::Plain { host: host.into(), port }
    }

    #[test]
    fn destinations_are_told_apart() {
        let peer = |name: &str, id: Option<&str>| Destination::Peer {
            name: name.parse().unwrap(),
            id_prefix: id.map(str::to_owned),
        };
        for (text, expected) in [
            ("udp://127.0.0.1:9999", plain("127.0.0.1", 9999)),
            ("udp://[::1]:7890", plain("::1", 7890)),
            ("udp://[fe80::1%eth0]:7890", plain("fe80::1%eth0", 7890)),
            ("udp://printer.local:1", plain("printer.local", 1)),
            ("bob", peer("bob", None)),
            ("bob~k7q2xm", peer("bob", Some("k7q2xm"))),
            ("小明", peer("小明", None)),
            ("@ops", Destination::Room("ops".parse().unwrap())),
            ("@all", Destination::All),
        ] {
            assert_eq!(text.parse::<Destination>(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_destinations_say_what_is_wrong() {
        for (text, part) in [
            ("udp://127.0.0.1", "the port is missing"),
            ("udp://127.0.0.1:0", "not a port"),
            ("udp://127.0.0.1:+80", "not a port"),
            ("udp://127.0.0.1:65536", "not a port"),
            ("udp://::1:80", "stands in brackets"),
            ("udp://[::1:80", "not closed"),
            ("udp://:80", "the host is missing"),
            ("udp://a b:80", "neither a name nor an address"),
            ("udp://user@host:80", "neither a name nor an address"),
            ("tcp://a:80", "a message can't go to tcp://"),
            ("", "can't be empty"),
            ("@", "can't be empty"),
            ("a b", "can't contain ' '"),
            ("bob~", "the start of the peer's id"),
            ("bob\u{202E}", "can't contain '\\u{202e}'"),
            ("bob\x1b[31m", "can't contain '\\u{1b}'"),
        ] {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn names_are_normalised_and_bounded() {
        assert_eq!("e\u{301}".parse::<PeerName>().unwrap().as_str(), "\u{e9}");
        assert!("a".repeat(63).parse::<PeerName>().is_ok());
        assert!("a".repeat(64).parse::<PeerName>().is_err());
        assert!("网".repeat(21).parse::<PeerName>().is_ok());
        assert!("网".repeat(22).parse::<PeerName>().is_err());
        assert!("backup/nightly:1".parse::<CursorName>().is_ok());
        assert!("a b".parse::<CursorName>().is_err());
    }
}
