//! Row `recovery`: how soon messages are delivered again after one of two netkitd went away under traffic and came back,
//! from the start of its process to the first receipt. Its own start is a part of that, and told apart.

use super::Plan;
use crate::daemon::Daemon;
use crate::linked::{Pair, Stream, until_delivered};
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::json;
use std::cell::RefCell;
use std::time::Instant;

pub(crate) const ROW: &str = "recovery";
/// What it may take after the start, in milliseconds.
const LIMIT: f64 = 1000.0;
/// Lines of a hundred messages that are on their way when netkitd ends.
const LINES: usize = 20;
/// One of two.
type Who = fn(&mut Pair) -> &mut Daemon;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let pair = Pair::start()?;
    for daemon in [&pair.alice, &pair.bob] {
        daemon.keep_port()?;
    }
    let pair = RefCell::new(pair);
    let round = |who: Who, by| round(&mut pair.borrow_mut(), who, by);
    let (sender, receiver): (Who, Who) = (|pair| &mut pair.alice, |pair| &mut pair.bob);
    let mut subjects = [
        Subject::new("receiver restarted", || round(receiver, Signal::TERM)),
        Subject::new("receiver killed", || round(receiver, Signal::KILL)),
        Subject::new("sender restarted", || round(sender, Signal::TERM)),
        Subject::new("sender killed", || round(sender, Signal::KILL)),
    ];
    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    let values = interleave(plan.rounds(2, 15), &mut subjects)?;
    drop(subjects);
    pair.into_inner().stop()?;
    let mut lines = Vec::new();
    for (name, [start, receipt]) in names.iter().zip(&values) {
        lines.push(Line::new(ROW, *name, "start to ready", "ms", start));
        lines.push(Line::new(ROW, *name, "ready to receipt", "ms", receipt).never_above(LIMIT));
    }
    Ok(lines)
}

/// Milliseconds until netkitd was ready again, and from then on until a receipt came.
fn round(pair: &mut Pair, who: Who, by: Signal) -> Result<[f64; 2]> {
    Stream::new(&pair.alice, "bob", 100)?.send(LINES)?;
    let daemon = who(pair);
    daemon.end(by)?;
    let start = Instant::now();
    daemon.start_again()?;
    let ready = Instant::now();
    let mut events = pair.alice.connect()?;
    events.call("events.subscribe", &json!({"filter": {"topics": ["message.delivered"]}}))?;
    // Traffic goes on.
    let mut control = pair.alice.connect()?;
    control.call("chat.send", &json!({"to": "bob", "text": "are you back?"}))?;
    events.line().context("no receipt")?;
    let receipt = ready.elapsed();
    until_delivered(&mut control)?;
    Ok([(ready - start).as_secs_f64() * 1e3, receipt.as_secs_f64() * 1e3])
}
