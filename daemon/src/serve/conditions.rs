//! Which part of a file a request asks for, and whether it has it already (RFC 9110, sections 13 and 14). Pure: a
//! file's stamp and the request's headers in, a verdict out.

use crate::files::Stamp;
use http_range_header::{EndPosition, StartPosition};
use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The whole file: 200.
    Whole,
    /// These bytes: 206.
    Part(Range<u64>),
    /// It is not what the client wants any more: 412.
    Changed,
    /// The client has it: 304.
    NotModified,
    /// There are no such bytes: 416.
    Unsatisfiable,
}

/// The entity tag of a file: strong, since it changes with whatever changes the file; never its hash, which would have
/// to be computed first.
pub(super) fn etag(stamp: &Stamp) -> String {
    let Stamp { device, inode, size, modified, changed } = stamp;
    format!("\"{device:x}-{inode:x}-{size:x}-{modified:x}-{changed:x}\"")
}

/// When a file was changed last, in whole seconds as HTTP has them.
pub(super) fn last_modified(stamp: &Stamp) -> SystemTime {
    let seconds = u64::try_from(stamp.modified.max(0) / 1_000_000_000).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799)) // the year 9999 ends there
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What the validators of a request say of a file: nothing, [`Verdict::Changed`] or [`Verdict::NotModified`].
pub(super) fn judge_validators(headers: &HeaderMap, stamp: &Stamp) -> Option<Verdict> {
    let text = |name| text(headers, name);
    let (tag, modified) = (etag(stamp), last_modified(stamp));
    if text(IF_MATCH).is_some_and(|tags| tags.trim() != "*" && tags.split(',').all(|t| t.trim() != tag)) {
        return Some(Verdict::Changed);
    }
    match (text(IF_NONE_MATCH), text(IF_MODIFIED_SINCE)) {
        (Some(tags), _) if tags.trim() == "*" || tags.split(',').any(|t| weakly(t) == tag) => {
            Some(Verdict::NotModified)
        }
        (None, Some(date)) if httpdate::parse_http_date(date).is_ok_and(|date| modified <= date) => {
            Some(Verdict::NotModified)
        }
        _ => None,
    }
}

/// What a request for a file is answered.
pub(super) fn judge(headers: &HeaderMap, stamp: &Stamp) -> Verdict {
    let text = |name| text(headers, name);
    let (tag, modified) = (etag(stamp), last_modified(stamp));
    if let Some(verdict) = judge_validators(headers, stamp) {
        return verdict;
    }
    let Some(range) = text(RANGE) else { return Verdict::Whole };
    let fresh = text(IF_RANGE).is_none_or(|validator| {
        validator == tag || httpdate::parse_http_date(validator).is_ok_and(|date| date == modified)
    });
    if !fresh {
        return Verdict::Whole;
    }
    // What is no range, and several ranges, are passed over: the whole file is a right answer to both.
    let Ok(ranges) = http_range_header::parse_range_header(range) else { return Verdict::Whole };
    if ranges.ranges.len() != 1 {
        return Verdict::Whole;
    }
    let (size, range) = (stamp.size, &ranges.ranges[0]);
    let first = match range.start {
        StartPosition::Index(first) => first,
        StartPosition::FromLast(0) => size,
        StartPosition::FromLast(length) => size.saturating_sub(length),
    };
    let end = match range.end {
        EndPosition::Index(last) => size.min(last.saturating_add(1)),
        EndPosition::LastByte => size,
    };
    if first < end { Verdict::Part(first..end) } else { Verdict::Unsatisfiable }
}

/// A tag without the mark of a weak one: If-None-Match compares weakly (RFC 9110, section 13.1.2).
fn weakly(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { device: 1, inode: 2, size: 1000, modified: 1_000_000_000_000_000_000, changed: 5 };

    fn verdict_of(stamp: &Stamp, headers: &[(HeaderName, &str)]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        judge(&headers, stamp)
    }

    fn verdict(headers: &[(HeaderName, &str)]) -> Verdict {
        verdict_of(&STAMP, headers)
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (range, expected) in [
            ("bytes=0-", Verdict::Part(0..1000)),
            ("bytes=0-0", Verdict::Part(0..1)),
            ("bytes=500-2000", Verdict::Part(500..1000)),
            ("bytes=-10", Verdict::Part(990..1000)),
            ("bytes=-2000", Verdict::Part(0..1000)),
            ("bytes=-0", Verdict::Whole),
            ("bytes=0-18446744073709551615", Verdict::Part(0..1000)),
            ("bytes=999-", Verdict::Part(999..1000)),
            ("bytes=1000-", Verdict::Unsatisfiable),
            ("bytes=0-1,5-6", Verdict::Whole),
            ("bytes=5-1", Verdict::Unsatisfiable),
            ("lines=1-2", Verdict::Whole),
            ("bytes=x", Verdict::Whole),
        ] {
            assert_eq!(verdict(&[(RANGE, range)]), expected, "{range}");
        }
        let empty = Stamp { size: 0, ..STAMP };
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(verdict_of(&empty, &[(RANGE, range)]), Verdict::Unsatisfiable, "{range} of nothing");
        }
    }

    #[test]
    fn validators_decide_before_ranges() {
        let tag = etag(&STAMP);
        let date = httpdate::fmt_http_date(last_modified(&STAMP));
        let range = (RANGE, "bytes=0-9");
        for (headers, expected) in [
            (vec![(IF_MATCH, tag.as_str())], Verdict::Whole),
            (vec![(IF_MATCH, "*")], Verdict::Whole),
            (vec![(IF_MATCH, "\"other\"")], Verdict::Changed),
            (vec![(IF_MATCH, "W/\"weak\"")], Verdict::Changed),
            (vec![(IF_MATCH, "\"other\""), (IF_NONE_MATCH, tag.as_str())], Verdict::Changed),
            (vec![(IF_MATCH, tag.as_str()), range.clone()], Verdict::Part(0..10)),
            (vec![(IF_NONE_MATCH, tag.as_str())], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "*")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"other\"")], Verdict::Whole),
            (vec![(IF_MODIFIED_SINCE, date.as_str())], Verdict::NotModified),
            (vec![(IF_MODIFIED_SINCE, "Thu, 01 Jan 1970 00:00:00 GMT")], Verdict::Whole),
            (vec![(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, date.as_str())], Verdict::Whole),
            (vec![range.clone(), (IF_RANGE, tag.as_str())], Verdict::Part(0..10)),
            (vec![range.clone(), (IF_RANGE, date.as_str())], Verdict::Part(0..10)),
            (vec![range.clone(), (IF_RANGE, "\"other\"")], Verdict::Whole),
            (vec![range.clone(), (IF_RANGE, "W/\"1\"")], Verdict::Whole),
        ] {
            assert_eq!(verdict(&headers), expected, "{headers:?}");
        }
        let weak = format!("W/{tag}");
        assert_eq!(verdict(&[(IF_MATCH, weak.as_str())]), Verdict::Changed, "compared strongly");
        let several = format!("\"x\", {tag}");
        assert_eq!(verdict(&[(IF_MATCH, several.as_str())]), Verdict::Whole);
        let weak = format!("\"x\", W/{tag}");
        assert_eq!(verdict(&[(IF_NONE_MATCH, weak.as_str())]), Verdict::NotModified);
    }
}
