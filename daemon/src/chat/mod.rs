//! The chat port: takes datagrams from the socket, tells what they are, hands lines to the hub and sends what the
//! hub gives it. Runs on a thread with a runtime of its own, so that neither a burst of calls nor a commit holds
//! up the socket.

mod intake;
mod socket;

use crate::config::{Accept, Config};
use crate::hub::handle::{Arrived, ChatCounters, ChatInput, Datagram};
use crate::limits;
use intake::Intake;
use netkit_proto::chat::plain::{Encoding, Line};
use netkit_proto::ids::Seq;
use netkit_proto::sniff::{Class, classify};
use socket::{ChatSocket, Received};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
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

    /// Serves the port until `stop`, then hands over what had arrived by then.
    ///
    /// # Errors
    /// Those of the socket that are not about a single peer.
    pub async fn run(self, ends: Ends, stop: CancellationToken) -> io::Result<()> {
        let socket = ChatSocket::new(self.socket)?;
        let task = Chat { socket, ends, intake: Intake::new(), sending: None, results: Vec::new() };
        task.run(stop).await
    }
}

struct Chat {
    socket: ChatSocket,
    ends: Ends,
    intake: Intake,
    /// A datagram that waits for room in the socket.
    sending: Option<Datagram>,
    /// What became of datagrams, not yet told to the hub.
    results: Vec<(Seq, io::Result<()>)>,
}

impl Chat {
    async fn run(mut self, stop: CancellationToken) -> io::Result<()> {
        let mut count_drops = tokio::time::interval(COUNT_DROPS);
        let hub = self.ends.hub.clone(); // a permit borrows what it is for
        loop {
            let has_input = !self.intake.is_empty() || !self.results.is_empty();
            let may_send = self.sending.is_none() && self.results.len() < limits::SENDS_IN_FLIGHT;
            tokio::select! {
                () = stop.cancelled() => break,
                ready = self.socket.readable() => {
                    ready?;
                    self.receive()?;
                }
                permit = hub.reserve(), if has_input => match permit {
                    Ok(permit) => permit.send(next_input(&mut self.results, &mut self.intake)),
                    Err(_) => break, // the hub ended
                },
                Some(datagram) = self.ends.datagrams.recv(), if may_send => {
                    self.sending = Some(datagram);
                    self.send();
                }
                ready = self.socket.writable(), if self.sending.is_some() => {
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
        for _ in 0..limits::RECEIVES_PER_TURN {
            let more = self.socket.receive(|received| {
                let dropped = match admit(&config, &received) {
                    Ok(line) => {
                        counters.saturated.fetch_add(intake.push(line), Relaxed);
                        return;
                    }
                    Err(Refusal::NotAllowed) => &counters.not_allowed,
                    Err(Refusal::NotAccepted) => &counters.not_accepted,
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
        match self.socket.send(datagram.to, datagram.from, &datagram.bytes) {
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

/// Why a datagram does not become a line.
enum Refusal {
    NotAllowed,
    NotAccepted,
}

/// Whether a datagram is let in, and the line that it is.
fn admit(config: &Config, received: &Received<'_>) -> Result<Arrived, Refusal> {
    let chat = &config.chat;
    // Port 0 can't be answered, and nothing honest sends from it.
    if !chat.allow.contains(received.from.ip()) || received.from.port() == 0 {
        return Err(Refusal::NotAllowed);
    }
    let class = classify(received.bytes, chat.plain_encoding, |_| false, || false);
    let encoding = match class {
        Class::Plain(encoding) => encoding,
        // Nobody could have a connection: netkitd offers none. Recorded like any other binary datagram.
        Class::Quic => Encoding::Hex,
    };
    // A plain peer proves nothing, so only `anyone` takes its lines.
    if !chat.plain || chat.accept != Accept::Anyone {
        return Err(Refusal::NotAccepted);
    }
    let line = Line::decode(received.bytes, encoding);
    Ok(Arrived { from: received.from, local: received.local, line })
}
