//! Netkitd that are linked with each other, and what is asked of their control sockets meanwhile. Started by the rows
//! that measure links.

use crate::daemon::{Control, Daemon, count};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a link, or a message, may take before the row has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what announces itself in no other way.
const LOOK: Duration = Duration::from_millis(1);

/// Two netkitd, alice and bob, who know each other and are linked.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) alice: Daemon,
    pub(crate) bob: Daemon,
}

impl Pair {
    pub(crate) fn start() -> Result<Pair> {
        let (alice, bob) = (Daemon::named("alice")?, Daemon::named("bob")?);
        link(&alice, &bob)?;
        let id = id(&alice)?;
        bob.connect()?.call("peers.trust", &json!({ "peer": id }))?;
        Ok(Pair { alice, bob })
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.alice.stop()?;
        self.bob.stop()
    }
}

fn id(daemon: &Daemon) -> Result<String> {
    let list = daemon.connect()?.call("peers.list", &json!({}))?;
    Ok(list["me"]["id"].as_str().context("peers.list names no id")?.to_owned())
}

/// Has the first ask the second for a peer, and waits for the link.
pub(crate) fn link(one: &Daemon, other: &Daemon) -> Result<()> {
    let mut control = one.connect()?;
    let linked = linked(&mut control)? + 1;
    let host = other.connect()?.chat_address()?.to_string();
    control.call("peers.add", &json!({ "host": host }))?;
    until("the link is there", || Ok((self::linked(&mut control)? == linked).then_some(())))
}

/// How many links a netkitd has.
pub(crate) fn linked(control: &mut Control) -> Result<u64> {
    count(&control.status()?, "/peers/linked")
}

/// Waits until nothing waits for a peer's receipt.
pub(crate) fn until_delivered(control: &mut Control) -> Result<()> {
    until_queued(control, 0)
}

/// Waits until no more messages than these wait for a peer's receipt.
pub(crate) fn until_queued(control: &mut Control, most: usize) -> Result<()> {
    let is_so = |queued: u64| (queued <= most as u64).then_some(());
    until("receipts come", || Ok(is_so(count(&control.status()?, "/peers/queued")?)))
}

/// Looks until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not within {PATIENCE:?}: {what}");
        }
        std::thread::sleep(LOOK);
    }
}

/// Messages of so many bytes to a peer, many of them on one line: a session that commits as fast as netkitd does.
#[derive(Debug)]
pub(crate) struct Stream {
    control: Control,
    batch: Vec<u8>,
}

/// Messages on one line.
pub(crate) const BATCH: usize = 100;
/// Lines sent before the first one is answered.
const AHEAD: usize = 12;

impl Stream {
    pub(crate) fn new(from: &Daemon, to: &str, bytes: usize) -> Result<Stream> {
        let params = json!({"to": to, "text": "x".repeat(bytes)});
        let request = |id| json!({"jsonrpc": "2.0", "id": id, "method": "chat.send", "params": params});
        let mut batch = serde_json::to_vec(&(0..BATCH).map(request).collect::<Vec<Value>>())?;
        batch.push(b'\n');
        Ok(Stream { control: from.connect()?, batch })
    }

    /// Sends so many lines; when this returns, all of their messages are committed.
    pub(crate) fn send(&mut self, lines: usize) -> Result<()> {
        for sent in 0..lines + AHEAD {
            if sent < lines {
                self.control.write(&self.batch)?;
            }
            if (AHEAD..lines + AHEAD).contains(&sent) {
                let answer = self.control.line()?;
                let what = || answer.chars().take(300).collect::<String>();
                ensure!(!answer.contains("\"error\""), "netkitd refused: {}", what());
            }
        }
        Ok(())
    }
}
