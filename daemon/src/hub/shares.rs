//! What is shared: the configuration's shares and those that were added since, put together and published whole. Plain
//! methods; the hub commits what they ask for, then tells them.

use crate::config::{self, Everybody, ShareAccess};
use crate::files::{Access, Share, Shares};
use crate::limits;
use crate::store::{Op, ShareRow};
use netkit_proto::rpc::code::{Error, Kind};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

/// See the module.
#[derive(Debug)]
pub(super) struct SharesState {
    configured: Vec<Share>,
    added: BTreeMap<String, Share>,
    /// Names of which a change is being committed: two at once could not both succeed.
    changing: HashSet<String>,
    published: watch::Sender<Arc<Shares>>,
}

impl SharesState {
    pub(super) fn new(
        configured: &[config::Share],
        kept: Vec<ShareRow>,
    ) -> (SharesState, watch::Receiver<Arc<Shares>>) {
        let (published, shares) = watch::channel(Arc::default());
        let added = kept.into_iter().map(|row| (row.name.clone(), from_row(row))).collect();
        let mut state = SharesState { configured: Vec::new(), added, changing: HashSet::new(), published };
        state.on_config(configured);
        (state, shares)
    }

    /// The configuration is another one.
    pub(super) fn on_config(&mut self, configured: &[config::Share]) {
        self.configured = configured.iter().map(from_config).collect();
        self.publish();
    }

    /// A share is to be added: what to commit.
    pub(super) fn on_add(&mut self, share: &Share) -> Result<Op, Error> {
        if self.configured.iter().any(|other| other.name == share.name) {
            return Err(configured(&share.name));
        }
        if self.added.contains_key(&share.name) || self.changing.contains(&share.name) {
            let why = format!("there is a share {} already", share.name);
            return Err(Error::new(Kind::Exists, why).hint("remove it first, or take another name"));
        }
        if self.added.len() + self.changing.len() >= limits::SHARES {
            let why = format!("{} shares were added already", limits::SHARES);
            return Err(Error::new(Kind::Busy, why).hint("remove some: netkitctl share remove NAME"));
        }
        self.changing.insert(share.name.clone());
        Ok(Op::ShareAdd(to_row(share)))
    }

    /// A change could not be committed.
    pub(super) fn failed(&mut self, name: &str) {
        self.changing.remove(name);
    }

    /// The share is committed.
    pub(super) fn added(&mut self, share: Share) {
        self.changing.remove(&share.name);
        self.added.insert(share.name.clone(), share);
        self.publish();
    }

    /// A share is to be removed: what to commit.
    pub(super) fn on_remove(&mut self, name: &str) -> Result<Op, Error> {
        if self.added.contains_key(name) && self.changing.insert(name.to_owned()) {
            return Ok(Op::ShareRemove(name.to_owned()));
        }
        if self.configured.iter().any(|share| share.name == name) {
            return Err(configured(name));
        }
        Err(Error::new(Kind::NotFound, format_args!("there is no share {name}"))
            .hint("netkitctl share list shows them"))
    }

    /// That it is removed is committed.
    pub(super) fn removed(&mut self, name: &str) {
        self.changing.remove(name);
        self.added.remove(name);
        self.publish();
    }

    fn publish(&self) {
        let all = self.configured.iter().chain(self.added.values()).cloned();
        self.published.send_replace(Arc::new(Shares::new(all)));
    }
}

fn configured(name: &str) -> Error {
    Error::new(Kind::Refused, format_args!("the share {name} stands in the configuration"))
        .hint("change it there, then: systemctl reload netkitd")
}

fn from_config(share: &config::Share) -> Share {
    let access = match &share.access {
        ShareAccess::Everybody(Everybody::Public) => Access::Public,
        ShareAccess::Everybody(Everybody::Trusted) => Access::Trusted,
        ShareAccess::Peers(peers) => Access::Peers(peers.clone()),
    };
    Share {
        name: share.name.as_str().to_owned(),
        path: share.path.0.clone(),
        access,
        dot_files: share.dot_files,
        configured: true,
    }
}

/// `public`, `trusted`, or each peer on a line of its own after an equals sign.
fn to_row(share: &Share) -> ShareRow {
    let access = match &share.access {
        Access::Public => "public".to_owned(),
        Access::Trusted => "trusted".to_owned(),
        Access::Peers(peers) => peers.iter().map(|peer| format!("={peer}\n")).collect(),
    };
    ShareRow { name: share.name.clone(), path: share.path.clone(), access, dot_files: share.dot_files }
}

fn from_row(row: ShareRow) -> Share {
    let access = match row.access.as_str() {
        "public" => Access::Public,
        "trusted" => Access::Trusted,
        peers => Access::Peers(peers.lines().map(|line| line.trim_start_matches('=').to_owned()).collect()),
    };
    Share { name: row.name, path: row.path, access, dot_files: row.dot_files, configured: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_changes_at_once_one_is_refused() {
        let (mut state, shares) = SharesState::new(&[], Vec::new());
        let share = |name: &str| Share {
            name: name.into(),
            path: "/x".into(),
            access: Access::Public,
            dot_files: false,
            configured: false,
        };
        assert!(state.on_add(&share("a")).is_ok());
        assert_eq!(
            state.on_add(&share("a")).unwrap_err().kind(),
            Kind::Exists,
            "before it is committed, too"
        );
        state.failed("a");
        assert!(state.on_add(&share("a")).is_ok());
        assert_eq!(shares.borrow().iter().count(), 0, "not before it is committed");
        state.added(share("a"));
        assert_eq!(shares.borrow().iter().count(), 1);
        assert!(state.on_remove("a").is_ok());
        assert!(state.on_remove("a").is_err());
        state.removed("a");
        assert!(state.on_add(&share("a")).is_ok());
    }

    #[test]
    fn rows_keep_who_may_see_a_share() {
        for access in [Access::Public, Access::Trusted, Access::Peers(vec!["bob".into(), "public".into()])] {
            let share =
                Share { name: "s".into(), path: "/x".into(), access, dot_files: true, configured: false };
            assert_eq!(from_row(to_row(&share)), share);
        }
    }
}
