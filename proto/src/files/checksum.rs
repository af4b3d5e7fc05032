//! Checksums as people write them: `ALGORITHM:HEX`. Computing one is not done here.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// What `b3sum` prints.
    Blake3,
    /// What `sha256sum` prints.
    Sha256,
    /// What `sha512sum` prints.
    Sha512,
    /// What `md5sum` prints: tells damage, but not malice.
    Md5,
}

impl Algorithm {
    const ALL: [Algorithm; 4] = [Algorithm::Blake3, Algorithm::Sha256, Algorithm::Sha512, Algorithm::Md5];

    /// Its name before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Blake3 => "blake3",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
            Algorithm::Md5 => "md5",
        }
    }

    /// Bytes of its digest.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Algorithm::Blake3 | Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
            Algorithm::Md5 => 16,
        }
    }
}

/// What a file's content must hash to. In text and JSON `sha256:…`, the digest in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

impl Checksum {
    /// A digest of this algorithm; `None` where it is not as long as that makes it.
    #[must_use]
    pub fn new(algorithm: Algorithm, digest: &[u8]) -> Option<Checksum> {
        (digest.len() == algorithm.digest_len()).then(|| Checksum { algorithm, digest: digest.to_owned() })
    }

    /// How it is computed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What comes out.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

impl FromStr for Checksum {
    type Err = String;
    fn from_str(text: &str) -> Result<Checksum, String> {
        let (name, hex) = text
            .split_once(':')
            .ok_or_else(|| format!("{text:?} is no checksum: write ALGORITHM:HEX, such as sha256:9f86d0…"))?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_str()));
        let algorithm = algorithm.ok_or_else(|| {
            let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
            format!("checksums of the kind {name:?} are not known; there is {known}")
        })?;
        if hex.len() != 2 * algorithm.digest_len() || !hex.is_ascii() {
            let (wanted, found) = (2 * algorithm.digest_len(), hex.chars().count());
            return Err(format!("a {} checksum has {wanted} hex digits, not {found}", algorithm.as_str()));
        }
        let byte =
            |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok().filter(|_| hex.as_bytes()[at] != b'+');
        let digest: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
        let digest = digest.ok_or_else(|| format!("{hex:?} is not hex"))?;
        Ok(Checksum { algorithm, digest })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm.as_str())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checksum, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Checksum {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Checksum".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(blake3|sha256|sha512|md5):[0-9a-fA-F]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_and_written() {
        let sha = format!("sha256:{}", "9F".repeat(32));
        let parsed: Checksum = sha.parse().unwrap();
        assert_eq!((parsed.algorithm(), parsed.digest()), (Algorithm::Sha256, &[0x9f; 32][..]));
        assert_eq!(parsed.to_string(), sha.to_ascii_lowercase());
        assert!(format!("MD5:{}", "00".repeat(16)).parse::<Checksum>().is_ok());
        for (text, part) in [
            ("9f86", "write ALGORITHM:HEX"),
            ("crc32:00000000", "not known; there is blake3, sha256"),
            ("md5:00", "32 hex digits, not 2"),
            (&format!("md5:{}", "+1".repeat(16)), "is not hex"),
            (&format!("md5:{}", "é".repeat(16)), "32 hex digits, not 16"),
            (&format!("md5:{}", "zz".repeat(16)), "is not hex"),
        ] {
            let error = text.parse::<Checksum>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
