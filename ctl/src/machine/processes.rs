//! Which processes hold a socket: the descriptors below /proc/PID/fd that name its inode (proc(5)). Those of other
//! users can be seen by root alone, and are counted. Called by `port`.

use super::read_lines;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to look: on a machine with very many descriptors an answer in time is worth more than a whole one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Processes told of one socket: a server that forks has it in all of its children.
const MOST: usize = 8;
/// Bytes read of /etc/passwd.
const PASSWD_BYTES: u64 = 4 << 20;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Process {
    /// Its number.
    pub pid: u32,
    /// What it calls itself: any bytes, as it likes.
    pub name: String,
}

/// Who holds which socket.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// By the socket's inode.
    pub by_inode: HashMap<u64, Vec<Process>>,
    /// How many processes could not be looked into.
    pub unseen: usize,
    /// Whether the time was too short for all.
    pub cut: bool,
}

/// Looks through all processes for these sockets.
pub(crate) fn holders(wanted: &HashSet<u64>) -> Holders {
    let mut holders = Holders::default();
    let until = Instant::now() + PATIENCE;
    let Ok(entries) = fs::read_dir("/proc") else { return holders };
    if wanted.is_empty() {
        return holders;
    }
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else {
            holders.unseen += 1;
            continue;
        };
        let mut held = HashSet::new();
        for descriptor in descriptors.flatten() {
            if Instant::now() > until {
                holders.cut = true;
                return holders;
            }
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            held.extend(target.to_str().and_then(inode_of).filter(|inode| wanted.contains(inode)));
        }
        if held.is_empty() {
            continue;
        }
        let process = Process { pid, name: name_of(&entry.path()) };
        for inode in held {
            let processes = holders.by_inode.entry(inode).or_default();
            if processes.len() < MOST {
                processes.push(process.clone());
            }
        }
    }
    holders
}

/// The inode in `socket:[4242]`.
fn inode_of(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The name of a process, at most 15 bytes (PR_SET_NAME(2const)); it may have ended meanwhile.
fn name_of(process: &Path) -> String {
    let mut name = String::new();
    let _ = read_lines(&process.join("comm"), 64, |line| name.push_str(line)); // else without a name
    name
}

/// The name of a user where /etc/passwd has it.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let mut found = None;
    let _ = read_lines(Path::new("/etc/passwd"), PASSWD_BYTES, |line| {
        let mut fields = line.split(':');
        let name = fields.next();
        if found.is_none() && fields.nth(1).and_then(|of| of.parse().ok()) == Some(uid) {
            found = name.map(str::to_owned);
        }
    }); // else by number
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_hold_our_own_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = crate::machine::sockets::waiting(|p| p == port).found.remove(0);
        let holders = holders(&HashSet::from([socket.inode]));
        let processes = &holders.by_inode[&socket.inode];
        assert!(processes.iter().any(|p| p.pid == std::process::id() && !p.name.is_empty()), "{processes:?}");
    }

    #[test]
    fn descriptors_and_users_are_read() {
        assert_eq!(inode_of("socket:[4242]"), Some(4242));
        for target in ["/dev/null", "pipe:[4242]", "socket:[x]", "socket:["] {
            assert_eq!(inode_of(target), None, "{target}");
        }
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(u32::MAX - 1), None);
    }
}
