//! Which lines of a conversation have not arrived yet. One that arrives soon is no news; one that does not is told once,
//! and then, too, when it has. Takes the time as an argument and says nothing itself; used by `terminal`.

use netkit_proto::ids::Seq;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A line that is not there after so long is told.
const SOON: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Marks {
    waiting: BTreeMap<Seq, Mark>,
}

#[derive(Debug)]
struct Mark {
    /// How many have not got it.
    left: usize,
    /// When to tell; `None` once it was told.
    due: Option<Instant>,
}

impl Marks {
    /// A line was said to so many.
    pub(super) fn queued(&mut self, now: Instant, message: Seq, to: usize) {
        self.waiting.insert(message, Mark { left: to.max(1), due: Some(now + SOON) });
    }

    /// When there may be something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.values().filter_map(|mark| mark.due).min()
    }

    /// What is to be told now.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Seq> {
        let late = self.waiting.iter_mut().filter(|(_, mark)| mark.due.is_some_and(|due| due <= now));
        let told = |(message, mark): (&Seq, &mut Mark)| {
            mark.due = None;
            *message
        };
        late.map(told).collect()
    }

    /// One has a line, or never will. `Some` where the line belongs to the conversation: whether it was told to be late.
    pub(super) fn ended(&mut self, message: Seq) -> Option<bool> {
        let mark = self.waiting.get_mut(&message)?;
        mark.left -= 1;
        let was_told = mark.due.is_none();
        if mark.left == 0 {
            self.waiting.remove(&message);
        }
        Some(was_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_late_is_told_and_once() {
        let start = Instant::now();
        let mut marks = Marks::default();
        assert_eq!((marks.due(), marks.ended(Seq(1))), (None, None));
        marks.queued(start, Seq(1), 0);
        marks.queued(start, Seq(2), 2);
        assert_eq!(marks.ended(Seq(1)), Some(false), "it arrived soon");
        assert_eq!(marks.due(), Some(start + SOON));
        assert_eq!(marks.overdue(start), []);
        assert_eq!(marks.overdue(start + SOON), [Seq(2)]);
        assert_eq!((marks.due(), marks.overdue(start + 2 * SOON)), (None, vec![]));
        assert_eq!((marks.ended(Seq(2)), marks.ended(Seq(2))), (Some(true), Some(true)));
        assert_eq!(marks.ended(Seq(2)), None);
    }
}
