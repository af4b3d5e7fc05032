//! One connection to the control socket: reads lines, starts their calls, writes answers and events. It never
//! waits for its client: what the client does not read waits in a bounded buffer, then its lines wait too.

use super::Context;
use super::caller::Caller;
use super::cmd::Session;
use super::dispatch::{self, Answer};
use super::subscriptions::{CaughtUp, Subscriptions};
use crate::hub::handle::SessionId;
use crate::limits;
use crate::store::StoreError;
use netkit_proto::limits as wire;
use netkit_proto::rpc::call::Access;
use netkit_proto::rpc::code::Error;
use netkit_proto::rpc::line::{Line, LineBuffer};
use netkit_proto::rpc::message;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a session waited for.
enum Finished {
    /// Calls, which were asked for with so many bytes, answered on one line.
    Calls {
        count: usize,
        bytes: usize,
        text: Option<String>,
    },
    LargeCall(Option<String>),
    Read(Result<CaughtUp, StoreError>),
}

/// Serves a connection until its client leaves or `stop`; then lets go of what the session held.
pub(super) async fn run(
    stream: UnixStream,
    context: Arc<Context>,
    id: SessionId,
    caller: Caller,
    stop: CancellationToken,
) {
    let hub = context.hub.clone();
    let session = Session { context, id, caller, subscriptions: Subscriptions::default() };
    let connection = Connection {
        stream,
        session,
        lines: LineBuffer::new(wire::RPC_LINE),
        out: Vec::new(),
        work: JoinSet::new(),
        calls: 0,
        asked: 0,
        large: false,
        client_is_done: false,
    };
    if let Err(error) = connection.serve(stop).await {
        tracing::debug!(%error, "a control session broke off");
    }
    hub.session_ended(id).await;
}

struct Connection {
    stream: UnixStream,
    session: Session,
    lines: LineBuffer,
    /// Bytes that the client has not read yet.
    out: Vec<u8>,
    work: JoinSet<Finished>,
    /// Calls among `work`.
    calls: usize,
    /// Bytes of the lines that asked for them.
    asked: usize,
    /// A call with a large answer is among them: until it is answered nothing more is taken on, and events wait, so
    /// that those of a subscription come after its id.
    large: bool,
    /// The client has shut its writing side down: it is served what it asked for.
    client_is_done: bool,
}

impl Connection {
    async fn serve(mut self, stop: CancellationToken) -> io::Result<()> {
        let mut head = self.session.context.feed.watch();
        let mut rights = self.session.context.rights.watch();
        let mut stopped = pin!(stop.cancelled());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return self.finish().await,
                () = self.take_lines() => {}
            }
            head.mark_unchanged();
            let waits_for_room = self.follow() || !self.has_room();
            self.write()?;
            // Nothing else wakes a session whose client took all at once.
            let goes_on = waits_for_room && self.has_room();
            if self.client_is_done && self.work.is_empty() && self.out.is_empty() {
                return Ok(()); // what it asked for is answered, and its subscriptions are at the log's end
            }
            if self.session.context.check(&self.session.caller, Access::Reader).is_err() {
                return Ok(()); // what it was granted was withdrawn
            }
            let may_read = !self.client_is_done && self.has_room();
            tokio::select! {
                () = &mut stopped => return self.finish().await,
                () = tokio::task::yield_now(), if goes_on => {}
                _ = rights.changed() => {}
                ready = self.stream.readable(), if may_read => {
                    ready?;
                    self.read()?;
                }
                ready = self.stream.writable(), if !self.out.is_empty() => ready?,
                Some(finished) = self.work.join_next() => self.on_finished(finished)?,
                changed = head.changed(), if !self.session.subscriptions.is_empty() => {
                    if changed.is_err() {
                        return self.finish().await;
                    }
                }
            }
        }
    }

    /// Whether more can be taken on before the client reads, or calls are answered.
    fn has_room(&self) -> bool {
        let is_busy =
            self.calls >= limits::CALLS_IN_FLIGHT || self.asked >= limits::CALLS_BYTES || self.large;
        !is_busy && self.out.len() < limits::SESSION_OUTPUT
    }

    fn read(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); limits::SESSION_INPUT]; // zeroing it costs more than most reads fill
        let received = self
            .stream
            .try_io(Interest::READABLE, || Ok(recv(&self.stream, &mut space[..], RecvFlags::empty())?));
        match received {
            Ok((_, 0)) => {
                self.client_is_done = true;
                self.lines.push(b"\n"); // the last line may lack its own
            }
            Ok(((bytes, _), _)) => self.lines.push(bytes),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Starts the calls of the lines that are complete.
    async fn take_lines(&mut self) {
        while self.has_room()
            && let Some(line) = self.lines.next_line()
        {
            let (bytes, answer) = match line {
                Line::Complete(line) => (line.len(), dispatch::answer_line(&mut self.session, &line).await),
                Line::TooLong => {
                    let why = format!("a line of more than {} bytes", wire::RPC_LINE);
                    let error = Error::invalid_request(&why);
                    (0, Answer::Now(Some(message::failure(&message::null_id(), &error))))
                }
            };
            match answer {
                Answer::Now(text) => self.push(text),
                Answer::Later(count, later) => {
                    (self.calls, self.asked) = (self.calls + count, self.asked + bytes);
                    self.work.spawn(async move { Finished::Calls { count, bytes, text: later.await } });
                }
                Answer::Large(later) => {
                    self.large = true;
                    self.work.spawn(async move { Finished::LargeCall(later.await) });
                }
            }
        }
    }

    fn push(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'\n');
        }
    }

    /// Appends what subscriptions have to deliver; true where there was more than there is room for.
    fn follow(&mut self) -> bool {
        if self.session.subscriptions.is_empty() || self.large {
            return false;
        }
        let context = &self.session.context;
        for read in self.session.subscriptions.advance(&context.feed, &mut self.out) {
            let reader = context.reader.clone();
            self.work.spawn(async move { Finished::Read(read.read(&reader).await) });
        }
        self.session.subscriptions.are_behind(&context.feed)
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn on_finished(&mut self, finished: Result<Finished, tokio::task::JoinError>) -> io::Result<()> {
        match finished.map_err(io::Error::other)? {
            Finished::Calls { count, bytes, text } => {
                (self.calls, self.asked) = (self.calls - count, self.asked - bytes);
                self.push(text);
            }
            Finished::LargeCall(text) => {
                self.large = false;
                self.push(text);
            }
            Finished::Read(Ok(caught_up)) => self.session.subscriptions.caught_up(&caught_up, &mut self.out),
            Finished::Read(Err(error)) => return Err(io::Error::other(error)),
        }
        Ok(())
    }

    /// At the end: calls that were begun are answered, if the client reads that.
    async fn finish(self) -> io::Result<()> {
        let answered = tokio::time::timeout(limits::STOP_SESSION, self.answer_the_rest()).await;
        answered.unwrap_or_else(|_| Err(io::Error::other("its client did not read the last answers in time")))
    }

    async fn answer_the_rest(mut self) -> io::Result<()> {
        while let Some(finished) = self.work.join_next().await {
            self.on_finished(finished)?;
        }
        loop {
            self.write()?;
            if self.out.is_empty() {
                return Ok(());
            }
            self.stream.writable().await?;
        }
    }
}
