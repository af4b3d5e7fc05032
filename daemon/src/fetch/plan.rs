//! Which bytes are still to be asked for, and who asks for which: connections take runs of bytes, and one that has
//! nothing left takes over the end of the run that would last longest, as much of it as it is faster, once its source
//! agreed to send that: until then whoever works on the run goes on with all of it. What a far slower one would still
//! need long for is taken over whole. Does no input or output; speeds are told.

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
}

impl Run {
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
        Plan { free, runs: BTreeMap::new(), last: 0, open_ended: false }
    }

    /// Of a file whose size is not known.
    pub(super) fn open_ended() -> Plan {
        Plan { open_ended: true, ..Plan::new(std::iter::once(0..u64::MAX)) }
    }

    /// A run of bytes that nobody works on.
    pub(super) fn next_free(&mut self) -> Option<(RunId, Range<u64>)> {
        let range = self.free.pop_front()?;
        Some((self.begin(range.clone()), range))
    }

    fn begin(&mut self, range: Range<u64>) -> RunId {
        self.last += 1;
        self.runs.insert(RunId(self.last), Run { range, is_offered: false, rate: 0.0 });
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
                let Run { range, .. } = self.runs.remove(&id)?;
                Some(Offer { range: range.clone(), run: Offered::Own(self.begin(range)) })
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
                Some(self.begin(offer.range))
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
        if let Some(run) = self.runs.remove(&run) {
            self.free.push_back(run.range);
        }
    }

    /// Bytes that came are fetched again.
    pub(super) fn refetch(&mut self, range: Range<u64>) {
        self.free.push_back(range);
    }

    /// Whether everything came.
    pub(super) fn is_done(&self) -> bool {
        self.free.is_empty() && self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a connection gets whose source sends all that it is asked for.
    fn next(plan: &mut Plan) -> Option<(RunId, Range<u64>)> {
        let offer = plan.offer(0.0)?;
        let range = offer.range.clone();
        Some((plan.accept(offer)?, range))
    }

    #[test]
    fn one_connection_takes_hole_after_hole() {
        let mut plan = Plan::new([0..5, 5..5, 9..12]);
        let (first, range) = next(&mut plan).unwrap();
        assert_eq!(range, 0..5);
        assert_eq!(plan.take(first, 3), Taken { offset: 0, wanted: 3, finished: false });
        assert_eq!(plan.take(first, 3), Taken { offset: 3, wanted: 2, finished: true });
        let (second, range) = next(&mut plan).unwrap();
        assert_eq!(range, 9..12);
        plan.give_back(second);
        assert!(!plan.is_done());
        let (third, range) = next(&mut plan).unwrap();
        assert_eq!((range, next(&mut plan)), (9..12, None), "too little to share");
        assert!(plan.take(third, 100).finished && plan.is_done());
    }

    #[test]
    fn a_file_of_unknown_size_is_not_shared_and_ends_where_its_bytes_do() {
        let mut plan = Plan::open_ended();
        let (run, _) = next(&mut plan).unwrap();
        assert_eq!(next(&mut plan), None);
        assert_eq!(plan.take(run, 7), Taken { offset: 0, wanted: 7, finished: false });
        assert!(!plan.is_done() && plan.end(run) && plan.is_done());
        let mut known = Plan::new(std::iter::once(0..9));
        let (run, _) = next(&mut known).unwrap();
        assert!(!known.end(run) && !known.is_done(), "short");
    }

    #[test]
    fn who_is_refused_the_second_half_takes_nothing_away() {
        const LEN: u64 = 64 << 20;
        let mut plan = Plan::new(std::iter::once(0..LEN));
        let (first, _) = plan.next_free().unwrap();
        let offer = plan.offer(0.0).unwrap();
        assert_eq!(offer.range, LEN / 2..LEN);
        assert!(plan.offer(0.0).is_none(), "it is asked for already");
        plan.decline(offer);
        assert_eq!(
            plan.take(first, LEN as usize - 1),
            Taken { offset: 0, wanted: LEN as usize - 1, finished: false }
        );
        assert_eq!(plan.position(first), Some(LEN - 1));
        assert!(plan.take(first, 1).finished && plan.is_done());
    }

    #[test]
    fn who_is_too_late_gets_nothing() {
        const LEN: u64 = 64 << 20;
        let mut plan = Plan::new(std::iter::once(0..LEN));
        let (first, _) = plan.next_free().unwrap();
        let late = plan.offer(0.0).unwrap();
        plan.take(first, LEN as usize / 2);
        assert_eq!(plan.accept(late), None);
        let gone = plan.offer(0.0).unwrap();
        plan.give_back(first);
        assert_eq!(plan.accept(gone), None);
        assert_eq!(next(&mut plan).unwrap().1, LEN / 2..LEN, "and all of the rest is there");
    }

    #[test]
    fn who_is_faster_takes_over_more_and_the_rest_of_who_is_far_slower() {
        const MIB: f64 = (1 << 20) as f64;
        let mut plan = Plan::new(std::iter::once(0..40 << 20));
        let (slow, _) = plan.next_free().unwrap();
        plan.is_so_fast(slow, MIB);
        let offer = plan.offer(9.0 * MIB).unwrap();
        assert_eq!(offer.range, 4 << 20..40 << 20);
        let fast = plan.accept(offer).unwrap();
        assert!(plan.take(fast, 36 << 20).finished);
        // Four seconds of the slow one are left: that is shared, too, block by block.
        let offer = plan.offer(9.0 * MIB).unwrap();
        assert_eq!(offer.range, 1 << 20..4 << 20);
        let fast = plan.accept(offer).unwrap();
        plan.take(fast, 3 << 20);
        plan.take(slow, 5);
        assert!(plan.offer(3.0 * MIB).is_none(), "not by who is little faster");
        let rest = plan.offer(9.0 * MIB).unwrap();
        assert_eq!(rest.range, 5..1 << 20);
        let fast = plan.accept(rest).unwrap();
        assert_eq!(plan.take(slow, 100), Taken { offset: 0, wanted: 0, finished: true });
        assert!(plan.take(fast, 1 << 20).finished && plan.is_done());
    }

    #[test]
    fn what_is_over_soon_is_left_to_who_does_it() {
        let mut plan = Plan::new(std::iter::once(0..7 << 20));
        let (run, _) = plan.next_free().unwrap();
        plan.is_so_fast(run, 1e9);
        assert!(plan.offer(1e12).is_none());
        plan.is_so_fast(run, 1.0);
        assert!(plan.offer(1.0).is_some());
    }

    proptest! {
        /// Whatever connections come, break and go: each byte is written once, those given back again.
        #[test]
        fn every_byte_comes_once(
            holes in prop::collection::vec((0u64..40 << 20, 1u64..20 << 20), 1..4),
            turns in prop::collection::vec((0usize..5, 1usize..8 << 20, 0u8..20), 0..200),
        ) {
            let (mut missing, mut at) = (Vec::new(), 0);
            for (gap, len) in holes {
                missing.push(at + gap..at + gap + len);
                at += gap + len;
            }
            let mut plan = Plan::new(missing.clone());
            let mut runs: Vec<Option<RunId>> = vec![None; 5];
            let mut came: Vec<Range<u64>> = Vec::new();
            let step = |plan: &mut Plan, run: &mut Option<RunId>, len: usize, came: &mut Vec<Range<u64>>| {
                if run.is_none() {
                    *run = next(plan).map(|(id, _)| id);
                }
                if let Some(id) = *run {
                    let taken = plan.take(id, len);
                    came.push(taken.offset..taken.offset + taken.wanted as u64);
                    if taken.finished {
                        *run = None;
                    }
                }
            };
            for (who, len, breaks) in turns {
                step(&mut plan, &mut runs[who], len, &mut came);
                if breaks == 0 && let Some(id) = runs[who].take() {
                    plan.give_back(id);
                }
            }
            for run in &mut runs {
                while run.is_some() {
                    step(&mut plan, run, 1 << 30, &mut came);
                }
            }
            let mut last = None;
            while !plan.is_done() {
                step(&mut plan, &mut last, 1 << 30, &mut came);
            }
            came.retain(|range| !range.is_empty());
            came.sort_by_key(|range| range.start);
            prop_assert!(came.windows(2).all(|pair| pair[0].end <= pair[1].start), "twice: {came:?}");
            let sum = |ranges: &[Range<u64>]| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
            prop_assert_eq!(sum(&came), sum(&missing));
        }
    }
}
