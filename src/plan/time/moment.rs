//! Moments: what a text says in a zone, and what the clocks of a zone show.

pub(in crate::plan) use super::moment_fields::Unreadable;
use super::moment_fields::{self, Written, Zone};
use crate::clock;
use crate::settings::TimeZone;

const US_A_SECOND: i64 = 1_000_000;
const US_A_DAY: i64 = 86_400 * US_A_SECOND;

/// A zone by its name, in any case, or by its hours east of UTC.
pub(in crate::plan) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::read(name)
}

/// The moment at which the clocks of a zone show a time, both µs since 1970. An hour that they leave out is read by the offset before it.
pub(super) fn of_local(local_us: i64, zone: TimeZone) -> Option<i64> {
    if is_infinite(local_us) {
        return Some(local_us);
    }
    let offset_us = |us: i64| i64::from(zone.offset_s(us)) * US_A_SECOND;
    // The offsets before any change of the clocks near by and behind it. An hour that is shown twice is the later one, as in Postgres.
    let (before, after) = (offset_us(local_us.saturating_sub(US_A_DAY)), offset_us(local_us.saturating_add(US_A_DAY)));
    let (first, second) = (local_us.checked_sub(before)?, local_us.checked_sub(after)?);
    Some(if offset_us(second) == after { second } else { first })
}

/// What the clocks of a zone show at a moment, both µs since 1970.
pub(super) fn to_local(us: i64, zone: TimeZone) -> Option<i64> {
    if is_infinite(us) {
        return Some(us);
    }
    us.checked_add(i64::from(zone.offset_s(us)).checked_mul(US_A_SECOND)?)
}

/// Whether a time is before or behind all others, whatever the clocks.
fn is_infinite(us: i64) -> bool {
    matches!(us, i64::MAX | i64::MIN)
}

/// The µs since 1970 of a timestamp without a zone; one that is written is passed over, as in Postgres.
pub(in crate::plan) fn timestamp_us(text: &str) -> Result<i64, Unreadable> {
    match moment_fields::read(text)? {
        Written::Local(us, _) => Ok(us),
        other => moment_us(other, TimeZone::default()),
    }
}

/// The same of a timestamp with a zone: the one that is written, or else the one that is given.
pub(in crate::plan) fn timestamptz_us(text: &str, given: TimeZone) -> Result<i64, Unreadable> {
    moment_us(moment_fields::read(text)?, given)
}

/// The µs of the time of a day.
pub(in crate::plan) fn time_us(text: &str) -> Result<i64, Unreadable> {
    moment_fields::time(text)
}

/// Whether a text means another moment on another day: `today`, `tomorrow 12:00`.
pub(in crate::plan) fn passes(text: &str) -> bool {
    // Most texts begin with a digit.
    !text.trim_start().starts_with(|c: char| c.is_ascii_digit())
        && matches!(moment_fields::read(text), Ok(Written::Now | Written::Days(..)))
}

