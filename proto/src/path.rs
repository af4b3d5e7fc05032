//! Paths that come from the wire, made only by checking constructors. What is wrong with one is never more than that
//! it does not exist, so there is one error.

use std::fmt;

/// Longest name of a file in bytes: NAME_MAX of Linux.
pub const COMPONENT: usize = 255;
/// Longest path in bytes: PATH_MAX of Linux without its final NUL.
pub const PATH: usize = 4095;

/// A path that can't be one: empty, `.` or `..` as a component, a NUL, a slash where a name is asked for, too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no path beneath a share")]
pub struct BadPath;

/// A relative path of plain components, in bytes as file systems have them. Empty is the directory itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SafePath(Vec<u8>);

impl SafePath {
    /// The directory itself.
    #[must_use]
    pub fn root() -> SafePath {
        SafePath::default()
    }

    /// A path of components separated by single slashes.
    ///
    /// # Errors
    /// [`BadPath`]
    pub fn parse(bytes: &[u8]) -> Result<SafePath, BadPath> {
        bytes.split(|&b| b == b'/').try_fold(SafePath::root(), |path, component| path.join(component))
    }

    /// The path of an entry of this directory.
    ///
    /// # Errors
    /// [`BadPath`]
    pub fn join(&self, component: &[u8]) -> Result<SafePath, BadPath> {
        let is_name = !component.is_empty()
            && component != b"."
            && component != b".."
            && component.len() <= COMPONENT
            && !component.iter().any(|b| matches!(b, 0 | b'/'));
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
        if is_name && path.len() <= PATH { Ok(SafePath(path)) } else { Err(BadPath) }
    }

    /// Its bytes, without a slash at either end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the directory itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its components in order.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|component| !component.is_empty())
    }

    /// The last component; `None` for the directory itself.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The directory that the last component is in; of the directory itself: itself.
    #[must_use]
    pub fn parent(&self) -> SafePath {
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        SafePath(self.0[..end].to_vec())
    }

    /// The first component and the rest.
    #[must_use]
    pub fn split_first(&self) -> Option<(&[u8], SafePath)> {
        let (first, rest) = match self.0.iter().position(|&b| b == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&self.0[..], &[][..]),
        };
        (!first.is_empty()).then(|| (first, SafePath(rest.to_vec())))
    }

    /// Whether any component is hidden from everybody but who asks for dot files.
    #[must_use]
    pub fn has_dot_file(&self) -> bool {
        self.components().any(|component| component.starts_with(b"."))
    }

    /// Whether any component is a download that is under way, which nobody is shown.
    #[must_use]
    pub fn has_part(&self) -> bool {
        self.components().any(is_part)
    }
}

/// Whether a file of this name is a download that is under way.
#[must_use]
pub fn is_part(name: &[u8]) -> bool {
    name.starts_with(b".netkit-") && name.ends_with(b".part")
}

/// The name itself (0), or with this number before its extension: `name (1).ext`. Cut at a character so that it
/// fits [`COMPONENT`] bytes, which long Chinese names do not.
#[must_use]
pub fn numbered(name: &str, number: u32) -> String {
    /// A longer extension is part of the name: nothing goes by it.
    const EXTENSION: usize = 32;
    let dot = name.rfind('.').filter(|&at| at > 0 && name.len() - at <= EXTENSION).unwrap_or(name.len());
    let dot = name[..dot]
        .strip_suffix(".tar")
        .filter(|stem| !stem.is_empty() && dot < name.len())
        .map_or(dot, str::len);
    let (stem, extension) = name.split_at(dot);
    let suffix = if number == 0 { String::new() } else { format!(" ({number})") };
    let room = COMPONENT - suffix.len() - extension.len();
    let cut = (0..=room.min(stem.len())).rev().find(|&at| stem.is_char_boundary(at)).unwrap_or(0);
    format!("{}{suffix}{extension}", &stem[..cut])
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafePath({:?})", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_components_are_a_path() {
        for path in ["a", "a/b", "你好/x y", ".hidden", "a\nb", "...", "..a"] {
            let parsed = SafePath::parse(path.as_bytes()).unwrap();
            assert_eq!(parsed.as_bytes(), path.as_bytes());
        }
        assert!(SafePath::parse(b"invalid \xff utf-8").is_ok());
        for path in ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b"] {
            assert_eq!(SafePath::parse(path.as_bytes()), Err(BadPath), "{path:?}");
        }
        assert!(SafePath::parse(&[b'x'; 255]).is_ok());
        assert!(SafePath::parse(&[b'x'; 256]).is_err());
        assert!(SafePath::parse([&b"x/".repeat(2047)[..], b"y"].concat().as_slice()).is_ok());
        assert!(SafePath::parse([&b"x/".repeat(2048)[..], b"y"].concat().as_slice()).is_err());
        assert!(SafePath::root().join(b"a/b").is_err());
    }

    #[test]
    fn numbers_stand_before_the_extension_and_names_fit() {
        for (name, number, expected) in [
            ("a.txt", 0, "a.txt"),
            ("a.txt", 1, "a (1).txt"),
            ("a.tar.gz", 12, "a (12).tar.gz"),
            (".bashrc", 1, ".bashrc (1)"),
            (".tar.gz", 1, ".tar (1).gz"),
            ("none", 2, "none (2)"),
            ("a.", 1, "a (1)."),
        ] {
            assert_eq!(numbered(name, number), expected);
        }
        for number in [0, 1, u32::MAX] {
            let long = numbered(&format!("{}.iso", "网".repeat(100)), number);
            assert!(
                long.len() <= COMPONENT && long.len() > COMPONENT - 3 && long.ends_with(".iso"),
                "{long}"
            );
        }
        let no_extension = format!("a.{}", "x".repeat(300));
        assert_eq!(numbered(&no_extension, 1).len(), COMPONENT);
    }

    #[test]
    fn a_path_comes_apart() {
        let path = SafePath::parse(b"share/.dir/.netkit-7.part").unwrap();
        let (first, rest) = path.split_first().unwrap();
        assert_eq!((first, rest.as_bytes()), (&b"share"[..], &b".dir/.netkit-7.part"[..]));
        assert_eq!(rest.file_name(), Some(&b".netkit-7.part"[..]));
        assert!(rest.has_dot_file() && rest.has_part());
        let (last, rest) =
            SafePath::parse(b"share").unwrap().split_first().map(|(f, r)| (f.to_vec(), r)).unwrap();
        assert_eq!((last.as_slice(), rest.is_root()), (&b"share"[..], true));
        assert_eq!(SafePath::root().split_first(), None);
        assert_eq!(
            (path.parent().as_bytes(), SafePath::root().parent()),
            (&b"share/.dir"[..], SafePath::root())
        );
        assert!(SafePath::parse(b"a").unwrap().parent().is_root());
        assert!(!SafePath::parse(b"a/b.part").unwrap().has_part());
    }
}
