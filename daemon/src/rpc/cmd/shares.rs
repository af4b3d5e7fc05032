//! `shares.*`: what is shared, and what is to be. The hub keeps the list; here is what needs a look at the disk.

use super::{Handle, Progress, Session};
use crate::files::{self, Share};
use crate::hub::handle::Command;
use netkit_proto::rpc::call::{self, Empty, ShareAccess, ShareList, SharesAdd, SharesList, SharesRemove};
use netkit_proto::rpc::code::{Error, Kind};
use std::path::{Path, PathBuf};

impl Handle for SharesList {
    async fn start(self, session: &mut Session) -> Result<Progress<ShareList>, Error> {
        let shares = session.context.shares.borrow();
        Ok(Progress::Done(ShareList { shares: shares.iter().map(|share| shown(share)).collect() }))
    }
}

fn shown(share: &Share) -> call::Share {
    call::Share {
        name: share.name.clone(),
        path: share.path.display().to_string(),
        access: match &share.access {
            files::Access::Public => ShareAccess::Public,
            files::Access::Trusted => ShareAccess::Trusted,
            files::Access::Peers(peers) => ShareAccess::Peers(peers.clone()),
        },
        dot_files: share.dot_files,
        configured: share.configured,
    }
}

impl Handle for SharesAdd {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let config = session.context.config.borrow().clone();
        let own = Own {
            state: config.node.state_dir.clone(),
            config: session.context.config_file.clone(),
            downloads: config.downloads.dir.clone(),
        };
        let asked = PathBuf::from(&self.path);
        let path = tokio::task::spawn_blocking(move || check(&asked, &own)).await;
        let path = path.map_err(|e| Error::new(Kind::InternalError, e))??;
        let access = match self.access.unwrap_or(ShareAccess::Trusted) {
            ShareAccess::Public => files::Access::Public,
            ShareAccess::Trusted => files::Access::Trusted,
            ShareAccess::Peers(peers) => files::Access::Peers(peers),
        };
        let name = self.name.as_str().to_owned();
        let share = Share { name, path, access, dot_files: self.dot_files, configured: false };
        let answer = session.context.hub.ask(|reply| Command::ShareAdd(share, reply)).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
    }
}

impl Handle for SharesRemove {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let answer = session.context.hub.ask(|reply| Command::ShareRemove(self.name, reply)).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
    }
}

/// What is netkitd's own.
struct Own {
    state: PathBuf,
    config: PathBuf,
    /// May be within the state.
    downloads: PathBuf,
}

/// The directory that is meant, links followed, if it may be shared: nothing that netkitd alone should read, and
/// nothing that holds such.
fn check(asked: &Path, own: &Own) -> Result<PathBuf, Error> {
    let refused = |why: &str| {
        let message = format!("{} can't be shared: {why}", asked.display());
        Err(Error::new(Kind::Refused, message).hint("share another directory"))
    };
    if !asked.is_absolute() {
        return Err(Error::new(Kind::InvalidParams, format_args!("{} is no absolute path", asked.display())));
    }
    let unreadable = |e: std::io::Error| {
        let kind = if e.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Refused };
        Error::new(kind, format_args!("{} can't be shared: {e}", asked.display()))
            .hint("netkitd's own user must be able to read it")
    };
    let path = asked.canonicalize().map_err(unreadable)?;
    if !path.is_dir() {
        return refused("it is no directory");
    }
    path.read_dir().map_err(unreadable)?;
    if ["/proc", "/sys", "/dev"].iter().any(|system| path.starts_with(system)) {
        return refused("it belongs to the system");
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (state, config, downloads) = (real(&own.state), real(&own.config), real(&own.downloads));
    if path.starts_with(&state) && !path.starts_with(&downloads) {
        return refused("it is netkitd's own");
    }
    if let Some(held) = [&state, &config].into_iter().find(|held| held.starts_with(&path)) {
        return refused(&format!("it holds {}, which is netkitd's own", held.display()));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_netkitds_own_is_not_shared() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["state/downloads", "free", "etc/beneath"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::write(root.join("file"), "").unwrap();
        std::os::unix::fs::symlink(root.join("state"), root.join("link")).unwrap();
        let own = Own {
            state: root.join("state"),
            config: root.join("etc/netkitd.toml"),
            downloads: root.join("state/downloads"),
        };
        let kind = |path: &Path| check(path, &own).map_err(|e| e.kind());
        for path in ["free", "state/downloads", "etc/beneath"] {
            assert_eq!(kind(&root.join(path)), Ok(root.join(path)));
        }
        for path in [
            root.clone(),
            root.join("state"),
            root.join("link"),
            root.join("etc"),
            root.join("file"),
            "/proc/1".into(),
            "/".into(),
        ] {
            assert_eq!(kind(&path), Err(Kind::Refused), "{path:?}");
        }
        assert_eq!(kind(&root.join("missing")), Err(Kind::NotFound));
        assert_eq!(kind(Path::new("relative")), Err(Kind::InvalidParams));
    }
}
