//! Crashes in the middle of a conversation: a SIGKILL of either side, again and again.

use super::both_say;
use crate::harness::{Random, eventually, few_or_many, has_no_lab};

/// What either may say beyond its half of what was to be said when something happens.
const AHEAD: usize = 60;

#[test]
fn a_kill_of_either_side_at_any_moment_loses_and_repeats_nothing() {
    let test = "a_kill_of_either_side_at_any_moment_loses_and_repeats_nothing";
    if has_no_lab(test, &[]) {
        return;
    }
    let mut random = Random::new(test);
    let (count, kills) = few_or_many((500, 4), (2000, 20));
    // Each comes before all is said, as far as either may have got by then.
    let last = 2 * (count - 2 * AHEAD) as u64;
    let mut moments: Vec<usize> = (0..kills).map(|_| random.below(last) as usize).collect();
    moments.sort_unstable();
    let mut pair = super::Pair::new();
    both_say(&mut pair, count, |pair, speakers| {
        let said = || speakers.iter().map(super::Speaker::said).sum::<usize>();
        for moment in moments {
            speakers.iter().for_each(|speaker| speaker.allow(moment / 2 + AHEAD));
            eventually("they talk on", || (said() >= moment).then_some(()));
            assert!(said() < 2 * count, "all was said before");
            let node = if random.below(2) == 0 { &mut pair.anna } else { &mut pair.bob };
            node.kill();
            node.start();
        }
        speakers.iter().for_each(|speaker| speaker.allow(count));
    });
}
