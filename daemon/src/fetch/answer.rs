//! What an answer of HTTP says of a file: whether it is the file or the part of it that was asked for, and what a status
//! means that brings neither (RFC 9110). Shared by the kinds of source that speak it; does no input or output.

use super::source::{About, Ask};
use crate::hub::orders::{Failed, Retry};
use crate::limits;
use netkit_proto::rpc::code::Kind;
use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
    LOCATION, RETRY_AFTER,
};
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// What comes.
#[derive(Debug)]
pub(super) struct Answer {
    /// See [`super::source::Opened`].
    pub about: About,
    pub is_part: bool,
    pub end: Option<u64>,
}

/// The header that asks for a part of a file of this size.
pub(super) fn range_of(range: &Range<u64>, size: u64) -> String {
    let last = if range.end < size { (range.end - 1).to_string() } else { String::new() };
    format!("bytes={}-{last}", range.start)
}

/// What comes with this head. `size`: the length of the body, where that is told.
///
/// # Errors
/// Where it is not what was asked for.
pub(super) fn judge(
    ask: &Ask,
    status: StatusCode,
    headers: &HeaderMap,
    size: Option<u64>,
    host: &str,
) -> Result<Answer, Failed> {
    let validator = validator(headers);
    let encoding = text(headers, CONTENT_ENCODING).filter(|encoding| *encoding != "identity");
    if let Some(encoding) = encoding.filter(|_| status.is_success()) {
        let why = format!("{host} sends the file packed ({encoding:?}), which it was asked not to do");
        return Err(Failed::new(Kind::Refused, why).hint("ask its operator for the file as it is"));
    }
    if let Some(size) = size.filter(|&size| status == StatusCode::OK && i64::try_from(size).is_err()) {
        let why = format!("{host} announces {size} bytes, and no file has so many");
        return Err(Failed::new(Kind::TooLarge, why).hint("the server is wrong; ask its operator"));
    }
    match (status, ask) {
        (StatusCode::OK, _) => {
            let ranges = text(headers, ACCEPT_RANGES).is_some_and(|units| units.contains("bytes"));
            let about = About { size, validator, gives_parts: ranges };
            Ok(Answer { about, is_part: false, end: None })
        }
        (StatusCode::PARTIAL_CONTENT, Ask::Part { range, size, validator: of_before }) => {
            let given = text(headers, CONTENT_RANGE).and_then(content_range);
            if let Some((_, _, Some(of))) = given.filter(|(_, _, of)| of.is_some_and(|of| of != *size)) {
                let why = format!("the file at {host} has {of} bytes now, and had {size}");
                return Err(Failed::passing(Kind::Changed, why));
            }
            let is_of_it =
                |&(first, last, _): &(u64, u64, Option<u64>)| first == range.start && last < range.end;
            let Some((_, last, _)) = given.filter(is_of_it) else {
                let what = text(headers, CONTENT_RANGE).unwrap_or("nothing that it names");
                let why = format!(
                    "{host} was asked for bytes {}-{} of {size} and sent {what:?}",
                    range.start,
                    range.end - 1
                );
                return Err(Failed::passing(Kind::Network, why));
            };
            // It may leave the validator out (RFC 9110, section 15.3.7), but not give another one.
            let is_another = |(now, before): (&String, &String)| now != before && is_same_kind(now, before);
            if validator.as_ref().zip(of_before.as_ref()).is_some_and(is_another) {
                let why = format!("the file at {host} was replaced meanwhile");
                return Err(Failed::passing(Kind::Changed, why));
            }
            let about =
                About { size: Some(*size), validator: of_before.clone().or(validator), gives_parts: true };
            Ok(Answer { about, is_part: true, end: Some(last + 1) })
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Ask::Part { .. }) => {
            let why = format!("the file at {host} was replaced meanwhile by a shorter one");
            Err(Failed::passing(Kind::Changed, why))
        }
        _ => Err(refused(host, status, headers)),
    }
}

/// What a status that brings no file means (RFC 9110, section 15).
pub(super) fn refused(host: &str, status: StatusCode, headers: &HeaderMap) -> Failed {
    if let Some(to) = text(headers, LOCATION).filter(|_| status.is_redirection()) {
        let why = format!("{host} redirects to {to:?}, which is neither http:// nor https://");
        return Failed::new(Kind::Refused, why).hint("name the address that you mean");
    }
    let kind = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
        _ => Kind::Refused,
    };
    let failed = Failed::new(kind, format_args!("{host} answered {status}"));
    let passes = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || [408, 425, 429].contains(&status.as_u16());
    let hint = match status.as_u16() {
        401 | 403 | 407 => "the server wants to know who asks, which netkit does not tell it",
        404 | 410 => "check the address for slips",
        _ if passes => "the server may do better later",
        _ => "open the address in a browser to see what the server says",
    };
    let retry = match text(headers, RETRY_AFTER).and_then(retry_after) {
        _ if !passes => Retry::Never,
        Some(time) => Retry::After(time),
        None => Retry::Later,
    };
    Failed { retry, ..failed.hint(hint) }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What tells this content from any other byte by byte: a strong ETag; else a date that is so long past that the file
