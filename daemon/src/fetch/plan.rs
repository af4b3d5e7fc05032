//! Which bytes are still to be asked for, and who asks for which: connections take runs of bytes, and one that has
//! nothing left takes over the second half of the largest run. Does no input or output.

use crate::limits;
use netkit_proto::files::manifest::BLOCK;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Names a run that a connection works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunId(u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    /// Nobody works on these.
    free: VecDeque<Range<u64>>,
    /// What is left of the runs that somebody works on.
    runs: BTreeMap<RunId, Range<u64>>,
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

    /// A run for a connection that has nothing to do; `None` where there is not enough left to share.
    pub(super) fn next(&mut self) -> Option<(RunId, Range<u64>)> {
        let range = match self.free.pop_front() {
            Some(range) => range,
            None => self.take_over()?,
        };
        self.last += 1;
        self.runs.insert(RunId(self.last), range.clone());
        Some((RunId(self.last), range))
    }

    fn take_over(&mut self) -> Option<Range<u64>> {
        if self.open_ended {
            return None;
        }
        let largest = self.runs.values_mut().max_by_key(|run| run.end - run.start)?;
        if largest.end - largest.start < 2 * limits::FETCH_SHARED {
            return None;
        }
        let middle = (largest.start + (largest.end - largest.start) / 2).next_multiple_of(BLOCK);
        let second = middle..largest.end;
        largest.end = middle;
        Some(second)
    }

    /// Bytes came for a run.
    pub(super) fn take(&mut self, run: RunId, len: usize) -> Taken {
        let Some(range) = self.runs.get_mut(&run) else {
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
        if let Some(range) = self.runs.remove(&run) {
            self.free.push_back(range);
        }
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

    #[test]
    fn one_connection_takes_hole_after_hole() {
        let mut plan = Plan::new([0..5, 5..5, 9..12]);
        let (first, range) = plan.next().unwrap();
        assert_eq!(range, 0..5);
        assert_eq!(plan.take(first, 3), Taken { offset: 0, wanted: 3, finished: false });
        assert_eq!(plan.take(first, 3), Taken { offset: 3, wanted: 2, finished: true });
        let (second, range) = plan.next().unwrap();
        assert_eq!(range, 9..12);
        plan.give_back(second);
        assert!(!plan.is_done());
        let (third, range) = plan.next().unwrap();
        assert_eq!((range, plan.next()), (9..12, None), "too little to share");
        assert!(plan.take(third, 100).finished && plan.is_done());
    }

    #[test]
    fn a_file_of_unknown_size_is_not_shared_and_ends_where_its_bytes_do() {
        let mut plan = Plan::open_ended();
        let (run, _) = plan.next().unwrap();
        assert_eq!(plan.next(), None);
        assert_eq!(plan.take(run, 7), Taken { offset: 0, wanted: 7, finished: false });
        assert!(!plan.is_done() && plan.end(run) && plan.is_done());
        let mut known = Plan::new(std::iter::once(0..9));
        let (run, _) = known.next().unwrap();
        assert!(!known.end(run) && !known.is_done(), "short");
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
                    *run = plan.next().map(|(id, _)| id);
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
