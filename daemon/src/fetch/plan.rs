//! Which bytes are still to be asked for, and who asks for which: connections take runs of bytes, and one that has
//! nothing left takes over the end of the run that would last longest, as much of it as it is faster, once its source
//! agreed to send that: until then whoever works on the run goes on with all of it. What a far slower one would still
//! need long for is taken over whole, and so is that for which nothing comes. A block that was wrong comes from one source from its first byte to its last, however
//! often it changes hands: so it is known whose it is. Does no input or output; speeds and times are told.

use super::sources::SourceId;
use crate::limits;
use netkit_proto::files::manifest::BLOCK;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// Names a run that a connection works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunId(u64);

/// What a connection may ask its source for.
#[derive(Debug)]
pub(super) struct Offer {
    /// The bytes.
    pub range: Range<u64>,
    /// Who had them, and needed too long.
    pub relieves: Option<SourceId>,
    by: SourceId,
    run: Offered,
}

#[derive(Debug)]
enum Offered {
    /// Nobody else works on them.
    Own(RunId),
    /// They are the end of what somebody works on.
    EndOf(RunId),
}

#[derive(Debug)]
struct Run {
    /// Who gives it.
    by: SourceId,
    /// What is left.
    range: Range<u64>,
    /// Since when somebody asks for its end.
    offered: Option<Instant>,
    /// Bytes a second that come for it; 0: not known yet.
    rate: f64,
    /// Since when its source is waited for; `None` while it is not the source that holds it up.
    waiting: Option<Instant>,
    /// How long it may bring nothing before somebody takes it over.
    patience: Duration,
    /// Where it begins again with whoever gets it next, if it is a block that one source is to give alone.
    alone: Option<u64>,
}

impl Run {
    /// What others get of it when nobody works on it any more.
    fn rest(self) -> Range<u64> {
        self.alone.unwrap_or(self.range.start)..self.range.end
    }

    fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// How long nothing has come for it.
    fn silence(&self, now: Instant) -> Duration {
        self.waiting.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Seconds that it would take: the longer nothing comes, the more.
    fn lasts(&self, now: Instant) -> f64 {
        let moving = if self.rate > 0.0 { self.left() as f64 / self.rate } else { 0.0 };
        moving + self.silence(now).as_secs_f64()
    }

    /// Whether somebody asks for its end, and may be answered yet.
    fn is_offered(&self, now: Instant) -> bool {
        self.offered.is_some_and(|since| now.saturating_duration_since(since) < limits::FETCH_SILENT)
    }

    /// What somebody who is so fast takes over of it, if anything.
    fn share(&self, rate: f64, now: Instant) -> Option<Share> {
        if self.silence(now) >= self.patience {
            return Some(Share::All);
        }
        let left = self.left();
        let (theirs, ours) = match (self.rate > 0.0, rate > 0.0) {
            (true, true) => (self.rate, rate),
            _ => (1.0, 1.0),
        };
        let is_urgent = self.lasts(now) >= limits::FETCH_URGENT.as_secs_f64();
        if left < 2 * limits::FETCH_SHARED && !is_urgent {
            return None;
        }
        let kept = (left as f64 * theirs / (theirs + ours)) as u64;
        let middle = (self.range.start + kept).next_multiple_of(BLOCK);
        if middle < self.range.end {
            return Some(Share::From(middle));
        }
        (is_urgent && ours >= limits::FETCH_FAR_FASTER * theirs).then_some(Share::All)
    }
}

/// See [`Run::share`].
enum Share {
    /// What begins here.
    From(u64),
    /// All that is left.
    All,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    /// Nobody works on these.
    free: VecDeque<Range<u64>>,
    /// Nor on these, each of which one source is to give alone.
    alone: VecDeque<Range<u64>>,
    /// Somebody works on these.
    runs: BTreeMap<RunId, Run>,
    last: u64,
    /// The end is not known: the file ends where its bytes do.
    open_ended: bool,
}

/// What a run still wants of bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Where they belong.
    pub offset: u64,
    /// How many of them, from the first on.
    pub wanted: usize,
    /// The run has all its bytes.
    pub finished: bool,
}

impl Plan {
    /// Of a file of which these bytes are missing, in rising order.
    pub(super) fn new(missing: impl IntoIterator<Item = Range<u64>>) -> Plan {
        let free = missing.into_iter().filter(|range| !range.is_empty()).collect();
        Plan { free, alone: VecDeque::new(), runs: BTreeMap::new(), last: 0, open_ended: false }
    }

    /// Of a file whose size is not known.
    pub(super) fn open_ended() -> Plan {
        Plan { open_ended: true, ..Plan::new(std::iter::once(0..u64::MAX)) }
    }

    /// A run of bytes that nobody works on, for this source.
    pub(super) fn next_free(&mut self, by: SourceId) -> Option<(RunId, Range<u64>)> {
        if let Some(range) = self.free.pop_front() {
            return Some((self.begin(by, range.clone(), false), range));
        }
        let range = self.alone.pop_front()?;
        Some((self.begin(by, range.clone(), true), range))
    }

