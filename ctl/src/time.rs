//! Times and durations as people type them: `10m`, `2h ago`, `yesterday`, `08:00`, `2026-11-23 08:00`, RFC 3339.
//! Also how they are shown, and the local clock.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, ToSpan, Unit, Zoned};
use netkit_proto::time::Timestamp;
use std::path::{Component, Path};
use std::sync::OnceLock;
use std::time::Duration;

/// The present time in the local time zone.
#[must_use]
pub(crate) fn now() -> Zoned {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let read =
        || std::env::var("TZ").ok().and_then(|name| named_zone(&name)).unwrap_or_else(TimeZone::system);
    jiff::Timestamp::now().to_zoned(ZONE.get_or_init(read).clone())
}

/// The zone of a name such as `Asia/Shanghai`. jiff would list the whole zone database to find it, which takes a
/// millisecond at every start, named or not; what else `TZ` and /etc/localtime can say is left to jiff.
fn named_zone(name: &str) -> Option<TimeZone> {
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.is_empty() || !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let data = std::fs::read(Path::new("/usr/share/zoneinfo").join(name)).ok()?;
    TimeZone::tzif(name, &data).ok()
}

/// Reads a duration: `90` (seconds), `1.5s`, `10m`, `2h 30m`, `7d`, `1w`.
///
/// # Errors
/// A sentence that says what a duration looks like.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let not_one = || format!("{text:?} is not a duration such as 90, 1.5s, 10m, 2h, 7d");
    if text.contains(':') {
        return Err(not_one()); // a time of the day, which jiff would read as hours, minutes and seconds
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| not_one());
    }
    let span: Span = text.trim_end_matches("ago").trim_end().parse().map_err(|_| not_one())?;
    // Months and years have no fixed length and are refused here.
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| not_one())?;
    Duration::try_from(duration).map_err(|_| not_one())
}

/// Reads a point in time, seen from `now` and in its time zone.
///
/// # Errors
/// A sentence that says what a time looks like.
pub(crate) fn parse_when(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    let zone = now.time_zone();
    let local = |time: DateTime| time.to_zoned(zone.clone()).ok();
    let midnight = |days: i64| now.date().checked_add(days.days()).ok().and_then(|d| local(d.at(0, 0, 0, 0)));
    let found = match text {
        "now" => Some(now.clone()),
        "today" => midnight(0),
        "yesterday" => midnight(-1),
        _ => {
            // The type with the most parts first: each reads only what has all of its own.
            if let Ok(exact) = Timestamp::parse(text) {
                return Ok(exact);
            }
            if let Ok(ago) = parse_duration(text) {
                now.checked_sub(ago).ok()
            } else if let Ok(date) = text.parse::<Date>()
                && text.len() <= "2026-11-23".len()
            {
                local(date.at(0, 0, 0, 0))
            } else if let Ok(time) = text.parse::<DateTime>() {
                local(time)
            } else if let Ok(time) = text.parse::<Time>() {
                local(now.date().to_datetime(time))
            } else {
                None
            }
        }
    };
    found.map(|time| Timestamp(time.timestamp().as_millisecond())).ok_or_else(|| {
        format!("{text:?} is not a time such as 10m, \"2h ago\", yesterday, 08:00, 2026-11-23, \"2026-11-23 08:00\"")
    })
}

/// A duration for people: its two largest units.
#[must_use]
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A point in time in the time zone of `now`, to the second; the date only where it is not that of `now`.
#[must_use]
pub(crate) fn show_time(at: Timestamp, now: &Zoned) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return at.to_string() };
    let at = at.to_zoned(now.time_zone().clone());
    let second = at.round(jiff::ZonedRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc));
    let time = second.map_or_else(|_| at.time(), |at| at.time());
    if at.date() == now.date() { time.to_string() } else { format!("{} {time}", at.date()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-23T08:30:00+01:00[+01:00]".parse().unwrap()
    }

    #[test]
    fn zones_are_found_by_name() {
        assert!(named_zone("../../../etc/localtime").is_none() && named_zone("").is_none());
        assert!(named_zone("UTC+3").is_none(), "jiff reads these");
        if Path::new("/usr/share/zoneinfo/Asia/Shanghai").exists() {
            let noon = jiff::civil::date(2026, 11, 23).at(12, 0, 0, 0);
            let zoned = noon.to_zoned(named_zone(":Asia/Shanghai").unwrap()).unwrap();
            assert_eq!(zoned.offset().seconds(), 8 * 3600);
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("90", 90.0),
            ("1.5", 1.5),
            ("1.5s", 1.5),
            ("10m", 600.0),
            ("10 min", 600.0),
            ("2h", 7200.0),
            ("1h30m", 5400.0),
            ("7d", 604_800.0),
            ("1w", 604_800.0),
            ("250ms", 0.25),
            ("0", 0.0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "x", "-5", "-5m", "1 month", "1y", "5x", "08:00:05", "NaN", "inf", "1e400"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_in_the_local_zone() {
        for (text, expected) in [
            ("now", "2026-11-23T07:30:00Z"),
            ("10m", "2026-11-23T07:20:00Z"),
            ("2h ago", "2026-11-23T05:30:00Z"),
            ("2 hours ago", "2026-11-23T05:30:00Z"),
            ("7d", "2026-11-16T07:30:00Z"),
            ("today", "2026-11-22T23:00:00Z"),
            ("yesterday", "2026-11-21T23:00:00Z"),
            ("08:00", "2026-11-23T07:00:00Z"),
            ("08:00:05", "2026-11-23T07:00:05Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("2026-11-20 08:00", "2026-11-20T07:00:00Z"),
            ("2026-11-20T08:00:01", "2026-11-20T07:00:01Z"),
            ("2026-11-20T08:00:01Z", "2026-11-20T08:00:01Z"),
            ("2026-11-20T08:00:01.5+08:00", "2026-11-20T00:00:01.5Z"),
        ] {
            assert_eq!(parse_when(text, &now()), Ok(Timestamp::parse(expected).unwrap()), "{text}");
        }
        for text in ["", "soon", "25:00", "2026-13-01", "8 o'clock"] {
            assert!(parse_when(text, &now()).is_err(), "{text}");
        }
    }

    #[test]
    fn times_and_durations_are_shown_short() {
        let at = |text| show_time(Timestamp::parse(text).unwrap(), &now());
        assert_eq!(at("2026-11-23T07:13:05.999Z"), "08:13:05");
        assert_eq!(at("2026-11-23T07:13:00Z"), "08:13:00");
        assert_eq!(at("2026-11-22T07:13:05Z"), "2026-11-22 08:13:05");
        for (seconds, text) in
            [(5, "5 s"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h"), (0, "0 s")]
        {
            assert_eq!(show_duration(Duration::from_secs(seconds)), text);
        }
    }
}
