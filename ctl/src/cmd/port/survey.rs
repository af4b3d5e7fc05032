//! What this machine looks like to `port`: read once, asked for each port. Called by `port`; reads through `machine`.

use crate::machine::ports::Rules;
use crate::machine::processes::{Process, holders, user_name};
use crate::machine::services::Services;
use crate::machine::sockets::{Waiting, waiting};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Who waits at a port.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Listener {
    pub kind: &'static str,
    pub protocol: &'static str,
    pub address: IpAddr,
    pub port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Empty where they could not be seen.
    pub processes: Vec<Process>,
}

impl Listener {
    /// For people: what, who, whose.
    pub(super) fn shown(&self) -> String {
        let who: Vec<String> = self.processes.iter().map(|p| format!("{} ({})", p.name, p.pid)).collect();
        let who = if who.is_empty() { "a process that can't be seen".to_owned() } else { who.join(", ") };
        let user =
            self.user.as_ref().map_or_else(|| format!("uid {}", self.uid), |user| format!("user {user}"));
        format!("{} {}, {who}, {user}", self.protocol, SocketAddr::from((self.address, self.port)))
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    pub services: Services,
    pub rules: Rules,
    /// By port.
    pub listeners: Vec<Listener>,
    /// What could not be seen: sentences for people.
    pub unseen: Vec<String>,
}

impl Survey {
    /// Looks at who waits at a port that is wanted.
    pub(super) fn take(services: Services, is_wanted: impl Fn(u16) -> bool) -> Survey {
        let sockets = waiting(is_wanted);
        let mut holders = holders(&sockets.found.iter().map(|socket| socket.inode).collect::<HashSet<u64>>());
        let mut unseen = sockets.unseen;
        let is_unknown = |socket: &Waiting| !holders.by_inode.contains_key(&socket.inode);
        if sockets.found.iter().any(is_unknown) {
            if holders.unseen > 0 {
                unseen.push(format!(
                    "{} processes of others can't be looked into without root: sudo netkitctl port",
                    holders.unseen
                ));
            }
            if holders.unseen == 0 && !holders.cut {
                unseen.push(
                    "some sockets are held where /proc does not show it: in another container".to_owned(),
                );
            }
            if holders.cut {
                unseen.push("not all processes were looked into: there are too many descriptors".to_owned());
            }
        }
        let mut users: HashMap<u32, Option<String>> = HashMap::new();
        let listener = |Waiting { protocol, address, port, uid, inode }| Listener {
            kind: "listener",
            protocol,
            address,
            port,
            service: services.name(port, protocol).map(str::to_owned),
            uid,
            user: users.entry(uid).or_insert_with(|| user_name(uid)).clone(),
            processes: holders.by_inode.remove(&inode).unwrap_or_default(),
        };
        let listeners = sockets.found.into_iter().map(listener).collect();
        Survey { services, rules: Rules::read(), listeners, unseen }
    }

    /// Who waits at `port`.
    pub(super) fn at(&self, port: u16) -> impl Iterator<Item = &Listener> {
        let first = self.listeners.partition_point(|listener| listener.port < port);
        self.listeners[first..].iter().take_while(move |listener| listener.port == port)
    }
}
