//! Rates as people type them, `5M` or `1.5MiB`, and how they are shown. Used by `get`, `queue` and `status`.

use crate::format::show_bytes;
use bytesize::ByteSize;

/// What `--help` says about rates.
pub(crate) const RATES: &str = "\
A RATE is bytes a second: 500K, 5M, 1G in thousands; 500KiB, 1.5MiB, 1GiB in 1024s; 0: no limit.";

/// Reads a rate, in bytes a second; 0 = no limit.
///
/// # Errors
/// A sentence that says what a rate looks like.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let not_one = || format!("{text:?} is not a rate such as 500K, 5M, 1.5MiB, 0");
    let trimmed = text.trim();
    let size = trimmed.strip_suffix("/s").unwrap_or(trimmed);
    let rate = size.parse::<ByteSize>().map_err(|_| not_one())?.as_u64();
    // What is so little that nothing is left of it must not become "no limit".
    let is_cut = rate == 0 && size.contains(|c: char| c.is_ascii_digit() && c != '0');
    if is_cut || i64::try_from(rate).is_err() { Err(not_one()) } else { Ok(rate) }
}

/// A rate for people.
#[must_use]
pub(crate) fn show_rate(rate: u64) -> String {
    format!("{}/s", show_bytes(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        for (text, rate) in [
            ("0", 0),
            ("1000", 1000),
            ("500K", 500_000),
            ("500k", 500_000),
            ("5M", 5_000_000),
            ("5 MB", 5_000_000),
            ("5M/s", 5_000_000),
            ("1.5MiB", 3 << 19),
            ("1Gi", 1 << 30),
            ("2g", 2_000_000_000),
        ] {
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
        }
        for text in ["", "x", "-1", "5X", "M", "1.5", "0.1B", "NaN", "inf", "99999999E", "1e3", "5M/min"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert_eq!(show_rate(1 << 20), "1.0 MiB/s");
    }
}
