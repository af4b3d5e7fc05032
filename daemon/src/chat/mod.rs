//! The chat port: takes datagrams from the socket, tells what they are, hands lines to the hub and QUIC's packets to the
//! endpoint, and sends what the hub gives it. Runs on a thread with a runtime of its own, so that neither a burst of calls
//! nor a commit holds up the socket.

mod demux;
mod intake;
mod links;
mod live;
mod quic;
mod socket;

pub use links::LinkEnds;

use crate::config::Config;
use crate::hub::handle::{ChatCounters, ChatInput, Datagram};
use crate::limits;
use demux::{Marks, Verdict, judge};
use intake::Intake;
use live::Live;
use netkit_proto::ids::Seq;
use quic::QuicSocket;
use socket::ChatSocket;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often the kernel's count of dropped datagrams is looked at.
const COUNT_DROPS: Duration = Duration::from_millis(500);

/// A bound chat port that does not run yet.
#[derive(Debug)]
pub struct ChatPort {
    socket: UdpSocket,
    /// The address in use.
    pub listen: SocketAddr,
}

/// What the chat port works with.
#[derive(Debug)]
pub struct Ends {
    /// What is in force at present.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where lines go, and what became of datagrams.
    pub hub: mpsc::Sender<ChatInput>,
    /// What to send.
    pub datagrams: mpsc::Receiver<Datagram>,
    /// Where drops are counted.
    pub counters: Arc<ChatCounters>,
    /// For links to netkit peers; `None`: only plain lines are spoken.
    pub links: Option<LinkEnds>,
}

impl ChatPort {
    /// Binds the port.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn bind(listen: SocketAddr) -> io::Result<ChatPort> {
        let socket = socket::bind(listen)?;
        let listen = socket.local_addr()?;
        Ok(ChatPort { socket, listen })
    }

    /// Serves the port until `stop`; then closes the links in order, and hands over what had arrived by then. Must run on
    /// a runtime of one thread.
    ///
    /// # Errors
    /// Those of the socket that are not about a single peer.
    pub async fn run(self, mut ends: Ends, stop: CancellationToken) -> io::Result<()> {
        let socket = ChatSocket::new(self.socket)?;
        let mut quic = None;
        let stopped = stop.child_token();
        // While links end the socket still has to be read: their last words want to be acknowledged.
        let ending = match ends.links.take() {
            Some(links) => {
                let started = quic::start(Arc::clone(socket.shared()), &links.identity)?;
                let live = Arc::<Live>::default();
                let cid_key = links.identity.cid_key().map_err(io::Error::other)?;
                let marks = Marks::new(cid_key, Arc::clone(&live));
                quic = Some((marks, Arc::clone(&started.socket)));
                let (config, counters) = (ends.config.clone(), Arc::clone(&ends.counters));
                tokio::spawn(links::run(links, started, live, config, counters, stopped))
            }
            None => tokio::spawn(async move {
                stopped.cancelled().await;
                Ok(())
            }),
        };
        let task = Chat { socket, ends, quic, intake: Intake::new(), sending: None, results: Vec::new() };
        task.run(ending).await
    }
}

struct Chat {
    socket: ChatSocket,
    ends: Ends,
    /// What is QUIC's, and where it goes.
    quic: Option<(Marks, Arc<QuicSocket>)>,
    intake: Intake,
    /// A datagram that waits for room in the socket.
    sending: Option<Datagram>,
    /// What became of datagrams, not yet told to the hub.
    results: Vec<(Seq, io::Result<()>)>,
}

impl Chat {
    /// Runs until the links have ended.
    async fn run(mut self, mut links: JoinHandle<io::Result<()>>) -> io::Result<()> {
        let mut count_drops = tokio::time::interval(COUNT_DROPS);
        let hub = self.ends.hub.clone(); // a permit borrows what it is for
        loop {
            let has_input = !self.intake.is_empty() || !self.results.is_empty();
            let may_send = self.sending.is_none() && self.results.len() < limits::SENDS_IN_FLIGHT;
            tokio::select! {
                ended = &mut links => {
                    ended.map_err(io::Error::other)??;
                    break;
                }
                ready = self.socket.readable() => {
                    ready?;
                    self.receive()?;
                    // However much waits, the endpoint and the links have their turn.
                    tokio::task::yield_now().await;
                }
                permit = hub.reserve(), if has_input => match permit {
                    Ok(permit) => permit.send(next_input(&mut self.results, &mut self.intake)),
                    Err(_) => break, // the hub ended
                },
                Some(datagram) = self.ends.datagrams.recv(), if may_send => {
                    self.sending = Some(datagram);
                    self.send();
                }
                ready = self.socket.shared().writable(), if self.sending.is_some() => {
                    ready?;
                    self.send();
                }
                _ = count_drops.tick() => self.count_drops(),
            }
        }
        self.flush().await
    }

    /// Takes in what waits in the socket, a bounded amount a turn.
    fn receive(&mut self) -> io::Result<()> {
        let config = Arc::clone(&self.ends.config.borrow());
        let (intake, counters) = (&mut self.intake, &self.ends.counters);
        let (marks, quic) = self.quic.as_ref().map(|(marks, quic)| (marks, quic)).unzip();
        for _ in 0..limits::RECEIVES_PER_TURN {
            let more = self.socket.receive(|received| {
                let dropped = match judge(&config.chat, marks, &received) {
                    Verdict::Line(arrived) => {
                        counters.saturated.fetch_add(intake.push(arrived), Relaxed);
                        return;
                    }
                    Verdict::Quic if quic.is_some_and(|quic| quic.push(&received)) => return,
                    Verdict::Quic => &counters.quic_dropped,
                    Verdict::NotAllowed => &counters.not_allowed,
                    Verdict::NotAccepted => &counters.not_accepted,
                };
                dropped.fetch_add(1, Relaxed);
            })?;
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn send(&mut self) {
        let Some(datagram) = self.sending.take() else { return };
        match self.socket.shared().send(datagram.to, datagram.from, &datagram.bytes) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.sending = Some(datagram),
            result => self.results.push((datagram.message, result)),
        }
    }

    fn count_drops(&self) {
        match self.socket.dropped() {
            Ok(dropped) => self.ends.counters.kernel.store(dropped, Relaxed),
            Err(error) => tracing::debug!(%error, "the kernel does not tell what it dropped"),
        }
    }

    /// At the end: what had arrived is stored too, and what was sent is known to be. The caller sets the deadline.
    async fn flush(mut self) -> io::Result<()> {
        self.receive()?;
        while !self.intake.is_empty() || !self.results.is_empty() {
            let input = next_input(&mut self.results, &mut self.intake);
            if self.ends.hub.send(input).await.is_err() {
                break; // the hub ended first
            }
        }
        Ok(())
    }
}

fn next_input(results: &mut Vec<(Seq, io::Result<()>)>, intake: &mut Intake) -> ChatInput {
    ChatInput { lines: intake.pop(limits::INTAKE_BATCH), sent: std::mem::take(results) }
}

#[cfg(test)]
mod tests;
