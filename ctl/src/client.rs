//! A session with netkitd: calls, batches and the notifications of subscriptions, one thread, blocking. Every verb
//! that needs netkitd goes through here. Starting again after netkitd went away is in `follow`.

use crate::exit::Outcome;
use crate::incoming::{CallError, Message, understand};
use crate::output::say;
use crate::unreachable;
use crate::wait::{self, Ready};
use interprocess::local_socket::{GenericFilePath, Stream, prelude::*};
use netkit_proto::limits;
use netkit_proto::rpc::call::Call;
use netkit_proto::rpc::code::Error;
use netkit_proto::rpc::line::LineBuffer;
use netkit_proto::rpc::message;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes asked of the socket at once: each page of it that is touched for the first time costs a start a microsecond.
const READ: usize = 16 * 1024;
/// After so long without an answer that is told.
const SLOW: Duration = Duration::from_secs(5);

/// What netkitd answered to each of several calls.
pub(crate) type Answers<C> = Vec<Result<<C as Call>::Answer, Error>>;

/// A session with netkitd.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    lines: LineBuffer,
    last_id: u64,
    /// `params` of `events.event` that came while an answer was awaited.
    notifications: VecDeque<Box<RawValue>>,
    /// When an answer is no longer waited for.
    until: Option<Instant>,
    /// What ends waiting for an answer when it can be read.
    interrupt: Option<OwnedFd>,
    /// Whom netkitd asks itself before it answers.
    whom: Option<String>,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// Why there is no netkitd to talk to, with what to do about it.
    pub(crate) fn connect(path: &Path) -> Outcome<Client> {
        let stream = path.to_fs_name::<GenericFilePath>().and_then(Stream::connect);
        let stream = stream.map_err(|e| unreachable::explain(path, &e))?;
        Ok(Client {
            stream,
            lines: LineBuffer::new(limits::RPC_LINE),
            last_id: 0,
            notifications: VecDeque::new(),
            until: None,
            interrupt: None,
            whom: None,
        })
    }

    /// Answers are waited for until then, and until `interrupt` can be read. Without either a netkitd that does not
    /// answer is waited for as long as it takes.
    pub(crate) fn wait_until(&mut self, until: Option<Instant>, interrupt: Option<OwnedFd>) {
        (self.until, self.interrupt) = (until, interrupt);
    }

    /// What is asked from now on netkitd asks of somebody else, whom it waits for.
    pub(crate) fn waits_for(&mut self, whom: &str) {
        self.whom = Some(whom.to_owned());
    }

    /// Calls a method and waits for what it answers.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) fn call<C: Call>(&mut self, params: &C) -> Result<C::Answer, CallError> {
        read_answer::<C>(&self.call_raw(C::METHOD, params)?)
    }

    /// Calls a method by its name and gives its answer as it came.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) fn call_raw<P: Serialize>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<Box<RawValue>, CallError> {
        let id = self.next_id();
        let mut line = write_request(id, method, params)?;
        line.push('\n');
        self.write(&line)?;
        self.answer_to(id)
    }

    /// Makes two calls at once: netkitd starts the second when it has started the first, and no time passes on the way.
    /// Gives the answer to the first, which must be one that needs no waiting, if there is one; and that to the second.
    ///
    /// # Errors
    /// See [`CallError`]; both may have been carried out all the same.
    pub(crate) fn both<A: Call, B: Call>(
        &mut self,
        first: &A,
        second: &B,
    ) -> Result<(Option<A::Answer>, B::Answer), CallError> {
        let ids = [self.next_id(), self.next_id()];
        let lines = [
            write_request(ids[0], A::METHOD, first)?,
            write_request(ids[1], B::METHOD, second)?,
            String::new(),
        ];
        self.write(&lines.join("\n"))?;
        let refusal = match self.answer_to(ids[0]) {
            Ok(raw) => {
                let first = read_answer::<A>(&raw)?;
                return Ok((Some(first), read_answer::<B>(&self.answer_to(ids[1])?)?));
            }
            Err(CallError::Answer(refusal)) => refusal,
            Err(error) => return Err(error),
        };
        match self.answer_to(ids[1]) {
            Err(CallError::Lost(_)) => Err(CallError::Answer(refusal)), // of the session as a whole
            answer => Ok((None, read_answer::<B>(&answer?)?)),
        }
    }

    /// Waits for the answer to this call; those to others are dropped.
    fn answer_to(&mut self, id: u64) -> Result<Box<RawValue>, CallError> {
        loop {
            match self.read_message()? {
                Message::Answers(answers) => {
                    if let Some((_, answer)) =
                        answers.into_iter().find(|(of, _)| of.is_none_or(|of| of == id))
                    {
                        return answer.map_err(CallError::Answer);
                    }
                }
                Message::Notification(params) => self.notifications.push_back(params),
            }
        }
    }

    /// Sends many calls of one method as one batch and gives their answers in the same order.
    ///
    /// # Errors
    /// See [`CallError`]; the failures of single calls stand at their places.
    pub(crate) fn batch<C: Call>(&mut self, calls: &[C]) -> Result<Answers<C>, CallError> {
        let first = self.last_id + 1;
        let requests: Result<Vec<String>, CallError> =
            calls.iter().map(|call| write_request(self.next_id(), C::METHOD, call)).collect();
        self.write(&format!("[{}]\n", requests?.join(",")))?;
        let mut found: Vec<Option<Result<C::Answer, Error>>> = calls.iter().map(|_| None).collect();
        while found.iter().any(Option::is_none) {
            match self.read_message()? {
                Message::Notification(params) => self.notifications.push_back(params),
                Message::Answers(answers) => {
                    for (id, answer) in answers {
                        let Some(id) = id else {
                            // Without an id it answers the batch as a whole, and that can only be a failure.
                            return Err(answer.map_or_else(CallError::Answer, |_| unasked()));
                        };
                        let place = id.checked_sub(first).and_then(|i| usize::try_from(i).ok());
                        let place = place.and_then(|i| found.get_mut(i)).ok_or_else(unasked)?;
                        *place = Some(match answer {
                            Err(error) => Err(error),
                            Ok(raw) => Ok(serde_json::from_str(raw.get())
                                .map_err(|e| CallError::Protocol(format!("an answer that is none: {e}")))?),
                        });
                    }
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// The next notification that has arrived already, without waiting.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) fn arrived(&mut self) -> Result<Option<Box<RawValue>>, CallError> {
        loop {
            if let Some(params) = self.notifications.pop_front() {
                return Ok(Some(params));
            }
            match self.lines.next_line() {
                None => return Ok(None),
                Some(line) => {
                    if let Message::Notification(params) = understand(line)? {
                        self.notifications.push_back(params);
                    }
                }
            }
        }
    }

    /// Waits until the socket holds something; `false` where `deadline` came first, or what [`Client::wait_until`] names.
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<bool, CallError> {
        let ready = wait::readable(&self.inputs(), None, deadline).map_err(CallError::Lost)?;
        Ok(matches!(ready, Ready::Input(0)))
    }

    /// What is told where an answer takes long.
    fn slow(&self) -> String {
        match &self.whom {
            None => {
                "netkitd does not answer; still waiting (is it stopped? systemctl status netkitd)".to_owned()
            }
            Some(whom) => {
                format!("still waiting for {whom}; netkitctl status tells whether netkitd itself answers")
            }
        }
    }

    /// The socket, and what ends waiting for it.
    fn inputs(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.fd()).chain(self.interrupt.as_ref().map(AsFd::as_fd)).collect()
    }

    /// Takes in what the socket holds; waits where it holds nothing, as [`Client::wait_until`] says.
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub(crate) fn fill(&mut self) -> Result<(), CallError> {
        self.wait_for_answer().map_err(CallError::Lost)?;
        let mut chunk = [0; READ];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(CallError::Lost(io::Error::other("it closed the connection"))),
                Ok(n) => {
                    self.lines.push(&chunk[..n]);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(CallError::Lost(e)),
            }
        }
    }

    fn wait_for_answer(&self) -> io::Result<()> {
        let mut tell_at = Some(Instant::now() + SLOW);
        let inputs = self.inputs();
        loop {
            let deadline = [self.until, tell_at].into_iter().flatten().min();
            match wait::readable(&inputs, None, deadline)? {
                Ready::Input(0) => return Ok(()),
                Ready::Deadline if self.until.is_none_or(|until| until > Instant::now()) => {
                    say(&self.slow());
                    tell_at = None;
                }
                Ready::Deadline => return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
                Ready::Input(_) | Ready::OutputClosed => return Err(io::ErrorKind::Interrupted.into()),
            }
        }
    }

    /// For waiting on the session together with other things.
    #[must_use]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        let Stream::UdSocket(stream) = &self.stream;
        stream.inner().as_fd()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn write(&mut self, text: &str) -> Result<(), CallError> {
        let Err(lost) = self.stream.write_all(text.as_bytes()) else { return Ok(()) };
        // It may have said why before it hung up.
        let Ok(Message::Answers(answers)) = self.read_message() else { return Err(CallError::Lost(lost)) };
        let refusal = answers.into_iter().find_map(|(id, answer)| answer.err().filter(|_| id.is_none()));
        Err(refusal.map_or(CallError::Lost(lost), CallError::Answer))
    }

    fn read_message(&mut self) -> Result<Message, CallError> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return understand(line);
            }
            self.fill()?;
        }
    }
}

fn read_answer<C: Call>(answer: &RawValue) -> Result<C::Answer, CallError> {
    serde_json::from_str(answer.get())
        .map_err(|e| CallError::Protocol(format!("an answer to {} that is none: {e}", C::METHOD)))
}

fn unasked() -> CallError {
    CallError::Protocol("an answer to what was not asked".into())
}

fn write_request<P: Serialize>(id: u64, method: &str, params: &P) -> Result<String, CallError> {
    message::request(id, method, params)
        .map_err(|e| CallError::Protocol(format!("nothing, since {method} could not be written: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use netkit_proto::rpc::call::ChatSend;

    #[test]
    fn answers_to_a_batch_stand_at_their_places() {
        let fake = Fake::with(&[]);
        let mut client = Client::connect(&fake.socket()).unwrap();
        let send = |text: &str| ChatSend { to: "bob".into(), text: text.into(), key: None, expire: None };
        let answers = client.batch(&[send("a"), send("refuse me"), send("b")]).unwrap();
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        fake.state().die_at = Some("chat.send");
        assert!(matches!(client.batch(&[send("c")]), Err(CallError::Lost(_))));
    }
}
