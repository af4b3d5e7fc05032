//! `netkitctl peers add`: has a host asked for a peer, and with `--wait` waits until the one there is linked.

use super::facts::why_not;
use super::wait::{Looks, listener};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use netkit_proto::rpc::call::{Peer, PeerList, PeersAdd, PeersList, Trust};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Adds a host.
pub(super) fn run(context: &Context, host: String, wait: Option<Duration>, mut out: Out) -> Outcome {
    let kept = as_kept(&host);
    let Some(time) = wait else {
        context.connect()?.call(&PeersAdd { host })?;
        return Ok(());
    };
    let mut listener = listener(context)?;
    listener.client().call(&PeersAdd { host })?;
    let mut looks = Looks::within(Some(time));
    let mut why = "netkitd did not come back".to_owned();
    loop {
        if let Some(mut answers) = listener.ask(&[PeersList {}], looks.answer_by())?
            && let Some(list) = answers.pop()
        {
            match there(&list?, &kept) {
                Ok(peer) if peer.linked => {
                    out.either(context.json, &peer, &peer.peer)?;
                    return out.flush();
                }
                Ok(peer) if peer.trust == Trust::Blocked => {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("{} at {kept} is blocked here", peer.peer),
                    )
                    .hint(format!("netkitctl peers trust {}", peer.peer)));
                }
                Ok(peer) => why = why_not(&peer),
                Err(trouble) => why = trouble,
            }
        }
        if !looks.next(&mut listener)? {
            let what = format!("{kept} is not linked: {why}");
            return Err(Failure::new(Exit::Unfinished, what)
                .hint("netkitd goes on asking it; netkitctl peers remove HOST ends that"));
        }
    }
}

/// The peer that was found at a host.
///
/// # Errors
/// Why there is none.
fn there(list: &PeerList, kept: &str) -> Result<Peer, String> {
    let Some(host) = list.hosts.iter().find(|host| host.host.eq_ignore_ascii_case(kept)) else {
        return Err("it was removed meanwhile".to_owned());
    };
    if let Some(trouble) = &host.trouble {
        return Err(trouble.clone());
    }
    let found = list.peers.iter().find(|peer| Some(peer.id) == host.id);
    found.cloned().ok_or_else(|| "nobody answered yet".to_owned())
}

/// A host as netkitd keeps it: with its port, an IPv6 address in brackets.
fn as_kept(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        return format!("[{v6}]:7890");
    }
    match host.parse::<SocketAddr>() {
        Ok(address) => address.to_string(),
        Err(_) if host.contains(':') => host.to_owned(),
        Err(_) => format!("{host}:7890"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_netkitd_keeps_them() {
        for (typed, kept) in [
            ("10.0.0.9", "10.0.0.9:7890"),
            ("10.0.0.9:7", "10.0.0.9:7"),
            ("bob.lan", "bob.lan:7890"),
            ("bob.lan:7", "bob.lan:7"),
            ("0::1", "[::1]:7890"),
            ("[0::1]", "[::1]:7890"),
            ("[0::1]:7", "[::1]:7"),
        ] {
            assert_eq!(as_kept(typed), kept);
        }
    }
}
