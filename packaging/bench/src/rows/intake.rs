//! Row `intake`: how many short datagrams are kept of those offered, at a pace and as a flood: by netkitd in its log
//! on disk, and by a receiver as a tutorial would write it, which keeps nothing.

use super::Plan;
use super::receivers::{Netkitd, Receiver, Tutorial};
use super::sender::{DATAGRAM, Pace, Sender};
use crate::measure::{Subject, interleave};
use crate::process::in_path;
use crate::report::Line;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

pub(crate) const ROW: &str = "intake";
/// Datagrams a second of the paced half.
const RATE: u32 = 60_000;
/// How long a count stands still before it is taken as final: longer than a commit with its sync.
const STILL: Duration = Duration::from_millis(700);
/// How long what waits may take to be stored.
const DRAIN: Duration = Duration::from_secs(30);
/// Between two looks at a count; often enough, and rare enough not to slow the receiver.
const LOOK: Duration = Duration::from_millis(20);

/// What one round counts. `uncounted` is what was lost without a drop counted by the receiver: the kernel can also
/// drop before the socket, where no receiver learns of it.
const MEASURES: [(&str, &str); 5] = [
    ("sent", "datagrams"),
    ("stored", "lines"),
    ("lost", "%"),
    ("counted drops", "datagrams"),
    ("uncounted", "datagrams"),
];
/// The place of `stored` in [`MEASURES`].
const STORED: usize = 1;
/// Measures that every receiver has; the others need one that counts its drops.
const COMMON: usize = 3;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let python = in_path("python3");
    let time = plan.millis(1000, 3000);
    let mut lines = Vec::new();
    let halves = [
        (Pace::PerSecond(RATE), ["netkitd paced", "python paced"]),
        (Pace::Flood, ["netkitd flood", "python flood"]),
    ];
    for (pace, names) in halves {
        let mut subjects = vec![Subject::new(names[0], || round(Box::new(Netkitd::start()?), pace, time))];
        if let Some(python) = &python {
            subjects.push(Subject::new(names[1], || round(Box::new(Tutorial::start(python)?), pace, time)));
        }
        let values = interleave(plan.rounds(1, 5), &mut subjects)?;
        for (index, (name, values)) in names.iter().zip(&values).enumerate() {
            let shown = if index == 0 { MEASURES.len() } else { COMMON };
            for ((measure, unit), values) in MEASURES.into_iter().zip(values).take(shown) {
                lines.push(Line::new(ROW, *name, measure, unit, values));
            }
        }
        if let [netkitd, python] = values.as_slice() {
            let (netkitd, python) = ((names[0], &*netkitd[STORED]), (names[1], &*python[STORED]));
            // Sender and receiver share the cores, so a flood is smaller before a receiver that works harder.
            let note = matches!(pace, Pace::Flood).then_some("each of its own flood, see `sent`");
            lines.push(Line::ratio(ROW, "stored", netkitd, python).note(note.unwrap_or_default()));
        }
    }
    let first = lines.remove(0);
    lines.insert(0, first.note(format!("{DATAGRAM} bytes each, a round {time:?}")));
    if python.is_none() {
        lines.push(Line::not_installed(ROW, "python3"));
    }
    Ok(lines)
}

fn round(mut receiver: Box<dyn Receiver>, pace: Pace, time: Duration) -> Result<[f64; MEASURES.len()]> {
    let sender = Sender::new(receiver.address()?)?;
    let before = receiver.stored()?;
    let mut sent = sender.offer(pace, time)?;
    settle(receiver.as_mut())?;
    // The kernel tells a receiver of its drops with the next datagram that fits.
    sender.send()?;
    sent += 1;
    let after = settle(receiver.as_mut())?;
    let dropped = receiver.dropped()?;
    receiver.stop()?;
    ensure!(
        after >= before && after - before <= sent,
        "lost count: {sent} sent, {before} before, {after} after"
    );
    let stored = after - before;
    let lost = sent - stored;
    let percent = lost as f64 * 100.0 / sent as f64;
    Ok([sent as f64, stored as f64, percent, dropped as f64, lost as f64 - dropped as f64])
}

/// The count once it stands still.
fn settle(receiver: &mut dyn Receiver) -> Result<u64> {
    let deadline = Instant::now() + DRAIN;
    let mut stored = receiver.stored()?;
    let mut risen = Instant::now();
    while risen.elapsed() < STILL {
        ensure!(Instant::now() < deadline, "lost count: it still rises after {DRAIN:?}, at {stored}");
        std::thread::sleep(LOOK);
        let now = receiver.stored()?;
        if now != stored {
            (stored, risen) = (now, Instant::now());
        }
    }
    Ok(stored)
}