fn moment_us(written: Written, given: TimeZone) -> Result<i64, Unreadable> {
    let (local_us, zone) = match written {
        Written::Infinite(sign) => return Ok(if sign > 0 { i64::MAX } else { i64::MIN }),
        Written::Now => return Ok(clock::now_us()),
        Written::Days(days, of_day, zone) => {
            let today = to_local(clock::now_us(), given).ok_or(Unreadable::Range)?.div_euclid(US_A_DAY);
            ((today + days) * US_A_DAY + of_day, zone)
        }
        Written::Local(us, zone) => (us, zone),
    };
    match zone {
        Some(Zone::Offset(seconds)) => local_us.checked_sub(seconds * US_A_SECOND).ok_or(Unreadable::Range),
        Some(Zone::Named(zone)) => of_local(local_us, zone).ok_or(Unreadable::Range),
        None => of_local(local_us, given).ok_or(Unreadable::Range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-01 12:30 UTC.
    const HALF_PAST: i64 = 1_777_638_600 * US_A_SECOND;

    #[test]
    fn times_are_read_in_every_form() {
        let utc = TimeZone::default();
        for text in [
            "2026-05-01 12:30",
            "2026-05-01T12:30",
            "2026-05-01T12:30:00Z",
            "2026-5-1  12:30:00.000 UTC",
            "20260501 12:30",
            "2026-05-01 14:30+02",
            "2026-05-01 14:30 +0200",
            "2026-05-01 07:00:00-05:30",
            "2026-05-01 14:30 europe/berlin",
            "2026-05-01 12:30 PM",
            "May 1 2026 12:30",
            "1 May 2026 12:30 pm",
            "Friday, May 1, 2026, 12:30",
            "Fri May 01 12:30:00 2026",
            "may-1-2026 12:30",
            "2026-May-01 12:30",
            "01-May-26 12:30",
            "5/1/2026 12:30",
            "5/1/26 1230",
            "2026/05/01 12:30",
            "2026.05.01 12:30",
            "20260501T123000Z",
            "260501 123000",
            "12:30 2026-05-01",
            "2026-05-01 14:30 CEST",
            "2026-05-01 07:30 EST",
            "2026-05-01 07:30 gmt+5",
            "2026-05-01 7:30 AM -0500",
        ] {
            assert_eq!(timestamptz_us(text, utc), Ok(HALF_PAST), "{text}");
        }
        assert_eq!(timestamptz_us("2026-05-01 14:30", zone("EUROPE/Berlin").unwrap()), Ok(HALF_PAST));
        assert_eq!(timestamp_us("2026-05-01 12:30+02"), Ok(HALF_PAST));
        assert_eq!(timestamp_us("2026-05-01 12:30:15.5"), Ok(HALF_PAST + 15_500_000));
        assert_eq!(timestamp_us("2026-05-01"), Ok(HALF_PAST - 45_000 * US_A_SECOND));
        assert_eq!(timestamp_us("2026-05-01 24:00"), Ok(HALF_PAST + 41_400 * US_A_SECOND));
        assert_eq!(timestamptz_us("epoch", utc), Ok(0));
        assert_eq!(timestamptz_us("infinity", utc), Ok(i64::MAX));
    }

    #[test]
    fn a_day_that_is_named_is_that_of_the_clocks() {
        let berlin = zone("Europe/Berlin").unwrap();
        let day = |text: &str| timestamptz_us(text, berlin).unwrap();
        assert_eq!(day("tomorrow 00:00"), day("tomorrow"));
        assert_eq!(
            to_local(day("today 12:30"), berlin).unwrap() - to_local(day("yesterday"), berlin).unwrap(),
            US_A_DAY + 45_000 * US_A_SECOND
        );
        assert!((day("now") - day("today")).abs() <= US_A_DAY + 3600 * US_A_SECOND);
        assert!(passes(" Tomorrow 12:00") && passes("now") && !passes("epoch") && !passes("May 1 2026"));
    }

    #[test]
    fn a_time_of_a_day_is_read_by_itself() {
        for (text, expected) in
            [("03:04 PM", 54_240), ("030405", 11_045), ("0304", 11_040), ("12:00 AM", 0), ("allballs", 0), ("24:00", 86_400)]
        {
            assert_eq!(time_us(text), Ok(expected * US_A_SECOND), "{text}");
        }
        assert_eq!(time_us("2026-05-01 03:04"), Ok(11_040 * US_A_SECOND));
        assert_eq!(time_us("2026-05-01"), Err(Unreadable::Form));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for (text, why) in [
            ("", Unreadable::Form),
            ("zz", Unreadable::Form),
            ("2026-05-01 12", Unreadable::Form),
            ("2026-05-01 12:3:", Unreadable::Form),
            ("2026-05-01 12:30+", Unreadable::Form),
            ("2026-02-30", Unreadable::Range),
            ("2026-05-01 25:00", Unreadable::Range),
            ("2026-05-01 12:60", Unreadable::Range),
            ("2026-05-01 12:30 Mars/Base", Unreadable::Zone),
            ("13/1/2026", Unreadable::Range),
            ("99-01-02", Unreadable::Range),
            ("0000-01-01", Unreadable::Range),
            ("2026-05-01 13:04 PM", Unreadable::Range),
            ("2026-05-01 PM", Unreadable::Form),
            ("May 2026", Unreadable::Form),
            ("May 1 June 2026", Unreadable::Form),
            ("Foo 1 2026", Unreadable::Form),
            ("2026-05-01 12:30 12:31", Unreadable::Form),
            ("2026-05-01 +01 +02", Unreadable::Form),
            ("2026-05-01 today", Unreadable::Form),
            ("44-03-15 BC", Unreadable::Range),
            ("0000-03-15 BC", Unreadable::Range),
            ("0044-03-15 BC AD", Unreadable::Form),
        ] {
            assert_eq!(timestamp_us(text), Err(why), "{text}");
        }
    }

    #[test]
    fn clocks_that_are_changed_show_an_hour_twice_or_not_at_all() {
        let berlin = zone("Europe/Berlin").unwrap();
        let at = |text: &str| timestamptz_us(text, berlin).unwrap();
        // In PostgreSQL: SET timezone = 'Europe/Berlin'; SELECT timestamptz '2026-10-25 02:30' AT TIME ZONE 'UTC', …
        assert_eq!(at("2026-03-29 02:30"), timestamp_us("2026-03-29 01:30").unwrap());
        assert_eq!(at("2026-03-29 03:30"), timestamp_us("2026-03-29 01:30").unwrap());
        assert_eq!(at("2026-10-25 02:30"), timestamp_us("2026-10-25 01:30").unwrap());
        assert_eq!(at("2026-10-25 01:30"), timestamp_us("2026-10-24 23:30").unwrap());
        for us in [at("2026-03-29 03:30"), at("2026-07-01 00:00")] {
            assert_eq!(of_local(to_local(us, berlin).unwrap(), berlin), Some(us));
        }
    }
}
