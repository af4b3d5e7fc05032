//! Runs that are taken, shared, taken over and given back.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

const BOB: SourceId = SourceId(0);

/// So long after the start.
fn after(milliseconds: u64) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(milliseconds)
}

/// What a connection gets whose source sends all that it is asked for.
fn next(plan: &mut Plan) -> Option<(RunId, Range<u64>)> {
    next_at(plan, after(0))
}

fn next_at(plan: &mut Plan, now: Instant) -> Option<(RunId, Range<u64>)> {
    let offer = plan.offer(BOB, 0.0, now)?;
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
    let (first, _) = plan.next_free(BOB).unwrap();
    let offer = plan.offer(BOB, 0.0, after(0)).unwrap();
    assert_eq!(offer.range, LEN / 2..LEN);
    assert!(plan.offer(BOB, 0.0, after(0)).is_none(), "it is asked for already");
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
    let (first, _) = plan.next_free(BOB).unwrap();
    let late = plan.offer(BOB, 0.0, after(0)).unwrap();
    plan.take(first, LEN as usize / 2);
    assert_eq!(plan.accept(late), None);
    let gone = plan.offer(BOB, 0.0, after(0)).unwrap();
    plan.give_back(first);
    assert_eq!(plan.accept(gone), None);
    assert_eq!(next(&mut plan).unwrap().1, LEN / 2..LEN, "and all of the rest is there");
}

#[test]
fn who_is_faster_takes_over_more_and_the_rest_of_who_is_far_slower() {
    const MIB: f64 = (1 << 20) as f64;
    let mut plan = Plan::new(std::iter::once(0..40 << 20));
    let (slow, _) = plan.next_free(BOB).unwrap();
    plan.is_so_fast(slow, MIB);
    let offer = plan.offer(BOB, 9.0 * MIB, after(0)).unwrap();
    assert_eq!(offer.range, 4 << 20..40 << 20);
    let fast = plan.accept(offer).unwrap();
    assert!(plan.take(fast, 36 << 20).finished);
    // Four seconds of the slow one are left: that is shared, too, block by block.
    let offer = plan.offer(BOB, 9.0 * MIB, after(0)).unwrap();
    assert_eq!(offer.range, 1 << 20..4 << 20);
    let fast = plan.accept(offer).unwrap();
    plan.take(fast, 3 << 20);
    plan.take(slow, 5);
    assert!(plan.offer(BOB, 3.0 * MIB, after(0)).is_none(), "not by who is little faster");
    let rest = plan.offer(BOB, 9.0 * MIB, after(0)).unwrap();
    assert_eq!(rest.range, 5..1 << 20);
    let fast = plan.accept(rest).unwrap();
    assert_eq!(plan.take(slow, 100), Taken { offset: 0, wanted: 0, finished: true });
    assert!(plan.take(fast, 1 << 20).finished && plan.is_done());
}

#[test]
fn what_is_over_soon_is_left_to_who_does_it() {
    let mut plan = Plan::new(std::iter::once(0..7 << 20));
    let (run, _) = plan.next_free(BOB).unwrap();
    plan.is_so_fast(run, 1e9);
    assert!(plan.offer(BOB, 1e12, after(0)).is_none());
    plan.is_so_fast(run, 1.0);
    assert!(plan.offer(BOB, 1.0, after(0)).is_some());
}

#[test]
fn a_block_that_was_wrong_comes_from_one_source_alone() {
    const MIB: u64 = 1 << 20;
    let mut plan = Plan::new(std::iter::once(0..2 * MIB));
    let (first, _) = plan.next_free(BOB).unwrap();
    assert!(plan.take(first, 2 << 20).finished);
    plan.refetch(MIB..2 * MIB);
    let (run, range) = next(&mut plan).unwrap();
    assert_eq!((range, plan.is_alone(run)), (MIB..2 * MIB, true));
    plan.take(run, 10);
    plan.give_back(run);
    assert!(!plan.is_done());
    let (slow, range) = next(&mut plan).unwrap();
    assert_eq!(range, MIB..2 * MIB, "from its first byte on");
    plan.take(slow, 10);
    plan.is_so_fast(slow, 1000.0);
    let (fast, range) = {
        let offer = plan.offer(BOB, 1e9, after(0)).unwrap();
        let range = offer.range.clone();
        (plan.accept(offer).unwrap(), range)
    };
    assert_eq!((range, plan.is_alone(fast)), (MIB..2 * MIB, true), "also by who takes it over");
    assert!(plan.take(slow, 100).wanted == 0 && plan.take(fast, 1 << 20).finished && plan.is_done());
}

