//! Times as Postgres reads them: `2026-05-01 12:30`, with or without seconds, with `T` or a blank, with an offset or the name of a zone.

use chrono::{NaiveDate, NaiveTime};

use crate::settings::TimeZone;

const US_A_SECOND: i64 = 1_000_000;
const US_A_DAY: i64 = 86_400 * US_A_SECOND;

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It has another form.
    Form,
    /// There is no such day, hour, minute or second.
    Range,
    /// There is no such zone.
    Zone,
}

/// A zone by its name, in any case, or by its hours east of UTC.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
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
pub(super) fn timestamp_us(text: &str) -> Result<i64, Unreadable> {
    Ok(read(text)?.0)
}

/// The µs since 1970 of a timestamp with a zone: the one that is written, or else the one that is given.
pub(super) fn timestamptz_us(text: &str, given: TimeZone) -> Result<i64, Unreadable> {
    let (local_us, zone) = read(text)?;
    match zone {
        _ if is_infinite(local_us) => Ok(local_us),
        Some(Zone::Offset(seconds)) => local_us.checked_sub(seconds * US_A_SECOND).ok_or(Unreadable::Range),
        Some(Zone::Named(zone)) => of_local(local_us, zone).ok_or(Unreadable::Range),
        None => of_local(local_us, given).ok_or(Unreadable::Range),
    }
}

/// The zone that a text ends with.
enum Zone {
    Offset(i64),
    Named(TimeZone),
}

fn read(text: &str) -> Result<(i64, Option<Zone>), Unreadable> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "epoch" => return Ok((0, Some(Zone::Offset(0)))),
        "infinity" | "+infinity" => return Ok((i64::MAX, None)),
        "-infinity" => return Ok((i64::MIN, None)),
        _ => {}
    }
    let mut rest = Rest(text);
    let date = date(&mut rest)?;
    let had_blank = rest.blank() || rest.take(|c| matches!(c, 'T' | 't'));
    let of_day = if had_blank && rest.0.starts_with(|c: char| c.is_ascii_digit()) { clock(&mut rest)? } else { 0 };
    rest.blank();
    let zone = if rest.0.is_empty() { None } else { Some(written_zone(rest.0)?) };
    let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    Ok((midnight.checked_add(of_day).ok_or(Unreadable::Range)?, zone))
}

fn date(rest: &mut Rest<'_>) -> Result<NaiveDate, Unreadable> {
    let digits = rest.digits();
    let number = |text: &str| text.parse::<u32>().map_err(|_| Unreadable::Form);
    let (year, month, day) = match digits.len() {
        // 20260501
        8 => (digits.get(..4), digits.get(4..6), digits.get(6..)),
        4..=6 if rest.take(|c| c == '-') => {
            let month = rest.digits();
            if !rest.take(|c| c == '-') {
                return Err(Unreadable::Form);
            }
            (Some(digits), Some(month), Some(rest.digits()))
        }
        _ => return Err(Unreadable::Form),
    };
    let (Some(year), Some(month), Some(day)) = (year, month, day) else { return Err(Unreadable::Form) };
    if !(1..=2).contains(&month.len()) || !(1..=2).contains(&day.len()) {
        return Err(Unreadable::Form);
    }
    let year = year.parse::<i32>().map_err(|_| Unreadable::Form)?;
    // There is no year 0: it would be 1 BC.
    if year == 0 {
        return Err(Unreadable::Range);
    }
    NaiveDate::from_ymd_opt(year, number(month)?, number(day)?).ok_or(Unreadable::Range)
}

/// `12:30`, `12:30:15.5`, µs of the day. 24:00:00 is the midnight behind it, and a leap second the second behind it.
fn clock(rest: &mut Rest<'_>) -> Result<i64, Unreadable> {
    let part = |digits: &str| {
        if (1..=2).contains(&digits.len()) { digits.parse::<i64>().map_err(|_| Unreadable::Form) } else { Err(Unreadable::Form) }
    };
    let hour = part(rest.digits())?;
    if !rest.take(|c| c == ':') {
        return Err(Unreadable::Form);
    }
    let minute = part(rest.digits())?;
    let (mut second, mut us) = (0, 0);
    if rest.take(|c| c == ':') {
        second = part(rest.digits())?;
        if rest.take(|c| matches!(c, '.' | ',')) {
            let fraction = format!("0.{}", rest.digits());
            us = (fraction.parse::<f64>().map_err(|_| Unreadable::Form)? * 1e6).round() as i64;
        }
    }
    let of_day = (hour * 3600 + minute * 60 + second) * US_A_SECOND + us;
    if hour > 24 || minute > 59 || second > 60 || of_day > US_A_DAY { Err(Unreadable::Range) } else { Ok(of_day) }
}

/// `Z`, `+02`, `+0200`, `+02:00`, `-03:30:15`, `Europe/Berlin`.
fn written_zone(text: &str) -> Result<Zone, Unreadable> {
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(east), _) => (1, east),
        (_, Some(west)) => (-1, west),
        // A word that is no zone is no time either; what is written as zones are is one that there is not.
        _ => return zone(text).map(Zone::Named).ok_or(if text.contains('/') { Unreadable::Zone } else { Unreadable::Form }),
    };
    let parts: Vec<&str> = match digits.split(':').collect::<Vec<_>>() {
        // +0200
        parts if parts.len() == 1 && matches!(digits.len(), 4) => vec![digits.get(..2).unwrap_or(""), digits.get(2..).unwrap_or("")],
        parts => parts,
    };
    if parts.is_empty() || parts.len() > 3 {
        return Err(Unreadable::Form);
    }
    let mut seconds = 0;
    for (part, unit_s) in parts.iter().zip([3600, 60, 1]) {
        if !(1..=2).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Unreadable::Form);
        }
        let number = part.parse::<i64>().map_err(|_| Unreadable::Form)?;
        // Less than 16 hours, and less than 60 of what is smaller.
        if number > if unit_s == 3600 { 15 } else { 59 } {
            return Err(Unreadable::Range);
        }
        seconds += number * unit_s;
    }
    Ok(Zone::Offset(sign * seconds))
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn digits(&mut self) -> &'a str {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let mut characters = self.0.chars();
        let found = characters.next().is_some_and(wanted);
        if found {
            self.0 = characters.as_str();
        }
        found
    }

    fn blank(&mut self) -> bool {
        let rest = self.0.trim_start();
        let found = rest.len() < self.0.len();
        self.0 = rest;
        found
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
