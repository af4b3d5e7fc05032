//! The beginning of a link: who is at the other end of a connection, and the exchange of hellos. Used for those who call and
//! for those whom we dial; the caller sets the deadline. Nothing is told to the hub here.

use super::{Links, canonical};
use crate::chat::live::Entry;
use crate::hub::links::{Hello, Introduction, Parting};
use crate::identity::tls;
use crate::limits;
use netkit_proto::chat::frame::{Decoder, Frame, VERSION, encode};
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A connection on which both have said hello.
pub(super) struct Greeted {
    pub proven: Proven,
    pub hello: Hello,
    pub send: SendStream,
    pub receive: RecvStream,
    /// May hold what came behind the hello.
    pub decoder: Decoder,
    /// What we said of ourselves counts as seen.
    pub introduction: watch::Receiver<Introduction>,
    /// The rooms that we said to be in: they may be others by now.
    pub rooms: Vec<PeerName>,
}

/// A connection to a peer that proved who it is.
pub(super) struct Proven {
    pub connection: Connection,
    pub peer: PeerId,
    /// From the handshake on.
    pub entry: Entry,
}

/// Who is at the other end: the handshake proved it.
fn peer_of(connection: &Connection) -> Result<PeerId, Parting> {
    let certificates =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
    let first = certificates.as_ref().and_then(|all| all.first());
    let first = first.ok_or_else(|| Parting::Protocol("no certificate".into()))?;
    tls::peer_id(first).map_err(|error| Parting::Protocol(error.to_string()))
}

impl Proven {
    /// The handshake is done.
    pub(super) fn new(links: &Links, connection: Connection) -> Result<Proven, Parting> {
        let entry = links.live.enter(canonical(connection.remote_address()));
        match peer_of(&connection) {
            Ok(peer) => Ok(Proven { connection, peer, entry }),
            Err(parting) => {
                close(&connection, &parting);
                Err(parting)
            }
        }
    }
}

/// Exchanges hellos; whoever dialled opens the stream and speaks first.
pub(super) async fn greet(links: &Links, proven: Proven, dialled: bool) -> Result<Greeted, Parting> {
    let mut introduction = links.introduction.clone();
    let introduced = introduction.borrow_and_update().clone();
    let ours = ours(&introduced);
    let connection = &proven.connection;
    let streams = if dialled { connection.open_bi().await } else { connection.accept_bi().await };
    let (mut send, mut receive) = streams.map_err(parting)?;
    let mut decoder = Decoder::default();
    if dialled {
        send.write_all(&ours).await.map_err(write_failure)?;
    }
    let hello = hello(&mut receive, &mut decoder).await?;
    if !dialled {
        send.write_all(&ours).await.map_err(write_failure)?;
    }
    Ok(Greeted { proven, hello, send, receive, decoder, introduction, rooms: introduced.rooms })
}

/// The frame that says what we are.
fn ours(introduction: &Introduction) -> Vec<u8> {
    let Introduction { name, instance, file_port, rooms, epoch } = introduction.clone();
    let hello = Hello { name, version: VERSION, features: Vec::new(), instance, file_port, rooms, epoch };
    let mut bytes = Vec::new();
    encode(&Frame::Hello(hello), &mut bytes);
    bytes
}

/// The first frame, which must be a hello.
async fn hello(receive: &mut RecvStream, decoder: &mut Decoder) -> Result<Hello, Parting> {
    loop {
        match decoder.frame() {
            Ok(None) => {}
            Ok(Some(Frame::Hello(hello))) if hello.version > 0 => return Ok(hello),
            Ok(Some(_)) => return Err(Parting::Protocol("no hello at first".into())),
            Err(error) => return Err(Parting::Protocol(error.to_string())),
        }
        match receive.read_chunk(limits::STREAM_WINDOW as usize, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes),
            Ok(None) => return Err(Parting::Protocol("the end before a hello".into())),
            Err(error) => return Err(read_failure(error)),
        }
    }
}

/// Ends a connection, saying why.
pub(super) fn close(connection: &Connection, parting: &Parting) {
    let reason = match parting {
        Parting::Protocol(reason) => clip(reason),
        _ => String::new(),
    };
    connection.close(VarInt::from_u32(parting.code()), reason.as_bytes());
}

