//! Why netkitd could not be connected to, told so that the reader can mend it. Called by `client` alone.

use crate::exit::{Exit, Failure};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a failed connect to `path` means.
#[must_use]
pub(crate) fn explain(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Failure::new(Exit::Unreachable, format!("netkitd does not run: there is no socket {shown}"))
                .hint(START)
        }
        ErrorKind::ConnectionRefused => {
            Failure::new(Exit::Unreachable, format!("netkitd does not run: nobody answers at {shown}"))
                .hint(START)
        }
        ErrorKind::PermissionDenied => {
            Failure::new(Exit::Refused, format!("connecting to {shown}: permission denied")).hint(join(path))
        }
        // The path holds a NUL or is longer than a socket's may be (108 bytes on Linux).
        ErrorKind::InvalidInput | ErrorKind::Unsupported => {
            Failure::new(Exit::Usage, format!("{shown} can't be the path of a socket: {error}"))
        }
        _ => Failure::new(Exit::Unreachable, format!("connecting to {shown}: {error}")).hint(START),
    }
}

const START: &str = "start the system's with: systemctl start netkitd; or one of your own with: netkitd &";

/// How to be let in at the socket, by what can be seen of it.
fn join(path: &Path) -> String {
    const GROUP_MAY_WRITE: u32 = 0o020;
    match path.metadata() {
        Ok(socket) if socket.mode() & GROUP_MAY_WRITE != 0 => {
            let group = group_name(socket.gid());
            format!("members of group {group} may: sudo usermod -aG {group} $USER, then log in again")
        }
        Ok(socket) => format!(
            "only its owner, uid {}, may; to open it to a group set control.group in netkitd.toml",
            socket.uid()
        ),
        Err(_) => "members of netkitd's group may, by default: sudo usermod -aG netkit $USER, \
                   then log in again"
            .to_owned(),
    }
}

/// The group's name where /etc/group has it, else its number.
fn group_name(gid: u32) -> String {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_daemon_is_told_in_two_lines() {
        for kind in [ErrorKind::NotFound, ErrorKind::ConnectionRefused] {
            let failure = explain(Path::new("/run/x.sock"), &kind.into());
            assert_eq!(failure.exit, Exit::Unreachable);
            assert!(failure.message.contains("/run/x.sock") && !failure.message.contains('\n'));
            assert!(failure.hint.is_some_and(|h| h.contains("systemctl start netkitd") && !h.contains('\n')));
        }
    }

    #[test]
    fn a_refusal_names_the_group_to_join() {
        let socket = tempfile::NamedTempFile::new().unwrap();
        let refused = |mode| {
            socket.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            explain(socket.path(), &ErrorKind::PermissionDenied.into())
        };
        let group = group_name(socket.path().metadata().unwrap().gid());
        let failure = refused(0o660);
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.hint.unwrap().contains(&format!("usermod -aG {group} ")));
        assert!(refused(0o600).hint.unwrap().contains("control.group"));
        assert_eq!(group_name(0), "root");
    }
}
