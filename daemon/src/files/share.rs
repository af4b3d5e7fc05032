//! What is shared: directories under names, each for an audience. The list is immutable; the hub replaces it whole.

use super::root::{self, Opened};
use netkit_proto::path::SafePath;
use rustix::fs::ResolveFlags;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Who may see a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone who is let in at all, also those who can't prove who they are.
    Public,
    /// Trusted peers.
    Trusted,
    /// These of the trusted peers, by local name or id.
    Peers(Vec<String>),
}

/// A directory that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Who may see it.
    pub access: Access,
    /// Whether names that start with a dot are shown.
    pub dot_files: bool,
    /// It stands in the configuration, which alone can change it.
    pub configured: bool,
}

impl Share {
    /// What the place of each file beneath begins with, where that is known: see [`super::OpenFile::place`]. Blocks.
    #[must_use]
    pub fn prefix(&self) -> Option<Vec<u8>> {
        root::place_of_directory(&self.path, self.root_links())
    }

    /// Opens what is beneath the share; files that the share hides do not exist. Blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] for everything that may not be seen, [`io::ErrorKind::PermissionDenied`] for what
    /// netkitd may not read.
    pub fn open(&self, path: &SafePath) -> io::Result<Opened> {
        if self.hides(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        root::open(&self.path, self.root_links(), path)
    }

    /// The same without blocking; `None` where the disk would have to be asked.
    #[must_use]
    pub fn open_cached(&self, path: &SafePath) -> Option<io::Result<Opened>> {
        if self.hides(path) {
            return Some(Err(io::ErrorKind::NotFound.into()));
        }
        root::open_cached(&self.path, self.root_links(), path)
    }

    /// The path of a share that was added had no links when it was allowed: one that is there now was put there since,
    /// to lead elsewhere. In the configuration links are its writer's own.
    fn root_links(&self) -> ResolveFlags {
        if self.configured { ResolveFlags::empty() } else { ResolveFlags::NO_SYMLINKS }
    }

    fn hides(&self, path: &SafePath) -> bool {
        path.has_part() || (path.has_dot_file() && !self.dot_files)
    }

    /// Whether a directory's entry of this name is shown.
    #[must_use]
    pub fn shows(&self, name: &[u8]) -> bool {
        !netkit_proto::path::is_part(name) && (self.dot_files || !name.starts_with(b"."))
    }
}

/// All shares, those of the configuration first, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares(Vec<Arc<Share>>);

impl Shares {
    /// Shares of these; of two with one name the first counts.
    #[must_use]
    pub fn new(shares: impl IntoIterator<Item = Share>) -> Shares {
        let mut list: Vec<Arc<Share>> = Vec::new();
        for share in shares {
            if list.iter().all(|other| other.name != share.name) {
                list.push(Arc::new(share));
            }
        }
        Shares(list)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Share>> {
        self.0.iter()
    }

    /// Those that anyone may see.
    pub fn public(&self) -> impl Iterator<Item = &Arc<Share>> {
        self.0.iter().filter(|share| share.access == Access::Public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(path: &std::path::Path, dot_files: bool) -> Share {
        Share { name: "s".into(), path: path.into(), access: Access::Public, dot_files, configured: true }
    }

    #[test]
    fn hidden_files_do_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", ".dot", ".netkit-7.part"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let opens = |dot_files, name: &str| {
            let share = share(dir.path(), dot_files);
            let path = SafePath::parse(name.as_bytes()).unwrap();
            assert_eq!(
                share.shows(name.as_bytes()),
                share.open(&path).is_ok(),
                "{name} is shown as it opens"
            );
            share.open(&path).is_ok()
        };
        assert!(opens(false, "plain") && !opens(false, ".dot") && opens(true, ".dot"));
        assert!(!opens(true, ".netkit-7.part"), "a download under way is nobody's");
    }

    #[test]
    fn a_share_that_was_added_is_not_replaced_by_a_link() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("secret"), "").unwrap();
        let path = dir.path().canonicalize().unwrap().join("share");
        std::os::unix::fs::symlink(other.path(), &path).unwrap();
        let secret = SafePath::parse(b"secret").unwrap();
        let mut share = share(&path, false);
        assert!(share.open(&secret).is_ok(), "the configuration's links are its writer's own");
        share.configured = false;
        assert_eq!(share.open(&secret).map_err(|e| e.kind()).err(), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn what_is_in_two_shares_has_one_place() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("srv/a")).unwrap();
        std::fs::write(root.join("srv/a/f"), "").unwrap();
        for (target, link) in [("srv/a", "to_a"), (".", "srv/a/again"), ("f", "srv/a/g")] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let place = |shared: &str, path: &str| {
            let share = share(&root.join(shared), false);
            match share.open(&SafePath::parse(path.as_bytes()).unwrap()) {
                Ok(Opened::File(file)) => (share.prefix().unwrap(), file.place()),
                other => panic!("{other:?}"),
            }
        };
        let at = |path: &str| root.join(path).into_os_string().into_encoded_bytes();
        for (shared, path, prefix) in [
            ("srv", "a/f", "srv/"),
            ("srv//./a/", "f", "srv/a/"),
            ("to_a", "f", "srv/a/"),
            ("srv", "a/again/again/f", "srv/"),
            ("to_a", "again/g", "srv/a/"),
        ] {
            assert_eq!(place(shared, path), (at(prefix), at("srv/a/f")), "{shared} {path}");
        }
        assert_eq!(share("/".as_ref(), false).prefix(), Some(b"/".to_vec()));
        assert_eq!(share(&root.join("gone"), false).prefix(), None);
        let added = Share { configured: false, ..share(&root.join("to_a"), false) };
        assert_eq!(added.prefix(), None, "a link was put there since");
        // What is gone is nowhere, also where it left another link.
        std::fs::hard_link(root.join("srv/a/f"), root.join("other")).unwrap();
        let Ok(Opened::File(file)) = share(&root, false).open(&SafePath::parse(b"srv/a/f").unwrap()) else {
            panic!()
        };
        std::fs::remove_file(root.join("srv/a/f")).unwrap();
        assert_eq!(file.place(), b"");
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let (one, two) = (share("/one".as_ref(), false), share("/two".as_ref(), false));
        let shares = Shares::new([one.clone(), two]);
        assert_eq!(shares.iter().map(|s| &**s).collect::<Vec<_>>(), [&one]);
        let hidden = Share { access: Access::Trusted, ..one };
        assert_eq!(Shares::new([hidden]).public().count(), 0);
    }
}
