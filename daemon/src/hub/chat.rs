//! What the hub knows of plain peers: how each is answered, and what waits to be sent to them. Plain methods that
//! take the time as an argument; the hub commits what they ask for, then tells them.

use super::conversations::Conversations;
use super::handle::{Datagram, Route, SendRequest};
use super::outbox::Outbox;
use super::peer_name;
use crate::limits;
use crate::store::{Loaded, Op};
use netkit_proto::chat::plain::{self, Encoding, PlainEncoding};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;

/// Conversations and the outbox.
#[derive(Debug, Default)]
pub(super) struct Chat {
    pub conversations: Conversations,
    pub outbox: Outbox,
}

impl Chat {
    pub(super) fn new(loaded: Loaded) -> Chat {
        let conversations = Conversations::new(&loaded.conversations);
        Chat { conversations, outbox: Outbox::new(loaded.outbox) }
    }

    /// The next datagram to send.
    pub(super) fn next_datagram(&mut self, now: Timestamp) -> Option<Datagram> {
        let out = self.outbox.next(now)?;
        let from = self.conversations.local(out.address);
        Some(Datagram { message: out.message, to: out.address, from, bytes: out.datagram.clone() })
    }

    /// A message is to be sent: what to commit.
    pub(super) fn on_send(
        &self,
        now: Timestamp,
        encoding: PlainEncoding,
        send: SendRequest,
    ) -> Result<Op, Error> {
        let Route::Plain(address) = send.route else {
            return Err(Error::new(Kind::InternalError, "a peer that is linked gets no datagrams"));
        };
        if self.outbox.len() >= limits::OUTBOX {
            return Err(Error::new(
                Kind::Busy,
                format_args!("{} messages wait to be sent already", limits::OUTBOX),
            )
            .hint(
                "netkitctl status tells how many wait; they go when their peers can be reached, or expire",
            ));
        }
        let encoding = match encoding {
            PlainEncoding::Auto => self.conversations.encoding(address),
            PlainEncoding::Utf8 => Encoding::Utf8,
            PlainEncoding::Gb18030 => Encoding::Gb18030,
        };
        let datagram = plain::encode(&send.text, encoding).map_err(|e| match e {
            plain::EncodeError::TooLong(_) => Error::new(Kind::TooLarge, e).hint(
                "send it in shorter lines: netkitctl send -l sends one message for each line of its input",
            ),
            plain::EncodeError::Unmappable => {
                Error::new(Kind::Refused, e).hint("send it without that character")
            }
        })?;
        let expire = send.expire.unwrap_or(limits::EXPIRE_DEFAULT);
        let expires = now.plus_millis(i64::try_from(expire.as_millis()).unwrap_or(i64::MAX));
        let digest = send.digest();
        let bye = plain::is_bye(&send.text);
        let event = Event::Queued {
            peer: peer_name(address),
            to: Vec::new(),
            room: None,
            text: send.text,
            bye,
            expires,
        };
        let key = send.key.map(|key| (send.uid, key, digest));
        Ok(Op::Queue { at: now, event, address, datagram, expires, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Outgoing;
    use netkit_proto::ids::Seq;
    use std::net::SocketAddr;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn address() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 9], 1))
    }

    fn request(text: &str) -> SendRequest {
        let (to, text) = (peer_name(address()), text.to_owned());
        SendRequest { uid: 0, to, route: Route::Plain(address()), text, key: None, expire: None }
    }

    fn datagram(encoding: PlainEncoding) -> Vec<u8> {
        match Chat::default().on_send(NOW, encoding, request("你")).unwrap() {
            Op::Queue { datagram, .. } => datagram,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fixed_encoding_is_always_sent() {
        assert_eq!(datagram(PlainEncoding::Auto), "你".as_bytes());
        assert_eq!(datagram(PlainEncoding::Utf8), "你".as_bytes());
        assert_eq!(datagram(PlainEncoding::Gb18030), b"\xC4\xE3");
    }

    #[test]
    fn what_can_not_be_sent_is_refused_with_a_hint() {
        let refusal = |chat: &Chat, encoding, text: &str| {
            let error = chat.on_send(NOW, encoding, request(text)).unwrap_err();
            assert!(error.data.as_ref().unwrap().hint.is_some(), "{error}");
            error.kind()
        };
        let mut chat = Chat::default();
        assert_eq!(refusal(&chat, PlainEncoding::Auto, &"x".repeat(1025)), Kind::TooLarge);
        assert_eq!(refusal(&chat, PlainEncoding::Gb18030, "\u{E5E5}"), Kind::Refused);
        for n in 0..limits::OUTBOX as u64 {
            chat.outbox.insert(Outgoing {
                message: Seq(n),
                address: address(),
                datagram: vec![],
                expires: NOW,
            });
        }
        assert_eq!(refusal(&chat, PlainEncoding::Auto, "x"), Kind::Busy);
    }

    #[test]
    fn a_key_stands_for_destination_text_and_time() {
        let same = request("a").digest();
        assert_eq!(same, SendRequest { uid: 9, ..request("a") }.digest());
        assert_ne!(same, request("b").digest());
        assert_ne!(same, SendRequest { to: "udp://bob:1".into(), ..request("a") }.digest());
        assert_ne!(same, SendRequest { expire: Some(Duration::from_secs(1)), ..request("a") }.digest());
    }
}
