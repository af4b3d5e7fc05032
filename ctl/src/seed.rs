//! For tests that draw their cases: which seed they draw from is printed, and so shown where one fails;
//! `PROPTEST_RNG_SEED` set to it draws the same again.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;
use std::time::{SystemTime, UNIX_EPOCH};

/// What such a test runs with.
pub(crate) fn seeded() -> ProptestConfig {
    let config = ProptestConfig::default();
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64)
        }
    };
    eprintln!("PROPTEST_RNG_SEED={seed}");
    ProptestConfig { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..config }
}
