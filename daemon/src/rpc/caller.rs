//! Who is at the other end of a control session, and what it may do: told from the kernel's word on the process
//! that connected, its user and all its groups.

use crate::config::{Config, DEFAULT_GROUP, Principal};
use crate::syscall;
use netkit_proto::rpc::call::Access;
use netkit_proto::rpc::code::{Error, Kind};
use std::io;
use std::os::fd::AsFd;
use tokio::net::UnixStream;

/// Who may do what, names resolved to numbers. Made at start and whenever the configuration changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    own_uid: u32,
    /// Its members are operators.
    group: Option<(String, u32)>,
    reader_uids: Vec<u32>,
    reader_gids: Vec<u32>,
}

/// Who called.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub uid: u32,
    gids: Vec<u32>,
}

/// Whether the group that the configuration names exists; the default one need not. Blocks on the system's name service.
///
/// # Errors
/// What to do about it.
pub fn check_group(config: &Config) -> Result<(), String> {
    match &config.control.group {
        Some(name) if name != DEFAULT_GROUP && uzers::get_group_by_name(name).is_none() => Err(format!(
            "control.group names {name}, a group that does not exist; create it (groupadd --system {name}) or name \
             another"
        )),
        _ => Ok(()),
    }
}

impl Rights {
    /// The same looked up anew. A group that can't be found any more stays: its members must not be locked out because
    /// the name service is away.
    pub(super) fn refresh(&self, config: &Config) -> Rights {
        let mut rights = Rights::resolve(config);
        if let (None, Some((name, gid))) = (&rights.group, &self.group)
            && name == config.control.group_name()
        {
            tracing::warn!(group = name, "control.group can't be found any more; its members stay operators");
            rights.group = Some((name.clone(), *gid));
        }
        rights
    }

    /// Looks the configuration's names up; blocks on the system's name service. Names that do not exist give
    /// nobody anything, and are logged.
    pub(super) fn resolve(config: &Config) -> Rights {
        let mut rights = Rights { own_uid: rustix::process::geteuid().as_raw(), ..Rights::default() };
        let name = config.control.group_name();
        rights.group = uzers::get_group_by_name(name).map(|group| (name.to_owned(), group.gid()));
        for reader in &config.control.readers {
            let found = match reader {
                Principal::User(name) => {
                    uzers::get_user_by_name(name).map(|user| rights.reader_uids.push(user.uid()))
                }
                Principal::Group(name) => {
                    uzers::get_group_by_name(name).map(|group| rights.reader_gids.push(group.gid()))
                }
            };
            if found.is_none() {
                tracing::warn!(reader = %reader, "control.readers names nobody that exists here");
            }
        }
        rights
    }

    /// The group that may connect at all, when it is not everybody.
    pub(super) fn gid(&self) -> Option<u32> {
        self.group.as_ref().map(|&(_, gid)| gid)
    }

    /// The socket's permissions: connecting takes the write bit (unix(7)). With readers, everybody may connect and
    /// is told apart by [`Rights::caller`].
    pub(super) fn socket_mode(&self, has_readers: bool) -> u32 {
        match (has_readers, &self.group) {
            (true, _) => 0o666,
            (false, Some(_)) => 0o660,
            (false, None) => 0o600,
        }
    }

    /// Who connected.
    pub(super) fn caller(stream: &UnixStream) -> io::Result<Caller> {
        let credentials = stream.peer_cred()?;
        let mut gids = syscall::peer_groups(stream.as_fd())?;
        gids.push(credentials.gid());
        Ok(Caller { uid: credentials.uid(), gids })
    }

    /// What the caller may do; `None`: nothing at all.
    pub(super) fn access(&self, Caller { uid, gids }: &Caller) -> Option<Access> {
        if *uid == 0 || *uid == self.own_uid || self.gid().is_some_and(|gid| gids.contains(&gid)) {
            return Some(Access::Operator);
        }
        let reads = self.reader_uids.contains(uid) || self.reader_gids.iter().any(|gid| gids.contains(gid));
        reads.then_some(Access::Reader)
    }

    /// Whether the caller may do what needs `needed`.
    pub(super) fn check(&self, caller: &Caller, needed: Access) -> Result<(), Error> {
        if self.access(caller) >= Some(needed) {
            return Ok(());
        }
        let what = match needed {
            Access::Reader => "use netkitd here",
            Access::Operator => "do this, only read",
        };
        let hint = match &self.group {
            Some((group, _)) => {
                format!("join the group {group} (usermod -aG {group} USER, then log in again)")
            }
            None => {
                "control.group names no group that exists: only root and netkitd's own user may".to_owned()
            }
        };
        Err(Error::new(Kind::Denied, format_args!("user {} may not {what}", caller.uid)).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_follows_from_user_and_groups() {
        let rights = Rights {
            own_uid: 100,
            group: Some(("netkit".into(), 50)),
            reader_uids: vec![1000],
            reader_gids: vec![60],
        };
        for (uid, gids, expected) in [
            (0, vec![0], Some(Access::Operator)),
            (100, vec![100], Some(Access::Operator)),
            (1001, vec![1001, 50], Some(Access::Operator)),
            (1000, vec![1000], Some(Access::Reader)),
            (1000, vec![50], Some(Access::Operator)),
            (1001, vec![60], Some(Access::Reader)),
            (1001, vec![1001], None),
        ] {
            assert_eq!(rights.access(&Caller { uid, gids: gids.clone() }), expected, "{uid} {gids:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_group_to_join() {
        let rights = Rights {
            group: Some(("netkit".into(), 50)),
            reader_uids: vec![7],
            own_uid: 1,
            ..Rights::default()
        };
        let caller = |uid, gid| Caller { uid, gids: vec![gid] };
        assert!(rights.check(&caller(8, 50), Access::Operator).is_ok());
        assert!(rights.check(&caller(8, 50), Access::Reader).is_ok());
        assert!(rights.check(&caller(7, 7), Access::Reader).is_ok());
        for (uid, needed) in [(8, Access::Reader), (7, Access::Operator)] {
            let error = rights.check(&caller(uid, uid), needed).unwrap_err();
            assert_eq!(error.kind(), Kind::Denied);
            assert!(error.data.unwrap().hint.unwrap().contains("group netkit"));
        }
    }

    #[test]
    fn the_socket_is_as_open_as_the_rights_need() {
        let none = Rights::default();
        let group = Rights { group: Some(("netkit".into(), 50)), ..Rights::default() };
        let modes = [
            none.socket_mode(false),
            group.socket_mode(false),
            none.socket_mode(true),
            group.socket_mode(true),
        ];
        assert_eq!(modes, [0o600, 0o660, 0o666, 0o666]);
    }
}
