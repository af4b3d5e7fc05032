//! Rounds and what is drawn from them: medians, spreads, ratios. Called by every row; knows no subject.

use anyhow::{Context as _, Result};

/// One subject of a row: each call is one round and gives `M` values.
pub(crate) struct Subject<'a, const M: usize> {
    pub(crate) name: &'static str,
    pub(crate) round: Box<dyn FnMut() -> Result<[f64; M]> + 'a>,
}

impl<'a, const M: usize> Subject<'a, M> {
    pub(crate) fn new(name: &'static str, round: impl FnMut() -> Result<[f64; M]> + 'a) -> Subject<'a, M> {
        Subject { name, round: Box::new(round) }
    }
}

/// The values of one subject: for each measure, one value a round.
pub(crate) type Values<const M: usize> = [Vec<f64>; M];

/// Runs A B C A B C ..., so that whatever slows the machine for a while slows all subjects alike.
pub(crate) fn interleave<const M: usize>(
    rounds: usize,
    subjects: &mut [Subject<'_, M>],
) -> Result<Vec<Values<M>>> {
    interleave_after(|| Ok(()), rounds, subjects)
}

/// The same, with something done before each round of each subject.
pub(crate) fn interleave_after<const M: usize>(
    mut before: impl FnMut() -> Result<()>,
    rounds: usize,
    subjects: &mut [Subject<'_, M>],
) -> Result<Vec<Values<M>>> {
    let mut values: Vec<Values<M>> = subjects.iter().map(|_| std::array::from_fn(|_| Vec::new())).collect();
    for round in 0..rounds {
        for (subject, values) in subjects.iter_mut().zip(&mut values) {
            before()?;
            let measured =
                (subject.round)().with_context(|| format!("{}, round {}", subject.name, round + 1))?;
            for (series, value) in values.iter_mut().zip(measured) {
                series.push(value);
            }
        }
    }
    Ok(values)
}

/// Median and extremes of one value a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None without values.
    pub(crate) fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => return None,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Spread { median, min: *sorted.first()?, max: *sorted.last()? })
    }
}

/// Round by round `of / to`. None where a divisor is zero: such a ratio says nothing.
pub(crate) fn ratios(of: &[f64], to: &[f64]) -> Option<Vec<f64>> {
    of.iter().zip(to).map(|(of, to)| (*to != 0.0).then(|| of / to)).collect()
}

/// Round by round `of - from`.
pub(crate) fn differences(of: &[f64], from: &[f64]) -> Vec<f64> {
    of.iter().zip(from).map(|(of, from)| of - from).collect()
}

/// The smallest value that `percent` of `values` do not exceed (nearest rank). Sorts them.
pub(crate) fn percentile(values: &mut [u64], percent: usize) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_median_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_pair_the_rounds() {
        // Both slow down in the second round: the ratio stays.
        assert_eq!(ratios(&[10.0, 100.0], &[5.0, 50.0]), Some(vec![2.0, 2.0]));
        assert_eq!(ratios(&[1.0], &[0.0]), None);
        assert_eq!(differences(&[3.0, 5.0], &[1.0, 2.0]), vec![2.0, 3.0]);
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 50), Some(100));
        assert_eq!(percentile(&mut values, 99), Some(198));
        assert_eq!(percentile(&mut [7], 99), Some(7));
        assert_eq!(percentile(&mut [], 50), None);
    }

    #[test]
    fn rounds_interleave_and_stay_apart() -> Result<()> {
        let order = RefCell::new(String::new());
        let subject = |name: &'static str, value: f64| {
            let order = &order;
            Subject::new(name, move || {
                order.borrow_mut().push_str(name);
                Ok([value, -value])
            })
        };
        let values = interleave(2, &mut [subject("a", 1.0), subject("b", 2.0)])?;
        assert_eq!(*order.borrow(), "abab");
        assert_eq!(values, [[vec![1.0, 1.0], vec![-1.0, -1.0]], [vec![2.0, 2.0], vec![-2.0, -2.0]]]);
        Ok(())
    }

    #[test]
    fn a_subject_that_fails_is_named() {
        let mut subjects = [Subject::<1>::new("a", || anyhow::bail!("died"))];
        let error = interleave(1, &mut subjects).map_or_else(|error| format!("{error:#}"), |_| String::new());
        assert_eq!(error, "a, round 1: died");
    }
}
