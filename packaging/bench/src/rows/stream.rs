//! Row `stream`: messages a second on one link, each committed by the sender, said, committed by the receiver and
//! acknowledged; beside mosquitto, whose QoS 1 acknowledges what it has in memory.

use super::{Plan, mosquitto};
use crate::linked::{BATCH, Pair, Stream, until_delivered, until_queued};
use crate::measure::{Subject, interleave};
use crate::report::Line;
use anyhow::{Result, ensure};
use std::time::Instant;

pub(crate) const ROW: &str = "stream";
/// Bytes of a text.
pub(crate) const TEXT: usize = 100;
/// What is asked of a link, in messages a second.
const ASKED: f64 = 50_000.0;
/// Messages that wait for receipts when more are sent: with those an outbox, which takes 20,000, is never full.
const WAITING: usize = 8000;
/// Messages sent at once.
const PIECE: usize = 10_000;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let pair = Pair::start()?;
    let messages = if plan.quick { 10_000 } else { 200_000 };
    let broker = mosquitto::start()?;
    let mut stream = Stream::new(&pair.alice, "bob", TEXT)?;
    let mut control = pair.alice.connect()?;
    let mut netkitd = || -> Result<[f64; 1]> {
        let start = Instant::now();
        for _ in 0..messages / PIECE {
            until_queued(&mut control, WAITING)?;
            stream.send(PIECE / BATCH)?;
        }
        until_delivered(&mut control)?;
        Ok([messages as f64 / start.elapsed().as_secs_f64()])
    };
    netkitd()?; // warms up
    let mut subjects = vec![Subject::new("netkitd", netkitd)];
    if let Some(broker) = &broker {
        subjects.push(Subject::new("mosquitto QoS 1", || broker.round(messages)));
    }
    let values = interleave(plan.rounds(1, 9), &mut subjects)?;
    drop(subjects);
    let received = pair.bob.connect()?.status()?;
    let stored = crate::daemon::count(&received, "/chat/received")?;
    ensure!(stored % messages as u64 == 0, "{stored} messages are stored of rounds of {messages}");
    pair.stop()?;
    let [netkitd] = &values[0];
    let mut lines = vec![
        Line::new(ROW, "netkitd", "messages", "1/s", netkitd)
            .at_least(ASKED)
            .note(format!("{TEXT} bytes each, on both disks, {messages} a round")),
    ];
    match values.get(1) {
        Some([rate]) => {
            lines.push(Line::new(ROW, "mosquitto QoS 1", "messages", "1/s", rate).note("in memory"));
            lines.push(Line::ratio(ROW, "messages", ("netkitd", netkitd), ("mosquitto QoS 1", rate)));
        }
        None => lines.push(Line::not_installed(ROW, "mosquitto")),
    }
    Ok(lines)
}
