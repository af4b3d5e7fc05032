//! `netkitctl send DEST [TEXT|-]`: commits messages, and with `--wait` sees them off. Where the text comes from is
//! in `input` and `lines`.

mod input;
mod lines;

use super::delivery::{self, Pending};
use crate::address::is_plain;
use crate::client::Client;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome, common};
use crate::listener::Listener;
use crate::output::{Out, say, say_hint};
use crate::time::parse_duration;
use crate::wait::Signals;
use input::{BadLine, Source};
use lines::Lines;
use netkit_proto::ids::Seq;
use netkit_proto::name::Key;
use netkit_proto::rpc::call::{ChatSend, EventsSubscribe, Peer, PeersShow, Sent, Subscribed};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A longer wait is cut to this: ten years, short of what clocks can add.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Send a message; exit 0 means that netkitd has it on disk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl send bob 'backup done'
  netkitctl send @ops 'going down'                      to all in a room; @all: to all peers
  df -h | netkitctl send bob                            all of it as one message
  tail -f app.log | netkitctl send -l bob~k7q2xm
  netkitctl send --wait=10 bob hi || echo 'not there yet: it stays queued'
  netkitctl send udp://10.0.0.9:7890 hi                 a peer without netkit

--wait ends with 0 when every recipient has the message on its disk, with 6 when one does not have
it in time or it expired, with 5 when one refused it. Nobody of that name, or nobody in the room: 4.")]
pub(crate) struct Args {
    /// Where to: NAME, NAME~ID, @room, @all or udp://HOST:PORT
    dest: String,
    /// The message; - or nothing takes it from stdin
    text: Option<String>,
    /// Send each line of stdin as a message of its own
    #[arg(short, long)]
    lines: bool,
    /// Wait until it is delivered (to a plain peer: sent), 60 s or this long
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, default_missing_value = "60",
          value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Give it up if it can't be delivered (to a plain peer: sent) within this time [default: 7d]
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    expire: Option<Duration>,
    /// Send only once however often this is repeated; with -l, line N has the key KEY:N
    #[arg(long, value_name = "KEY")]
    key: Option<Key>,
}

struct Settings {
    dest: String,
    source: Source,
    wait: Option<Duration>,
    /// In seconds.
    expire: Option<u64>,
    key: Option<Key>,
}

fn resolve(args: Args, stdin_is_terminal: bool) -> Outcome<Settings> {
    let source = input::source(args.text, args.lines, stdin_is_terminal)?;
    // Rounded up: a message must not be given up before its time.
    let expire = args.expire.map(|time| time.as_secs() + u64::from(time.subsec_nanos() > 0));
    Ok(Settings { dest: args.dest, source, wait: args.wait, expire, key: args.key })
}

/// Sends.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let settings = resolve(args, std::io::stdin().is_terminal())?;
    // Before netkitd is asked for: that there is nothing to send is so with and without it.
    let text = match &settings.source {
        Source::Text(text) => Some(text.clone()),
        Source::Stdin => Some(input::read_all(std::io::stdin().lock())?),
        Source::Lines => None,
    };
    let mut sending = Sending {
        client: context.connect()?,
        out: Out::stdout(),
        json: context.json,
        committed: Pending::of(&settings.dest),
        first: None,
        subscribed: None,
        failures: Vec::new(),
        settings: &settings,
    };
    match text {
        Some(text) => sending.one(text)?,
        None => sending.lines(Lines::new(std::io::stdin().lock()))?,
    }
    sending.end(context)
}

struct Sending<'a> {
    client: Client,
    out: Out,
    json: bool,
    /// To be waited for.
    committed: Pending,
    /// The first of them.
    first: Option<Seq>,
    /// To what becomes of them, from before the first was there.
    subscribed: Option<Subscribed>,
    /// Of lines, each told already.
    failures: Vec<Exit>,
    settings: &'a Settings,
}

