//! When which payload is sent without anybody typing it: once or every interval, or as a record has it. Called by
//! `run`, which says what time it is.

use super::payload::Payload;
use super::replay::{Reader, Recorded};
use crate::exit::Outcome;
use std::time::{Duration, Instant};

/// What is sent by itself.
pub(super) enum Schedule {
    /// The same, again and again.
    Repeat { payload: Payload, interval: Duration, left: Option<u64>, next: Instant },
    /// A record, so many times as fast; at once where that is nothing.
    Replay { reader: Box<Reader>, next: Option<Recorded>, speed: f64, start: Option<(Instant, Duration)> },
}

impl Schedule {
    /// Begins with the first of a record.
    ///
    /// # Errors
    /// See [`Reader::next`].
    pub(super) fn replay(mut reader: Reader, speed: f64) -> Outcome<Schedule> {
        let next = reader.next()?;
        Ok(Schedule::Replay { reader: Box::new(reader), next, speed, start: None })
    }

    /// When the next one is due, seen from `now`; nothing where all are sent.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        match self {
            Schedule::Repeat { left: Some(0), .. } => None,
            Schedule::Repeat { next, .. } => Some(*next),
            Schedule::Replay { next, speed, start, .. } => {
                let recorded = next.as_ref()?;
                // Before the first one: now, as soon as somebody is there.
                let Some((began, first)) = start else { return Some(now) };
                let since = recorded.at.saturating_sub(*first);
                let since = if *speed > 0.0 { since.as_secs_f64() / speed } else { 0.0 };
                let since = Duration::try_from_secs_f64(since).unwrap_or(Duration::MAX);
                began.checked_add(since)
            }
        }
    }

    /// What is due, and the next one after it. Times that were missed are not caught up with in a burst.
    ///
    /// # Errors
    /// See [`Reader::next`].
    pub(super) fn take(&mut self, now: Instant) -> Outcome<Option<Payload>> {
        match self {
            Schedule::Repeat { payload, interval, left, next } => {
                if let Some(left) = left {
                    *left = left.saturating_sub(1);
                }
                let regular = later(*next, *interval);
                *next = if regular < now { later(now, *interval) } else { regular };
                Ok(Some(Payload::clone(payload)))
            }
            Schedule::Replay { reader, next, start, .. } => {
                let Some(recorded) = next.take() else { return Ok(None) };
                start.get_or_insert((now, recorded.at));
                *next = reader.next()?;
                Ok(Some(recorded.bytes.into()))
            }
        }
    }
}

/// Also after intervals that no clock counts to.
fn later(at: Instant, interval: Duration) -> Instant {
    at.checked_add(interval).or_else(|| at.checked_add(Duration::from_secs(u32::MAX.into()))).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_keep_their_interval_and_count() {
        let start = Instant::now();
        let interval = Duration::from_secs(1);
        let payload: Payload = b"x"[..].into();
        let mut repeat = Schedule::Repeat { payload, interval, left: Some(3), next: start };
        assert_eq!(repeat.due(start), Some(start));
        repeat.take(start + interval / 2).unwrap();
        assert_eq!(repeat.due(start), Some(start + interval), "a little late is no reason to drift");
        repeat.take(start + interval * 5).unwrap();
        assert_eq!(repeat.due(start), Some(start + interval * 6), "what was missed is not made up for");
        repeat.take(start + interval * 6).unwrap();
        assert_eq!(repeat.due(start), None);
    }

    #[test]
    fn a_record_is_paced_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let line = |at: &str, hex: &str| format!("{{\"at\":\"{at}\",\"kind\":\"sent\",\"hex\":\"{hex}\"}}\n");
        std::fs::write(&path, line("2026-11-23T08:00:00Z", "01") + &line("2026-11-23T08:00:10Z", "02"))
            .unwrap();
        for (speed, seconds) in [(1.0, 10), (2.0, 5), (0.0, 0)] {
            let reader = Reader::open(&path, super::super::replay::Pick::Sent).unwrap();
            let mut replay = Schedule::replay(reader, speed).unwrap();
            let start = Instant::now();
            assert_eq!(replay.take(start).unwrap().unwrap()[..], [1]);
            assert_eq!(replay.due(start), Some(start + Duration::from_secs(seconds)));
            assert_eq!(replay.take(start).unwrap().unwrap()[..], [2]);
            assert_eq!(replay.due(start), None);
        }
    }
}
