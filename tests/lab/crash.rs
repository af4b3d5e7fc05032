//! Crashes in the middle of a conversation: a SIGKILL of either side, again and again.

use super::both_say;
use crate::harness::{Random, eventually, few_or_many, has_no_lab};

#[test]
fn a_kill_of_either_side_at_any_moment_loses_and_repeats_nothing() {
    let test = "a_kill_of_either_side_at_any_moment_loses_and_repeats_nothing";
    if has_no_lab(test, &[]) {
        return;
    }
    let mut random = Random::new(test);
    let (count, kills) = few_or_many((500, 4), (2000, 20));
    let mut moments: Vec<usize> = (0..kills).map(|_| random.below(2 * count as u64) as usize).collect();
    moments.sort_unstable();
    let mut pair = super::Pair::new();
    both_say(&mut pair, count, |pair, speakers| {
        for moment in moments {
            let said = || speakers.iter().map(super::Speaker::said).sum::<usize>();
            eventually("they talk on", || (said() >= moment).then_some(()));
            let node = if random.below(2) == 0 { &mut pair.anna } else { &mut pair.bob };
            node.kill();
            node.start();
        }
    });
}
