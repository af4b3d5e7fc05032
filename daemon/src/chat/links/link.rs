//! One link, from its hello to its end: what the peer says goes to the hub in batches, what the hub says goes to the peer.
//! Where the hub is slow nothing more is read, and the peer's window fills; where the peer is slow the mailbox fills.

use super::greet::{self, Greeted, Proven};
use super::mailbox::Mailbox;
use super::{Links, canonical, silence};
use crate::chat::live::Entry;
use crate::hub::links::{Introduction, LinkId, LinkReport, Parting, Say};
use crate::limits;
use bytes::Bytes;
use netkit_proto::chat::frame::{Decoder, Frame, encode};
use netkit_proto::files::manifest::from_hex;
use netkit_proto::name::PeerName;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, WriteError};
use std::pin::pin;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

/// Carries a link until it ends; why it did.
pub(super) async fn run(links: &Links, link: LinkId, greeted: Box<Greeted>, mailbox: &Mailbox) -> Parting {
    let Greeted { proven, send, receive, decoder, introduction, rooms, .. } = *greeted;
    let Proven { connection, entry, .. } = proven;
    let batch = Batch { links, link, mailbox, said: Vec::new(), bytes: 0, stored: None };
    let mut reader =
        pin!(read(Reader { connection: connection.clone(), receive, decoder, batch, entry, heard: 0 }));
    let mut writer = pin!(write(send, introduction, rooms, mailbox));
    let mut silence = pin!(silence::tell(links, link, &connection, mailbox));
    let mut overdue = pin!(async {
        mailbox.closing().await;
        sleep(limits::LINK_FLUSH).await;
    });
    let (mut is_written, mut is_closed) = (false, false);
    loop {
        tokio::select! {
            biased; // what is to be written is known before it is
            never = &mut silence => match never {},
            parting = &mut reader => {
                let is_ours = matches!(connection.close_reason(), Some(ConnectionError::LocallyClosed));
                greet::close(&connection, &parting); // without effect where it is closed
                return mailbox.parting().filter(|_| is_ours).unwrap_or(parting);
            }
            // Where it failed the reader learns why, after what came before.
            () = &mut writer, if !is_written => is_written = true,
            () = &mut overdue, if !is_closed => is_written = true,
        }
        if is_written
            && !is_closed
            && let Some(parting) = mailbox.parting()
        {
            greet::close(&connection, &parting);
            is_closed = true;
        }
    }
}

/// Writes what there is to say, until the link is to end and all is acknowledged, or until nothing can be written. `rooms`
/// are those that the peer was told.
async fn write(
    mut send: SendStream,
    mut introduction: watch::Receiver<Introduction>,
    mut rooms: Vec<PeerName>,
    mailbox: &Mailbox,
) {
    let mut has_introducer = true;
    let result: Result<(), WriteError> = async {
        loop {
            let frames = mailbox.take();
            if !frames.is_empty() {
                send.write_chunk(frames.into()).await?;
                continue;
            }
            if mailbox.parting().is_some() {
                return Ok(());
            }
            tokio::select! {
                () = mailbox.changed() => {}
                changed = introduction.changed(), if has_introducer => {
                    has_introducer = changed.is_ok();
                    let now = introduction.borrow_and_update().rooms.clone();
                    if now != rooms {
                        let mut bytes = Vec::new();
                        encode(&Frame::Rooms { rooms: now.clone() }, &mut bytes);
                        rooms = now;
                        send.write_chunk(bytes.into()).await?;
                    }
                }
            }
        }
    }
    .await;
    if result.is_ok() && send.finish().is_ok() {
        let _ = send.stopped().await; // either way there is no more to do
    }
}

struct Reader<'a> {
    connection: Connection,
    receive: RecvStream,
    decoder: Decoder,
    batch: Batch<'a>,
    entry: Entry,
    /// What had come when it was told last how the link is.
    heard: u64,
}

/// Reads until the link ends; why.
async fn read(mut reader: Reader<'_>) -> Parting {
    let mut pulse = interval(limits::LINK_PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Err(parting) = reader.frames().await {
            return parting;
        }
        match reader.pieces(&mut pulse).await {
            Ok(true) => {}
            Ok(false) => return reader.end().await,
            Err(parting) => return parting,
        }
    }
}

