//! Which bytes are still to be asked for, and who asks for which: connections take runs of bytes, and one that has
//! nothing left takes over the end of the run that would last longest, as much of it as it is faster, once its source
//! agreed to send that: until then whoever works on the run goes on with all of it. What a far slower one would still
//! need long for is taken over whole. A block that was wrong comes from one source from its first byte to its last, however
//! often it changes hands: so it is known whose it is. Does no input or output; speeds are told.

use crate::limits;
use netkit_proto::files::manifest::BLOCK;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Names a run that a connection works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunId(u64);

/// What a connection may ask its source for.
#[derive(Debug)]
pub(super) struct Offer {
    /// The bytes.
    pub range: Range<u64>,
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
    /// What is left.
    range: Range<u64>,
    /// Somebody asks for its end.
    is_offered: bool,
    /// Bytes a second that come for it; 0: not known yet.
    rate: f64,
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

    /// Seconds that it would take.
    fn lasts(&self) -> f64 {
        if self.rate > 0.0 { self.left() as f64 / self.rate } else { 0.0 }
    }

    /// What somebody who is so fast takes over of it.
    fn share(&self, rate: f64) -> Share {
        let left = self.left();
        let (theirs, ours) = match (self.rate > 0.0, rate > 0.0) {
            (true, true) => (self.rate, rate),
            _ => (1.0, 1.0),
        };
        let is_urgent = self.lasts() >= limits::FETCH_URGENT.as_secs_f64();
        if left < 2 * limits::FETCH_SHARED && !is_urgent {
            return Share::Nothing;
        }
        let kept = (left as f64 * theirs / (theirs + ours)) as u64;
        let middle = (self.range.start + kept).next_multiple_of(BLOCK);
        if middle < self.range.end {
            return Share::From(middle);
        }
        if is_urgent && ours >= limits::FETCH_FAR_FASTER * theirs { Share::All } else { Share::Nothing }
    }
}

/// See [`Run::share`].
enum Share {
    /// What begins here.
    From(u64),
    /// All that is left.
    All,
    Nothing,
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

    /// A run of bytes that nobody works on.
    pub(super) fn next_free(&mut self) -> Option<(RunId, Range<u64>)> {
        if let Some(range) = self.free.pop_front() {
            return Some((self.begin(range.clone(), false), range));
        }
        let range = self.alone.pop_front()?;
        Some((self.begin(range.clone(), true), range))
    }

    fn begin(&mut self, range: Range<u64>, alone: bool) -> RunId {
        self.last += 1;
        let alone = alone.then_some(range.start);
        self.runs.insert(RunId(self.last), Run { range, is_offered: false, rate: 0.0, alone });
        RunId(self.last)
    }

    /// What a connection that has nothing to do, and was so fast before, may ask for; `None` where there is not enough
    /// left to share. To be accepted or declined.
    pub(super) fn offer(&mut self, rate: f64) -> Option<Offer> {
        if let Some((run, range)) = self.next_free() {
            return Some(Offer { range, run: Offered::Own(run) });
        }
        if self.open_ended {
            return None;
        }
        let whole = self.runs.iter_mut().filter(|(_, run)| !run.is_offered);
        let longest = |(_, one): &(&RunId, &mut Run), (_, other): &(&RunId, &mut Run)| {
            one.lasts().total_cmp(&other.lasts()).then(one.left().cmp(&other.left()))
        };
        let (&id, run) = whole.max_by(longest)?;
        match run.share(rate) {
            Share::Nothing => None,
            Share::From(middle) => {
                run.is_offered = true;
                Some(Offer { range: middle..run.range.end, run: Offered::EndOf(id) })
            }
            Share::All => {
                let run = self.runs.remove(&id)?;
                let alone = run.alone.is_some();
                let range = run.rest();
                Some(Offer { range: range.clone(), run: Offered::Own(self.begin(range, alone)) })
            }
        }
    }

    /// So many bytes a second come for a run.
    pub(super) fn is_so_fast(&mut self, run: RunId, rate: f64) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.rate = rate;
        }
    }

    /// The source sends what was offered; `None` where it is too late: the other connection has come as far.
    pub(super) fn accept(&mut self, offer: Offer) -> Option<RunId> {
        match offer.run {
            Offered::Own(run) => Some(run),
            Offered::EndOf(id) => {
                let run = self.runs.get_mut(&id)?;
                run.is_offered = false;
                if run.range.start >= offer.range.start {
                    return None;
                }
                run.range.end = offer.range.start;
                Some(self.begin(offer.range, false))
            }
        }
    }

    /// The source does not send what was offered.
    pub(super) fn decline(&mut self, offer: Offer) {
        match offer.run {
            Offered::Own(run) => self.give_back(run),
            Offered::EndOf(id) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.is_offered = false;
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
