//! What a directory holds, as JSON: `GET /SHARE/dir/` with `Accept: application/json`, and `files.list`; and all that is
//! beneath it, a line an entry: `GET /SHARE/dir/?tree`.

use super::manifest::from_hex;
use crate::path::SafePath;
use crate::time::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
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
    /// What a file hashes to, where that is known: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
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
        let name = String::from_utf8_lossy(name).into_owned();
        ListEntry { name, href, kind, size, modified, blake3: None }
    }
}

impl ListEntry {
    /// The entry as it should be; `None` where what it says can't be.
    fn checked(self) -> Option<ListEntry> {
        let ListEntry { href, kind, size, modified, blake3, .. } = self;
        let bytes: Vec<u8> = match kind {
            EntryKind::Dir => percent_decode_str(href.strip_suffix('/')?).collect(),
            EntryKind::File => percent_decode_str(&href).collect(),
        };
        SafePath::root().join(&bytes).ok()?;
        if blake3.as_ref().is_some_and(|digits| from_hex(digits).is_none()) {
            return None;
        }
        Some(ListEntry { blake3, ..ListEntry::new(&bytes, kind, size, modified) })
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

    /// Reads a listing that somebody else made. Its names are what its links say, and can be names.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(json: &[u8]) -> Result<Listing, String> {
        let Listing { entries, truncated } =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let entries = entries.into_iter().map(ListEntry::checked).collect::<Option<_>>();
        let entries = entries.ok_or("an entry that can be none")?;
        Ok(Listing { entries, truncated })
    }
}

/// Something beneath a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Where, from that directory on; where that is not UTF-8, its bytes with the broken ones replaced.
    pub path: String,
    /// The path as part of a URL, exact for any bytes; only where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
    /// What it is.
    pub kind: EntryKind,
    /// A file's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// It is a file that its owner may run.
    #[serde(default)]
    pub executable: bool,
    /// It can't be read there: it, or what is in it, can't be had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
    /// What a file hashes to, where that is known: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
}

impl TreeEntry {
    /// An entry of which no more is known.
    #[must_use]
    pub fn new(path: &[u8], kind: EntryKind) -> TreeEntry {
        let exact = || path.split(|&b| b == b'/').map(percent_encoded).collect::<Vec<_>>().join("/");
        let text = std::str::from_utf8(path);
        TreeEntry {
            path: String::from_utf8_lossy(path).into_owned(),
            href: text.is_err().then(exact),
            kind,
            size: None,
            modified: None,
            executable: false,
            unreadable: false,
            blake3: None,
        }
    }

    /// Its path as the file system has it.
    #[must_use]
    pub fn path_bytes(&self) -> Vec<u8> {
        match &self.href {
            Some(href) => percent_decode_str(href).collect(),
            None => self.path.clone().into_bytes(),
        }
    }
}

/// The last line: without it the others are not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEnd {
    /// Always true.
    pub end: bool,
    /// How many there were.
    pub entries: u64,
    /// There are more than are told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A line of what is beneath a directory: entries in the byte order of their paths, a directory before what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TreeLine {
    /// Something.
    Entry(TreeEntry),
    /// The end.
    End(TreeEnd),
}

impl TreeLine {
    /// Its JSON, without a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // as above
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(line: &[u8]) -> Result<TreeLine, String> {
        serde_json::from_slice(line).map_err(|error| format!("no line of a listing: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_somebody_else_made_has_names_that_can_be_names() {
        let entry = |href: &str, kind: &str| {
            Listing::parse(
                format!(r#"{{"entries":[{{"name":"x","href":"{href}","kind":"{kind}"}}]}}"#).as_bytes(),
            )
        };
        for (href, kind, name) in [
            ("a%20b", "file", "a b"),
            ("d/", "dir", "d"),
            ("%FF", "file", "\u{fffd}"),
            ("..a", "file", "..a"),
        ] {
            let listing = entry(href, kind).unwrap();
            assert_eq!((listing.entries[0].name.as_str(), listing.entries[0].href.as_str()), (name, href));
        }
        for (href, kind) in [
            ("", "file"),
            ("..", "file"),
            ("%2e%2e/", "dir"),
            ("d", "dir"),
            ("a/b", "file"),
            ("a%2Fb", "file"),
            ("a%00", "file"),
            ("a", "socket"),
        ] {
            assert!(entry(href, kind).is_err(), "{href}");
        }
        let whole = Listing {
            entries: vec![ListEntry {
                blake3: Some("0".repeat(64)),
                ..ListEntry::new("\u{4f60}\n".as_bytes(), EntryKind::File, Some(7), Some(Timestamp(1)))
            }],
            truncated: true,
        };
        assert_eq!(Listing::parse(whole.to_json().as_bytes()), Ok(whole.clone()));
        let lie = whole.to_json().replace(&"0".repeat(64), "1");
        assert!(Listing::parse(lie.as_bytes()).is_err() && Listing::parse(b"[]").is_err());
    }

    #[test]
    fn lines_come_back_as_they_were_and_paths_are_exact() {
        let entry = TreeEntry {
            size: Some(7),
            modified: Some(Timestamp(1_800_000_000_123)),
            executable: true,
            blake3: Some("ab".into()),
            ..TreeEntry::new("a/\u{4f60}\n\"".as_bytes(), EntryKind::File)
        };
        let broken = TreeEntry::new(b"d %/\xff", EntryKind::Dir);
        assert_eq!((broken.href.as_deref(), entry.href.as_deref()), (Some("d%20%25/%FF"), None));
        for (entry, path) in [(entry, "a/\u{4f60}\n\"".as_bytes()), (broken, b"d %/\xff")] {
            assert_eq!(entry.path_bytes(), path);
            let line = TreeLine::Entry(entry);
            assert!(!line.to_json().contains('\n'));
            assert_eq!(TreeLine::parse(line.to_json().as_bytes()), Ok(line));
        }
        let end = TreeLine::End(TreeEnd { end: true, entries: 2, truncated: false });
        assert_eq!(end.to_json(), r#"{"end":true,"entries":2}"#);
        assert_eq!(TreeLine::parse(end.to_json().as_bytes()), Ok(end));
        for bad in ["", "{}", "[]", r#"{"path":"a"}"#, r#"{"path":"a","kind":"socket"}"#, r#"{"end":true}"#] {
            assert!(TreeLine::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
