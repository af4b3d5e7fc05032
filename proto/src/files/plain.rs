//! The tutorial's request for a file: its bare name and nothing else. The answer is the file's bytes, or [`NO_FILE`].

use crate::path::SafePath;
use encoding_rs::GB18030;

/// Sent in place of a file that is not there or may not be seen. A file of this content can't be told from it.
pub const NO_FILE: &[u8] = b"no_file";

/// The paths that a bare name may mean, the likeliest first: its bytes as they are, and where they are not UTF-8, what
/// they say in GB18030.
#[must_use]
pub fn paths_of(name: &[u8]) -> Vec<SafePath> {
    let mut paths: Vec<SafePath> = SafePath::parse(name).into_iter().collect();
    if std::str::from_utf8(name).is_err()
        && let Some(text) = GB18030.decode_without_bom_handling_and_without_replacement(name)
    {
        paths.extend(SafePath::parse(text.as_bytes()));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_both_encodings() {
        let paths = |name: &[u8]| -> Vec<Vec<u8>> {
            paths_of(name).iter().map(|path| path.as_bytes().to_vec()).collect()
        };
        assert_eq!(paths("网络.txt".as_bytes()), ["网络.txt".as_bytes()]);
        assert_eq!(paths(b"\xcd\xf8\xc2\xe7"), [&b"\xcd\xf8\xc2\xe7"[..], "网络".as_bytes()]);
        assert_eq!(paths(b"dir/file"), [b"dir/file"]);
        assert!(paths(b"../secret").is_empty() && paths(b"/etc/passwd").is_empty() && paths(b"").is_empty());
    }
}