impl Reader<'_> {
    /// Hands all that came whole to the hub.
    async fn frames(&mut self) -> Result<(), Parting> {
        let result = loop {
            match self.decoder.frame() {
                Ok(Some(frame)) => match self.batch.add(frame).await {
                    Ok(()) => {}
                    Err(parting) => break Err(parting),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(Parting::Protocol(error.to_string())),
            }
        };
        // What came before a mistake counts.
        self.batch.hand_over().await.and(result)
    }

    /// Reads what came next; false where there will be no more.
    async fn pieces(&mut self, pulse: &mut Interval) -> Result<bool, Parting> {
        let mut pieces = [const { Bytes::new() }; limits::LINK_PIECES];
        loop {
            tokio::select! {
                read = self.receive.read_chunks(&mut pieces) => {
                    let count = match read {
                        Ok(count) => count,
                        Err(error) => return Err(greet::read_failure(error)),
                    };
                    if self.entry.moved(canonical(self.connection.remote_address())) {
                        self.pulse();
                    }
                    for piece in pieces.iter().take(count.unwrap_or(0)) {
                        self.decoder.push(piece);
                    }
                    return Ok(count.is_some());
                }
                _ = pulse.tick() => {
                    self.entry.moved(canonical(self.connection.remote_address()));
                    self.pulse();
                }
            }
        }
    }

    /// Tells how the link is, where something came on it since that was told last.
    fn pulse(&mut self) {
        let heard = silence::heard(&self.connection.stats());
        if heard == self.heard {
            return;
        }
        let address = canonical(self.connection.remote_address());
        let pulse = LinkReport::Pulse(self.batch.link, self.connection.rtt(), address);
        if self.batch.links.reports.try_send(pulse).is_ok() {
            self.heard = heard;
        }
    }

    /// The peer will say no more: it should tell why at once.
    async fn end(&self) -> Parting {
        match timeout(limits::LINK_FLUSH, self.connection.closed()).await {
            Ok(error) => greet::parting(error),
            Err(_) => Parting::Protocol("an end without a reason".into()),
        }
    }
}

/// What is to be told to the hub.
struct Batch<'a> {
    links: &'a Links,
    link: LinkId,
    mailbox: &'a Mailbox,
    said: Vec<Say>,
    bytes: usize,
    stored: Option<u64>,
}

impl Batch<'_> {
    async fn add(&mut self, frame: Frame) -> Result<(), Parting> {
        match frame {
            Frame::Say(say) => {
                self.bytes += say.text.len();
                self.said.push(say);
                if self.said.len() >= limits::LINK_BATCH || self.bytes >= limits::LINK_BATCH_BYTES {
                    self.hand_over().await?;
                }
            }
            Frame::Stored { n } => self.stored = self.stored.max(Some(n)),
            Frame::Refused { n, code } => {
                self.mailbox.answered(n);
                self.hand_over().await?;
                self.report(LinkReport::Refused(self.link, n, code)).await?;
            }
            Frame::Rooms { rooms } => {
                self.hand_over().await?;
                self.report(LinkReport::Rooms(self.link, rooms)).await?;
            }
            Frame::Hello(_) => return Err(Parting::Protocol("a second hello".into())),
            Frame::Have { hash } => {
                if let Some(hash) = from_hex(&hash) {
                    self.hand_over().await?;
                    self.report(LinkReport::Have(self.link, hash)).await?;
                }
            }
            Frame::Has { hash, has: true } => {
                if let Some(hash) = from_hex(&hash) {
                    self.report(LinkReport::Has(self.link, hash)).await?;
                }
            }
            Frame::Has { .. } | Frame::Unknown => {}
        }
        Ok(())
    }

    /// Tells what has come together.
    async fn hand_over(&mut self) -> Result<(), Parting> {
        self.bytes = 0;
        if !self.said.is_empty() {
            let said = std::mem::take(&mut self.said);
            self.report(LinkReport::Said(self.link, said)).await?;
        }
        if let Some(n) = self.stored.take() {
            self.mailbox.answered(n);
            self.report(LinkReport::Stored(self.link, n)).await?;
        }
        Ok(())
    }

    async fn report(&self, report: LinkReport) -> Result<(), Parting> {
        self.links.reports.send(report).await.map_err(|_| Parting::Stopping)
    }
}
