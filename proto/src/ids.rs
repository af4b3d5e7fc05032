//! What identifies things: the place in the event log, and a box.

use crate::limits;
use data_encoding::BASE32_NOPAD_NOCASE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// The number of an event in the log: the first is 1, each next one higher by one, none ever reused within an
/// [`Epoch`]. The number of a `message.queued` event is also the message's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event: reading since this place gives everything that is kept.
    pub const START: Seq = Seq(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    /// The number before this one; [`Seq::START`] stays where it is.
    #[must_use]
    pub const fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which log a [`Seq`] counts in: drawn when a log begins, so that a place in a log that was replaced (a restored
/// backup, a new state directory) is noticed. At most 2^53 - 1, which every JSON reader keeps exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch that these random bits stand for.
    #[must_use]
    pub const fn from_random(bits: u64) -> Epoch {
        Epoch(bits & limits::NUMBER)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which box a peer is: the SHA-256 of its public key (the SubjectPublicKeyInfo of its certificate, RFC 5280 section
/// 4.1.2.7), so that it outlives a new certificate for the same key. Written as 52 characters of base32 (RFC 4648,
/// section 6) in lower case, without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

/// Characters of the short form, which stands behind a name: 30 bits, enough to tell the boxes of a LAN apart.
const SHORT: usize = 6;

impl PeerId {
    /// The first characters, for people.
    #[must_use]
    pub fn short(self) -> String {
        let mut text = self.to_string();
        text.truncate(SHORT);
        text
    }

    /// Whether the id, written out, starts so; upper and lower case are the same.
    #[must_use]
    pub fn starts_with(self, prefix: &str) -> bool {
        self.to_string().starts_with(&prefix.to_ascii_lowercase())
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD_NOCASE.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// Why a text is no [`PeerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer's id is 52 letters and digits (a-z, 2-7), as netkitctl peers show prints it")]
pub struct NoPeerId;

impl FromStr for PeerId {
    type Err = NoPeerId;
    fn from_str(text: &str) -> Result<PeerId, NoPeerId> {
        let bytes = BASE32_NOPAD_NOCASE.decode(text.as_bytes()).map_err(|_| NoPeerId)?;
        bytes.try_into().map(PeerId).map_err(|_| NoPeerId)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PeerId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PeerId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PeerId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z2-7]{52}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_id_is_read_as_it_is_written() {
        let id = PeerId(std::array::from_fn(|n| n as u8 * 7));
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (52, Ok(id)));
        assert_eq!(text.to_uppercase().parse(), Ok(id), "as a person may type it");
        assert!(
            id.starts_with(&id.short()) && id.starts_with(&id.short().to_uppercase()) && id.starts_with("")
        );
        assert!(!id.starts_with("zz"));
        for bad in ["", &text[..51], &format!("{text}a"), &text.replace(&text[..1], "1"), &"a".repeat(200)] {
            assert_eq!(bad.parse::<PeerId>(), Err(NoPeerId), "{bad}");
        }
    }
}