    fn begin(&mut self, by: SourceId, range: Range<u64>, alone: bool) -> RunId {
        self.last += 1;
        let alone = alone.then_some(range.start);
        let (rate, patience) = (0.0, limits::FETCH_SILENT);
        self.runs
            .insert(RunId(self.last), Run { by, range, offered: None, rate, waiting: None, patience, alone });
        RunId(self.last)
    }

    /// What a connection to this source that has nothing to do, and was so fast before, may ask for; `None` where there is not enough
    /// left to share. To be accepted or declined.
    pub(super) fn offer(&mut self, by: SourceId, rate: f64, now: Instant) -> Option<Offer> {
        if let Some((run, range)) = self.next_free(by) {
            self.waits(run, Some(now));
            return Some(Offer { range, relieves: None, by, run: Offered::Own(run) });
        }
        if self.open_ended {
            return None;
        }
        let whole = self.runs.iter().filter(|(_, run)| !run.is_offered(now));
        let shares =
            whole.filter_map(|(id, run)| Some((*id, run.share(rate, now)?, run.lasts(now), run.left())));
        let longest = shares.max_by(|one, other| one.2.total_cmp(&other.2).then(one.3.cmp(&other.3)));
        match longest? {
            (id, Share::From(middle), ..) => {
                let run = self.runs.get_mut(&id)?;
                run.offered = Some(now);
                let range = middle..run.range.end;
                Some(Offer { range, relieves: None, by, run: Offered::EndOf(id) })
            }
            (id, Share::All, ..) => self.take_over(id, by, now),
        }
    }

    /// All of a run is somebody else's now.
    fn take_over(&mut self, id: RunId, by: SourceId, now: Instant) -> Option<Offer> {
        let run = self.runs.remove(&id)?;
        // Else those that all need longer would take it from each other for ever.
        let patience = run.patience * 2;
        let alone = run.alone.is_some();
        let relieves = Some(run.by).filter(|&before| before != by);
        let range = run.rest();
        let id = self.begin(by, range.clone(), alone);
        self.runs.get_mut(&id)?.patience = patience;
        self.waits(id, Some(now));
        Some(Offer { range, relieves, by, run: Offered::Own(id) })
    }

    /// Since when the source of a run is waited for; `None`: it is not any more.
    pub(super) fn waits(&mut self, run: RunId, since: Option<Instant>) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.waiting = since;
        }
    }

    /// So many bytes a second come for a run.
    pub(super) fn is_so_fast(&mut self, run: RunId, rate: f64) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.rate = rate;
        }
    }

    /// The source sends what was offered; `None` where it is too late: another connection has come as far, or took it.
    pub(super) fn accept(&mut self, offer: Offer) -> Option<RunId> {
        match offer.run {
            Offered::Own(id) => {
                self.runs.get_mut(&id)?.waiting = None;
                Some(id)
            }
            Offered::EndOf(id) => {
                let run = self.runs.get_mut(&id)?;
                run.offered = None;
                let end = run.range.end;
                if !(run.range.start + 1..end).contains(&offer.range.start) {
                    return None;
                }
                run.range.end = offer.range.start;
                Some(self.begin(offer.by, offer.range.start..end, false))
            }
        }
    }

    /// The source does not send what was offered.
    pub(super) fn decline(&mut self, offer: Offer) {
        match offer.run {
            Offered::Own(run) => self.give_back(run),
            Offered::EndOf(id) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.offered = None;
                }
            }
        }
    }

    /// The byte that a run comes to next.
    pub(super) fn position(&self, run: RunId) -> Option<u64> {
        self.runs.get(&run).map(|run| run.range.start)
    }

    /// Whether all of a run is to come in one answer.
    pub(super) fn is_alone(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.alone.is_some())
    }

    /// Bytes came for a run.
    pub(super) fn take(&mut self, run: RunId, len: usize) -> Taken {
        let Some(Run { range, .. }) = self.runs.get_mut(&run) else {
            return Taken { offset: 0, wanted: 0, finished: true };
        };
        let offset = range.start;
        let wanted = (range.end - range.start).min(len as u64);
        range.start += wanted;
        let finished = range.is_empty();
        if finished {
            self.runs.remove(&run);
        }
        Taken { offset, wanted: usize::try_from(wanted).unwrap_or(len), finished }
    }

    /// The bytes of a run ended; whether that is the end of a file whose size was not known.
    pub(super) fn end(&mut self, run: RunId) -> bool {
        self.open_ended && self.runs.remove(&run).is_some()
    }

    /// Nobody works on a run any more: others may.
    pub(super) fn give_back(&mut self, run: RunId) {
        let Some(run) = self.runs.remove(&run) else { return };
        let queue = if run.alone.is_some() { &mut self.alone } else { &mut self.free };
        queue.push_back(run.rest());
    }

    /// A block that came is fetched again, from one source.
    pub(super) fn refetch(&mut self, block: Range<u64>) {
        self.alone.push_back(block);
    }

    /// Whether everything came.
    pub(super) fn is_done(&self) -> bool {
        self.free.is_empty() && self.alone.is_empty() && self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests;
