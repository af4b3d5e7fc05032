//! Who may see which share: how far each peer is trusted, as the hub publishes it whole whenever that changes. The file
//! port asks this for each request, and again while it answers. Immutable, and pure.

use crate::files::Access;
use netkit_proto::ids::PeerId;
use netkit_proto::name::{Destination, PeerName};
use netkit_proto::rpc::call::Trust;
use std::collections::BTreeMap;

/// The peers that are more, or less, than strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustView(BTreeMap<PeerId, (Trust, PeerName)>);

impl TrustView {
    /// A view of these; strangers are left out.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = (PeerId, Trust, PeerName)>) -> TrustView {
        let peers = peers.into_iter().filter(|(_, trust, _)| *trust != Trust::New);
        TrustView(peers.map(|(id, trust, name)| (id, (trust, name))).collect())
    }

    /// How far a peer is trusted.
    #[must_use]
    pub fn of(&self, peer: PeerId) -> Trust {
        self.0.get(&peer).map_or(Trust::New, |(trust, _)| *trust)
    }

    /// Whether a caller may see what is for this audience; `None`: one that proved nothing.
    #[must_use]
    pub fn may_see(&self, caller: Option<PeerId>, access: &Access) -> bool {
        let trust = caller.map_or(Trust::New, |peer| self.of(peer));
        match (access, caller) {
            (Access::Public, _) => trust >= Trust::New,
            (Access::Trusted, _) => trust >= Trust::Trusted,
            (Access::Peers(_), None) => false,
            (Access::Peers(named), Some(peer)) => {
                trust >= Trust::Trusted && named.iter().any(|text| self.is_meant(text, peer))
            }
        }
    }

    /// Whether a text of a list means this peer: its whole id, or a name that no other known peer has, too. Of namesakes
    /// none is meant: better nobody sees a share than the wrong one does.
    fn is_meant(&self, text: &str, peer: PeerId) -> bool {
        if let Ok(id) = text.parse::<PeerId>() {
            return id == peer;
        }
        let Ok(Destination::Peer { name, id_prefix }) = text.parse() else { return false };
        let fits = |id: &PeerId| id_prefix.as_ref().is_none_or(|prefix| id.starts_with(prefix));
        let known = self.0.iter().filter(|(_, (trust, _))| *trust >= Trust::Known);
        let mut called = known.filter(|(id, (_, called))| *called == name && fits(id)).map(|(id, _)| *id);
        called.next() == Some(peer) && called.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> PeerId {
        PeerId([n; 32])
    }

    fn view(peers: &[(u8, Trust, &str)]) -> TrustView {
        TrustView::new(peers.iter().map(|(n, trust, name)| (id(*n), *trust, name.parse().unwrap())))
    }

    fn list(texts: &[&str]) -> Access {
        Access::Peers(texts.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn each_audience_is_who_it_says() {
        let view = view(&[
            (1, Trust::New, "new"),
            (2, Trust::Known, "known"),
            (3, Trust::Trusted, "bob"),
            (4, Trust::Trusted, "carol"),
            (5, Trust::Blocked, "mallory"),
        ]);
        let all = [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(9)];
        let seers = |access: &Access| -> Vec<Option<u8>> {
            all.into_iter().filter(|caller| view.may_see(caller.map(id), access)).collect()
        };
        assert_eq!(seers(&Access::Public), [None, Some(1), Some(2), Some(3), Some(4), Some(9)]);
        assert_eq!(seers(&Access::Trusted), [Some(3), Some(4)]);
        let everybody = list(&["new", "known", "bob", "mallory"]);
        assert_eq!(seers(&everybody), [Some(3)], "a list is of trusted peers");
        assert_eq!(seers(&list(&[&id(4).to_string()])), [Some(4)]);
        assert_eq!(seers(&list(&[&format!("bob~{}", id(3).short()), "@all", "udp://10.0.0.1:1"])), [Some(3)]);
        assert_eq!(seers(&list(&[&format!("bob~{}", id(4).short()), ""])), []);
        assert_eq!(seers(&list(&[])), []);
    }

    #[test]
    fn of_namesakes_none_is_meant_by_the_name_alone() {
        let view = view(&[(3, Trust::Trusted, "bob"), (4, Trust::Known, "bob"), (5, Trust::Blocked, "bob")]);
        assert!(!view.may_see(Some(id(3)), &list(&["bob"])));
        assert!(view.may_see(Some(id(3)), &list(&[&format!("bob~{}", id(3).short())])));
        assert!(!view.may_see(Some(id(4)), &list(&[&id(4).to_string()])), "it is not trusted");
    }
}
