//! What a directory holds, as JSON: `GET /SHARE/dir/` with `Accept: application/json`, and `files.list`.

use crate::time::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A directory, or a share.
    Dir,
    /// A file.
    File,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListEntry {
    /// Its name; where that is not UTF-8, its bytes with the broken ones replaced.
    pub name: String,
    /// The name as the last part of a URL (RFC 3986, section 2.1), exact for any bytes; of a directory with a slash.
    pub href: String,
    /// What it is.
    pub kind: EntryKind,
    /// A file's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
}

/// All but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes as a part of a URL.
#[must_use]
pub fn percent_encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

impl ListEntry {
    /// An entry; a size is a file's alone.
    #[must_use]
    pub fn new(name: &[u8], kind: EntryKind, size: Option<u64>, modified: Option<Timestamp>) -> ListEntry {
        let slash = if kind == EntryKind::Dir { "/" } else { "" };
        let href = percent_encoded(name) + slash;
        let size = size.filter(|_| kind == EntryKind::File);
        ListEntry { name: String::from_utf8_lossy(name).into_owned(), href, kind, size, modified }
    }
}

/// A directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listing {
    /// Its entries: directories first, each kind by name.
    pub entries: Vec<ListEntry>,
    /// There are more than a listing holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Listing {
    /// Its JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and booleans always can be written.
        serde_json::to_string(self).unwrap_or_else(|_| r#"{"entries":[]}"#.to_owned())
    }
}