/// Why a connection ended, as the hub is told.
pub(super) fn parting(error: ConnectionError) -> Parting {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            Parting::from_code(close.error_code.into_inner(), clip(&String::from_utf8_lossy(&close.reason)))
        }
        ConnectionError::Reset => Parting::Lost("it was started anew".into()),
        ConnectionError::TimedOut => Parting::Lost("it does not answer".into()),
        ConnectionError::LocallyClosed => Parting::Lost("closed here".into()),
        ConnectionError::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
        {
            Parting::Lost("it takes no connections at present".into())
        }
        other => Parting::Lost(clip(&other.to_string())),
    }
}

pub(super) fn read_failure(error: ReadError) -> Parting {
    match error {
        ReadError::ConnectionLost(error) => parting(error),
        other => Parting::Protocol(other.to_string()),
    }
}

fn write_failure(error: WriteError) -> Parting {
    match error {
        WriteError::ConnectionLost(error) => parting(error),
        other => Parting::Protocol(other.to_string()),
    }
}

/// A peer's words, of bearable length.
fn clip(reason: &str) -> String {
    reason.chars().take(limits::PEER_REASON).collect()
}

/// How many callers have not yet said hello, by address.
#[derive(Debug, Default)]
pub(super) struct Greetings(Mutex<HashMap<IpAddr, usize>>);

/// What to do with a caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accept,
    /// It must show first that its address is its own.
    Prove,
    /// It is not answered, and asks again by itself.
    Later,
    Refuse,
}

impl Greetings {
    pub(super) fn answer(&self, address: IpAddr, is_proven: bool) -> Answer {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = waiting.values().sum();
        let own = waiting.get(&address).copied().unwrap_or(0);
        // Who forges addresses gets half of what an address may have, and a part of all: the rest is for those who don't.
        let is_crowded = all >= limits::GREETINGS_UNPROVEN || own >= limits::GREETINGS_PER_ADDRESS / 2;
        if own >= limits::GREETINGS_PER_ADDRESS {
            Answer::Refuse
        } else if all >= limits::GREETINGS {
            Answer::Later
        } else if is_crowded && !is_proven {
            Answer::Prove
        } else {
            Answer::Accept
        }
    }

    /// Counts a caller until the answer is dropped.
    pub(super) fn enter(self: &Arc<Greetings>, address: IpAddr) -> Greeting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default() += 1;
        Greeting { greetings: Arc::clone(self), address }
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// One caller that is counted.
#[derive(Debug)]
pub(super) struct Greeting {
    greetings: Arc<Greetings>,
    address: IpAddr,
}

impl Drop for Greeting {
    fn drop(&mut self) {
        let mut waiting = self.greetings.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_no_connection_is_told_in_plain_words() {
        let close = quinn::ConnectionClose {
            error_code: quinn::TransportErrorCode::CONNECTION_REFUSED,
            frame_type: None,
            reason: "the server refused to accept a new connection".into(),
        };
        let parting = parting(ConnectionError::ConnectionClosed(close));
        assert_eq!(parting, Parting::Lost("it takes no connections at present".into()));
    }

    #[test]
    fn many_callers_must_prove_their_addresses_and_too_many_have_to_wait() {
        let greetings = Arc::new(Greetings::default());
        let address = |n: usize| IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]);
        let own: Vec<_> = (0..limits::GREETINGS_PER_ADDRESS / 2)
            .map(|_| {
                assert_eq!(greetings.answer(address(1), false), Answer::Accept);
                greetings.enter(address(1))
            })
            .collect();
        assert_eq!(greetings.answer(address(1), false), Answer::Prove);
        assert_eq!(
            greetings.answer(address(1), true),
            Answer::Accept,
            "whose address others forge still comes in"
        );
        let proven: Vec<_> = own.iter().map(|_| greetings.enter(address(1))).collect();
        assert_eq!(greetings.answer(address(1), true), Answer::Refuse);
        assert_eq!(greetings.answer(address(2), false), Answer::Accept);
        drop((own, proven));

        let mut all = Vec::new();
        while greetings.answer(address(all.len()), false) == Answer::Accept {
            all.push(greetings.enter(address(all.len())));
        }
        assert_eq!(all.len(), limits::GREETINGS_UNPROVEN);
        while greetings.answer(address(all.len()), true) == Answer::Accept {
            all.push(greetings.enter(address(all.len())));
        }
        assert_eq!((all.len(), greetings.len()), (limits::GREETINGS, limits::GREETINGS));
        assert_eq!(greetings.answer(address(all.len()), true), Answer::Later);
        drop(all);
        assert_eq!(greetings.len(), 0);
    }
}