/// was not changed twice within its second (RFC 9110, section 8.8.2.2).
fn validator(headers: &HeaderMap) -> Option<String> {
    if let Some(etag) = text(headers, ETAG) {
        return etag.starts_with('"').then(|| etag.to_owned());
    }
    let date = |name| text(headers, name).and_then(|text| httpdate::parse_http_date(text).ok());
    let age = date(DATE)?.duration_since(date(LAST_MODIFIED)?).ok()?;
    (age >= limits::FETCH_DATE_AGE).then(|| text(headers, LAST_MODIFIED).map(str::to_owned))?
}

/// Both are ETags, or both are dates.
fn is_same_kind(one: &str, other: &str) -> bool {
    one.starts_with('"') == other.starts_with('"')
}

/// First byte, last byte and size, where that is known, of `bytes 5-9/20` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let size = if size == "*" { None } else { Some(size.parse().ok()?) };
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < u64::MAX).then_some((first, last, size))
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_what_is_strong_is_a_validator() {
        let day = |hour| format!("Wed, 25 Nov 2026 {hour} GMT");
        for (of, expected) in [
            (headers(&[(ETAG, "\"abc\"")]), Some("\"abc\"".to_owned())),
            (headers(&[(ETAG, "W/\"abc\"")]), None),
            (headers(&[(ETAG, "abc")]), None),
            (headers(&[(LAST_MODIFIED, &day("01:00:00"))]), None),
            (headers(&[(LAST_MODIFIED, &day("01:00:00")), (DATE, &day("01:00:05"))]), None),
            (headers(&[(LAST_MODIFIED, &day("01:00:00")), (DATE, &day("01:01:00"))]), Some(day("01:00:00"))),
            (headers(&[(LAST_MODIFIED, &day("01:00:00")), (DATE, &day("00:01:00"))]), None),
            (
                headers(&[(ETAG, "W/\"a\""), (LAST_MODIFIED, &day("01:00:00")), (DATE, &day("02:00:00"))]),
                None,
            ),
        ] {
            assert_eq!(validator(&of), expected, "{of:?}");
        }
    }

    #[test]
    fn what_no_file_can_have_is_no_size() {
        let whole = |size| judge(&Ask::Whole, StatusCode::OK, &HeaderMap::new(), Some(size), "h");
        let most = i64::MAX as u64; // off_t
        assert_eq!(whole(most).unwrap().about.size, Some(most));
        for size in [most + 1, u64::MAX] {
            let failed = whole(size).unwrap_err();
            assert_eq!((failed.failure.kind, failed.retry), (Kind::TooLarge, Retry::Never));
        }
    }

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/20"), Some((5, 9, Some(20))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for text in [
            "bytes */20",
            "bytes 9-5/20",
            "bytes 0-18446744073709551615/*",
            "5-9/20",
            "bytes 5-/20",
            "bytes -1-9/20",
            "",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_may_say_when_it_can_be_asked_again() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 25 Nov 2020 01:00:00 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Wed, 25 Nov 2099 01:00:00 GMT").unwrap() > Duration::from_secs(3600));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn statuses_say_whether_to_try_again() {
        let after = headers(&[(RETRY_AFTER, "9")]);
        for (status, of, kind, retry) in [
            (404, HeaderMap::new(), Kind::NotFound, Retry::Never),
            (410, HeaderMap::new(), Kind::NotFound, Retry::Never),
            (403, HeaderMap::new(), Kind::Refused, Retry::Never),
            (204, HeaderMap::new(), Kind::Refused, Retry::Never),
            (501, HeaderMap::new(), Kind::Refused, Retry::Never),
            (500, HeaderMap::new(), Kind::Refused, Retry::Later),
            (503, after.clone(), Kind::Refused, Retry::After(Duration::from_secs(9))),
            (429, after.clone(), Kind::Refused, Retry::After(Duration::from_secs(9))),
            (403, after, Kind::Refused, Retry::Never),
        ] {
            let failed = refused("h", StatusCode::from_u16(status).unwrap(), &of);
            assert_eq!((failed.failure.kind, failed.retry), (kind, retry), "{status}");
            assert!(failed.failure.hint.is_some());
        }
    }
}