impl Sending<'_> {
    fn request(&self, text: String, key: Option<Key>) -> ChatSend {
        ChatSend { to: self.settings.dest.clone(), text, key, expire: self.settings.expire }
    }

    fn one(&mut self, text: String) -> Outcome {
        let request = self.request(text, self.settings.key.clone());
        let sent = if self.settings.wait.is_some() {
            let filter = delivery::topics(&delivery::TOPICS);
            let subscribe = EventsSubscribe { epoch: None, since: None, filter };
            let (subscribed, sent) = self.client.both(&subscribe, &request)?;
            // What was sent before has its events further back.
            self.subscribed = subscribed.filter(|subscribed| subscribed.head < sent.id);
            sent
        } else {
            self.client.call(&request)?
        };
        self.done(&sent)?;
        self.out.flush()
    }

    /// Sends what has arrived as one batch, waits until it is committed, takes what arrived meanwhile: a lone line
    /// goes out at once, a stream goes in full batches.
    fn lines(&mut self, mut lines: Lines<impl std::io::Read>) -> Outcome {
        while let Some(batch) = lines.next_batch()? {
            let mut numbers = Vec::with_capacity(batch.len());
            let mut requests = Vec::with_capacity(batch.len());
            for (number, line) in batch {
                match line.and_then(|text| Ok((text, self.line_key(number)?))) {
                    Err(BadLine(why)) => self.failed(number, &Failure::new(Exit::Failed, why)),
                    Ok((text, key)) => {
                        numbers.push(number);
                        requests.push(self.request(text, key));
                    }
                }
            }
            if requests.is_empty() {
                continue;
            }
            let answers = self.client.batch(&requests).map_err(|e| {
                let first = numbers.first().copied().unwrap_or_default();
                let failure = Failure::from(e);
                let message = format!("from line {first} on: {}", failure.message);
                Failure { message, ..failure }
            })?;
            for (number, answer) in numbers.into_iter().zip(answers) {
                match answer {
                    Ok(sent) => self.done(&sent)?,
                    Err(error) => self.failed(number, &error.into()),
                }
            }
            self.out.flush()?;
        }
        Ok(())
    }

    fn line_key(&self, number: u64) -> Result<Option<Key>, BadLine> {
        let key = self.settings.key.as_ref().map(|key| format!("{key}:{number}").parse()).transpose();
        key.map_err(|e: netkit_proto::name::NameError| BadLine(e.to_string()))
    }

    fn done(&mut self, sent: &Sent) -> Outcome {
        if self.settings.wait.is_some() {
            self.committed.add(sent.id, &sent.to);
            self.first = self.first.into_iter().chain([sent.id]).min();
        }
        if self.json { self.out.object(sent) } else { Ok(()) }
    }

    fn failed(&mut self, number: u64, failure: &Failure) {
        say(&format!("line {number}: {}", failure.message));
        if let Some(hint) = &failure.hint {
            say_hint(hint);
        }
        self.failures.push(failure.exit);
    }

    /// Waits as it was asked to, and gives one verdict over everything: lines that were not taken, and messages that
    /// did not get away.
    fn end(mut self, context: &Context) -> Outcome {
        let mut failures = std::mem::take(&mut self.failures);
        let waited = match self.settings.wait {
            Some(time) => self.see_off(context, Instant::now() + time.min(LONGEST_WAIT)),
            None => Ok(()),
        };
        failures.extend(waited.as_ref().err().map(|failure| failure.exit));
        match common(failures) {
            None => Ok(()),
            Some(exit) => {
                Err(waited.err().map_or(Failure::silent(exit), |failure| Failure { exit, ..failure }))
            }
        }
    }

    /// Waits until everybody has the messages.
    fn see_off(mut self, context: &Context, deadline: Instant) -> Outcome {
        let Some(first) = self.first else { return Ok(()) };
        let socket = context.socket.clone();
        let mut listener = if let Some(subscribed) = &self.subscribed {
            Listener::subscribed(self.client, socket, delivery::topics(&delivery::TOPICS), subscribed)
        } else {
            // What happened to them since they were committed is in the log, of one that was sent before, too. netkitd may
            // have been started again since.
            let filter = delivery::topics(&[&delivery::TOPICS[..], &["message.queued"]].concat());
            Listener::open(socket, filter, Some(first.prev()))?
        };
        let signals = Signals::catch()?;
        listener.ends_by(signals.fd_to_keep()?);
        let waited = self.committed.wait(&mut listener, deadline);
        if let Some(exit) = signals.caught() {
            return Err(self.committed.left(exit));
        }
        waited.map_err(|failure| explain(context, &self.settings.dest, failure))
    }
}

/// Where a peer can't be reached, why is known.
fn explain(context: &Context, dest: &str, failure: Failure) -> Failure {
    if failure.message.is_empty() || is_plain(dest) || dest.starts_with('@') {
        return failure;
    }
    let peer = context.connect().ok().and_then(|mut client| {
        let show = PeersShow { peer: dest.to_owned() };
        client.call(&show).ok()
    });
    match peer {
        Some(Peer { linked: false, trouble: Some(trouble), .. }) => {
            Failure { message: format!("{}: {trouble}", failure.message), ..failure }
        }
        Some(Peer { linked: false, .. }) => {
            Failure { message: format!("{}: it is not linked", failure.message), ..failure }
        }
        Some(Peer { silent: true, .. }) => {
            Failure { message: format!("{}: it is linked, but does not answer", failure.message), ..failure }
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
