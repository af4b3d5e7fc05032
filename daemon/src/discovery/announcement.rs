//! What is announced of a box, and what others announce: a DNS-SD service instance with a TXT record (RFC 6763, section
//! 6). The discovery task publishes ours and reads theirs. Nothing that is announced is proved.

use super::Me;
use mdns_sd::{ServiceInfo, TxtProperties};
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;

/// What netkit's boxes are found by (RFC 6763, section 7).
pub(super) const SERVICE: &str = "_netkit._udp.local.";

/// What the TXT record has under `v`: another version may mean something else by the other keys (RFC 6763, section 6.7).
const VERSION: &str = "1";

/// Bytes of a label of DNS (RFC 1035, section 2.3.4).
const LABEL: usize = 63;

/// What a box says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) peer: PeerId,
    pub(super) name: PeerName,
}

/// Why an announcement is none of netkit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Another version, or none.
    #[error("it is not of version 1")]
    Version,
    /// No id.
    #[error("it has no peer's id")]
    Id,
    /// No name.
    #[error("it has no peer's name")]
    Name,
}

/// Reads a TXT record.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn read(txt: &TxtProperties) -> Result<Claim, Malformed> {
    // A key without value is not there for us, nor is one that is no text.
    let value = |key| std::str::from_utf8(txt.get(key)?.val()?).ok();
    if value("v") != Some(VERSION) {
        return Err(Malformed::Version);
    }
    let peer = value("id").and_then(|id| id.parse().ok()).ok_or(Malformed::Id)?;
    let name = value("name").and_then(|name| name.parse().ok()).ok_or(Malformed::Name)?;
    Ok(Claim { peer, name })
}

/// The instance that we are. Its host has a label of our own: the box's own name is answered for by whoever answers for
/// it now (Avahi, systemd-resolved), and two answers are a conflict (RFC 6762, section 9).
///
/// Nobody else has these names, which carry our id, so they are not probed for. mdns-sd, which hears itself, would take
/// the address of another interface of ours for somebody else's, and choose one name after the other, without end.
///
/// # Errors
/// Where mdns-sd takes something of it for impossible.
pub(super) fn ours(me: &Me) -> mdns_sd::Result<ServiceInfo> {
    let id = me.peer.to_string();
    let files = me.files.map(|port| port.to_string());
    let mut txt = vec![("v", VERSION), ("id", &id), ("name", me.name.as_str())];
    txt.extend(files.as_deref().map(|port| ("files", port)));
    let host = format!("netkit-{}.local.", me.peer.short());
    let mut service = ServiceInfo::new(SERVICE, &instance(me), &host, (), me.chat.port(), &txt[..])?;
    service.set_requires_probe(false);
    Ok(service.enable_addr_auto())
}

/// Our name, cut where it would leave no room for the start of our id: names alone are not unique.
fn instance(me: &Me) -> String {
    let id = me.peer.short();
    let name = me.name.as_str();
    let cut = name.floor_char_boundary(LABEL - id.len() - 1);
    format!("{}-{id}", &name[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn txt(strings: &[&[u8]]) -> TxtProperties {
        let bytes: Vec<u8> =
            strings.iter().flat_map(|s| [&[u8::try_from(s.len()).unwrap()], *s].concat()).collect();
        TxtProperties::from(&bytes[..])
    }

    fn read_strings(strings: &[&str]) -> Result<Claim, Malformed> {
        read(&txt(&strings.iter().map(|s| s.as_bytes()).collect::<Vec<_>>()))
    }

    fn me(name: &str) -> Me {
        let chat = "[::]:7890".parse().unwrap();
        Me { peer: PeerId([0; 32]), name: name.parse().unwrap(), chat, files: Some(7891) }
    }

    #[test]
    fn what_we_announce_is_read_by_others() {
        for name in ["box1", "小明", "a.b\\c", &"网".repeat(21), &"a".repeat(63)] {
            let me = me(name);
            let service = ours(&me).unwrap();
            let claim = Claim { peer: me.peer, name: me.name.clone() };
            assert_eq!(read(service.get_properties()), Ok(claim));
            assert_eq!(service.get_property_val_str("files"), Some("7891"));
            assert_eq!((service.get_port(), service.get_hostname()), (7890, "netkit-aaaaaa.local."));
            assert!(instance(&me).len() <= LABEL && instance(&me).ends_with("-aaaaaa"), "{}", instance(&me));
        }
    }

    #[test]
    fn what_is_no_announcement_is_left_out() {
        let (id, name) = (format!("id={ID}"), "name=box1");
        assert!(read_strings(&["v=1", &id, name]).is_ok());
        assert!(read_strings(&["V=1", &id.replace("id=", "ID="), name, "new=x", "flag"]).is_ok());
        let long_name = format!("name={}", "a".repeat(64));
        for (strings, why) in [
            (&[][..], Malformed::Version),
            (&[&id, name], Malformed::Version),
            (&["v", &id, name], Malformed::Version),
            (&["v=", &id, name], Malformed::Version),
            (&["v=2", "v=1", &id, name], Malformed::Version),
            (&["v=1", name], Malformed::Id),
            (&["v=1", "id", name], Malformed::Id),
            (&["v=1", &id[..54], name], Malformed::Id),
            (&["v=1", &format!("{id}a"), name], Malformed::Id),
            (&["v=1", &id.replace('a', "1"), name], Malformed::Id),
            (&["v=1", &id.replace("aa", "é"), name], Malformed::Id),
            (&["v=1", &id], Malformed::Name),
            (&["v=1", &id, "name="], Malformed::Name),
            (&["v=1", &id, "name=a b"], Malformed::Name),
            (&["v=1", &id, "name=a\u{1b}[2J"], Malformed::Name),
            (&["v=1", &id, "name=\u{202e}bob"], Malformed::Name),
            (&["v=1", &id, "name=@ops"], Malformed::Name),
            (&["v=1", &id, &long_name], Malformed::Name),
        ] {
            assert_eq!(read_strings(strings), Err(why), "{strings:?}");
        }
        assert_eq!(read(&txt(&[b"v=1", id.as_bytes(), b"name=\xff\xfe"])), Err(Malformed::Name));
    }

    proptest! {
        #[test]
        fn no_record_does_harm(bytes: Vec<u8>) {
            let _ = read(&TxtProperties::from(&bytes[..]));
        }
    }
}
