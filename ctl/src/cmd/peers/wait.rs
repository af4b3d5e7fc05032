//! `netkitctl peers wait`: until peers are linked. Links are no events of the log, so netkitd is asked again and again, at
//! once where something about peers happens. A restart of netkitd is waited through.

use super::facts::why_not;
use crate::cmd::delivery;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::listener::Listener;
use crate::output::{Out, say};
use netkit_proto::limits::RPC_BATCH;
use netkit_proto::rpc::call::{Peer, PeersShow, Trust};
use netkit_proto::rpc::code::Kind;
use std::time::{Duration, Instant};

/// A longer wait is cut to this: ten years, short of what clocks can add.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Pauses between looks: the first short, since a peer that is there is linked within milliseconds.
#[derive(Debug)]
pub(super) struct Looks {
    pause: Duration,
    deadline: Option<Instant>,
}

impl Looks {
    /// Looks for so long at most.
    pub(super) fn within(time: Option<Duration>) -> Looks {
        let deadline = time.map(|time| Instant::now() + time.min(LONGEST));
        Looks { pause: Duration::from_millis(20), deadline }
    }

    /// Until when a look may take: a moment also where the time is over, so that there is always one.
    pub(super) fn answer_by(&self) -> Option<Instant> {
        let soonest = Instant::now() + Duration::from_secs(1);
        self.deadline.map(|deadline| deadline.max(soonest))
    }

    /// Waits until it is time for another look; `false` where there is none.
    ///
    /// # Errors
    /// Where the subscription can't go on.
    pub(super) fn next(&mut self, listener: &mut Listener) -> Outcome<bool> {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(false);
        }
        let until = now + self.pause;
        self.pause = (2 * self.pause).min(Duration::from_millis(500));
        listener.next(Some(self.deadline.map_or(until, |deadline| deadline.min(until))))?;
        Ok(true)
    }
}

/// A subscription to what happens to peers.
///
/// # Errors
/// As [`Listener::open`].
pub(super) fn listener(context: &Context) -> Outcome<Listener> {
    Listener::open(context.socket.clone(), delivery::topics(&["peer"]), None)
}

/// Waits for all of them.
pub(super) fn run(context: &Context, names: &[String], within: Option<Duration>, mut out: Out) -> Outcome {
    let mut listener = listener(context)?;
    let mut looks = Looks::within(within);
    let mut waiting: Vec<(&String, Option<Failure>)> = names.iter().map(|name| (name, None)).collect();
    loop {
        let mut left = Vec::new();
        for some in waiting.chunks(RPC_BATCH) {
            let calls: Vec<PeersShow> =
                some.iter().map(|(peer, _)| PeersShow { peer: (*peer).clone() }).collect();
            let Some(answers) = listener.ask(&calls, looks.answer_by())? else {
                return Err(Failure::new(Exit::Unreachable, "netkitd did not come back in time"));
            };
            for ((name, told), answer) in some.iter().zip(answers) {
                match answer {
                    Ok(peer) if peer.linked => {
                        if context.json {
                            out.object(&peer)?;
                        }
                    }
                    Ok(peer) => left.push((*name, Some(late(name, &peer)?))),
                    Err(error) if error.kind() == Kind::NotFound && within.is_some() => {
                        if told.is_none() {
                            say(&format!("no peer is called {name} yet; waiting for one"));
                        }
                        left.push((*name, Some(error.into())));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        out.flush()?;
        waiting = left;
        if waiting.is_empty() {
            return Ok(());
        }
        if !looks.next(&mut listener)? {
            return super::verdict(waiting.into_iter().filter_map(|(_, failure)| failure).collect());
        }
    }
}

/// What is said where it does not come in time.
fn late(name: &str, peer: &Peer) -> Outcome<Failure> {
    if peer.trust == Trust::Blocked {
        return Err(Failure::new(Exit::Refused, format!("{name} is blocked here"))
            .hint(format!("netkitctl peers trust {name}")));
    }
    let mut failure = Failure::new(Exit::Unfinished, format!("{name} is not linked: {}", why_not(peer)));
    if peer.trust == Trust::New {
        failure =
            failure.hint(format!("whoever is sent something is looked for; or netkitctl peers trust {name}"));
    }
    Ok(failure)
}