#[test]
fn what_brings_nothing_any_more_is_taken_over() {
    let mut plan = Plan::new(std::iter::once(0..4 << 20));
    let (stalled, _) = next(&mut plan).unwrap();
    plan.waits(stalled, Some(after(0)));
    plan.take(stalled, 2 << 20);
    plan.is_so_fast(stalled, 1e9);
    plan.waits(stalled, None);
    assert_eq!(next_at(&mut plan, after(60_000)), None, "it is held up here: by a limit, or the disk");
    plan.waits(stalled, Some(after(60_000)));
    assert_eq!(next_at(&mut plan, after(60_190)), None, "so long a break is nothing yet");
    let (second, range) = next_at(&mut plan, after(61_000)).unwrap();
    assert_eq!(range, 2 << 20..4 << 20, "what did not come");
    assert_eq!(plan.take(stalled, 5), Taken { offset: 0, wanted: 0, finished: true });
    // Who needs long, too, gets longer.
    plan.waits(second, Some(after(61_000)));
    let share = plan.offer(BOB, 0.0, after(62_500)).unwrap();
    assert_eq!(share.range, 3 << 20..4 << 20, "but its end it shares");
    plan.decline(share);
    assert_eq!(next_at(&mut plan, after(63_000)).unwrap().1, 2 << 20..4 << 20);
}

#[test]
fn who_never_answers_holds_nothing() {
    const LEN: u64 = 64 << 20;
    let mut plan = Plan::new(std::iter::once(0..LEN));
    let silent = plan.offer(BOB, 0.0, after(0)).unwrap();
    assert_eq!(silent.range, 0..LEN);
    let (run, range) = next_at(&mut plan, after(1000)).unwrap();
    assert_eq!(range, 0..LEN);
    assert_eq!(plan.accept(silent), None, "it is too late");
    // Nor the end of what another one works on.
    let silent = plan.offer(BOB, 0.0, after(1000)).unwrap();
    assert!(plan.offer(BOB, 0.0, after(1999)).is_none(), "that is asked for");
    let (half, range) = next_at(&mut plan, after(2000)).unwrap();
    assert_eq!(range, LEN / 2..LEN);
    assert_eq!(plan.accept(silent), None, "it is too late");
    assert!(plan.take(run, LEN as usize).finished && plan.take(half, LEN as usize).finished);
    assert!(plan.is_done());
}

#[test]
fn who_is_relieved_by_another_source_is_named() {
    let mut plan = Plan::new(std::iter::once(0..5));
    plan.offer(BOB, 0.0, after(0)).unwrap();
    assert_eq!(plan.offer(BOB, 0.0, after(1000)).unwrap().relieves, None, "by another connection of its own");
    assert_eq!(plan.offer(SourceId(1), 0.0, after(3000)).unwrap().relieves, Some(BOB));
}

#[test]
fn what_can_be_shared_is_found_behind_what_can_not() {
    let mut plan = Plan::new([0..1 << 20, 1 << 20..3 << 20]);
    let [(slow, _), (other, _)] = [(); 2].map(|()| next(&mut plan).unwrap());
    plan.is_so_fast(slow, 5e4);
    plan.is_so_fast(other, 1.5e5);
    assert_eq!(plan.offer(BOB, 1.9e5, after(0)).unwrap().range, 2 << 20..3 << 20);
}

proptest! {
    /// Whatever connections come, break and go: each byte is written once, those given back again.
    #[test]
    fn every_byte_comes_once(
        holes in prop::collection::vec((0u64..40 << 20, 1u64..20 << 20), 1..4),
        turns in prop::collection::vec((0usize..5, 1usize..8 << 20, 0u8..20, 0u64..700), 0..200),
    ) {
        let (mut missing, mut at) = (Vec::new(), 0);
        for (gap, len) in holes {
            missing.push(at + gap..at + gap + len);
            at += gap + len;
        }
        let mut plan = Plan::new(missing.clone());
        let mut runs: Vec<Option<RunId>> = vec![None; 5];
        let mut came: Vec<Range<u64>> = Vec::new();
        let mut now = after(0);
        let step = |plan: &mut Plan, run: &mut Option<RunId>, len: usize, came: &mut Vec<Range<u64>>, now| {
            if run.is_none() {
                *run = next_at(plan, now).map(|(id, _)| id);
            }
            if let Some(id) = *run {
                let taken = plan.take(id, len);
                came.push(taken.offset..taken.offset + taken.wanted as u64);
                plan.waits(id, Some(now));
                if taken.finished {
                    *run = None;
                }
            }
        };
        for (who, len, breaks, pause) in turns {
            now += Duration::from_millis(pause);
            step(&mut plan, &mut runs[who], len, &mut came, now);
            if breaks == 0 && let Some(id) = runs[who].take() {
                plan.give_back(id);
            }
        }
        for run in &mut runs {
            while run.is_some() {
                step(&mut plan, run, 1 << 30, &mut came, now);
            }
        }
        let mut last = None;
        while !plan.is_done() {
            step(&mut plan, &mut last, 1 << 30, &mut came, now);
        }
        came.retain(|range| !range.is_empty());
        came.sort_by_key(|range| range.start);
        prop_assert!(came.windows(2).all(|pair| pair[0].end <= pair[1].start), "twice: {came:?}");
        let sum = |ranges: &[Range<u64>]| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
        prop_assert_eq!(sum(&came), sum(&missing));
    }
}
