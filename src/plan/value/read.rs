//! Texts as the values that Postgres reads them as: times, intervals and bytes, for casts and for parameters alike.

use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::arrow::datatypes::IntervalMonthDayNano;

use crate::error::{Error, Result};
use crate::plan::time::moment::{self, Unreadable};
use crate::settings::TimeZone;

const US_A_DAY: i64 = 86_400_000_000;

/// The µs since 1970 of a timestamp without a zone. Errs with 22007 for a text of another form, with 22008 for a day or hour that there is not, with
/// 22023 for a zone that there is not.
pub fn timestamp(text: &str) -> Result<i64> {
    moment::timestamp_us(text).map_err(|why| unreadable(text, "timestamp", why))
}

/// The same of a timestamp with a zone: the one that is written, or else the one that is given.
pub fn timestamptz(text: &str, zone: TimeZone) -> Result<i64> {
    moment::timestamptz_us(text, zone).map_err(|why| unreadable(text, "timestamp with time zone", why))
}

/// The days since 1970 of a date, or of the day of a timestamp; those of infinity are the last, or the first, that there are.
pub fn date(text: &str) -> Result<i32> {
    let us = moment::timestamp_us(text).map_err(|why| unreadable(text, "date", why))?;
    if let Some(days) = days_of_infinity(us) {
        return Ok(days);
    }
    i32::try_from(us.div_euclid(US_A_DAY)).map_err(|_| unreadable(text, "date", Unreadable::Range))
}

/// The days of a moment that is before, or behind, all others; None for others.
pub(super) fn days_of_infinity(us: i64) -> Option<i32> {
    match us {
        i64::MAX => Some(i32::MAX),
        i64::MIN => Some(i32::MIN),
        _ => None,
    }
}

/// The µs of the time of a day. Errs as above.
pub fn time(text: &str) -> Result<i64> {
    match moment::time_us(text) {
        Ok(us) if us < US_A_DAY => Ok(us),
        Ok(_) => Err(unreadable(text, "time", Unreadable::Range)),
        Err(why) => Err(unreadable(text, "time", why)),
    }
}

fn unreadable(text: &str, name: &str, why: Unreadable) -> Error {
    let (code, message) = match why {
        Unreadable::Form => ("22007", format!("invalid input syntax for type {name}: \"{text}\"")),
        Unreadable::Range => ("22008", format!("date/time field value out of range: \"{text}\"")),
        Unreadable::Zone => ("22023", format!("time zone of \"{text}\" not recognized")),
    };
    Error::Encode { code, message }
}

/// `\x0aff`, or plain characters with `\\` and `\ooo` among them; None for what is neither.
pub fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let digit = |c: &u8| u8::try_from(char::from(*c).to_digit(16)?).ok();
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? * 16 + digit(low)?),
            _ => None,
        };
        return digits.as_bytes().chunks(2).map(pair).collect();
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [b'\\', ..]) => {
                bytes.push(b'\\');
                rest = after.get(1..)?;
            }
            (b'\\', _) => {
                let octal = after.get(..3).filter(|digits| digits.iter().all(|c| (b'0'..=b'7').contains(c)))?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?);
                rest = after.get(3..)?;
            }
            (plain, _) => {
                bytes.push(*plain);
                rest = after;
            }
        }
    }
    Some(bytes)
}

/// An interval in any form of Postgres but SQL's own: `1 year 2 mons -3 days 04:05:06.7`, `1 day, 2:00:00`, `1.5 hours ago`, `P1DT2H`. None for others.
pub fn interval(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.trim();
    let read = match text.strip_prefix('P') {
        Some(of_iso) => iso(of_iso),
        None => words(text),
    };
    // Arrow knows some other names of units.
    let others =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'.' | b'-')) && !text.starts_with('P');
    read.or_else(|| parse_interval_month_day_nano(text).ok().filter(|_| others))
}

/// The parts of an interval, what is left of a month or a day in the smaller ones.
#[derive(Default)]
struct Parts {
    months: f64,
    days: f64,
    us: f64,
}

impl Parts {
    /// Adds a number of a unit; None for a unit that is not known.
    fn add(&mut self, number: f64, unit: &str) -> Option<()> {
        let (months, days, us) = match unit {
            "us" | "usec" | "usecs" | "microsecond" | "microseconds" => (0.0, 0.0, 1.0),
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => (0.0, 0.0, 1e3),
            "s" | "sec" | "secs" | "second" | "seconds" => (0.0, 0.0, 1e6),
            "m" | "min" | "mins" | "minute" | "minutes" => (0.0, 0.0, 60e6),
            "h" | "hr" | "hrs" | "hour" | "hours" => (0.0, 0.0, 3600e6),
            "d" | "day" | "days" => (0.0, 1.0, 0.0),
            "w" | "week" | "weeks" => (0.0, 7.0, 0.0),
            "mon" | "mons" | "month" | "months" => (1.0, 0.0, 0.0),
            "y" | "yr" | "yrs" | "year" | "years" => (12.0, 0.0, 0.0),
            "decade" | "decades" => (120.0, 0.0, 0.0),
            "century" | "centuries" => (1200.0, 0.0, 0.0),
            "millennium" | "millennia" => (12_000.0, 0.0, 0.0),
            _ => return None,
        };
        self.us += number * us;
        let of_days = number * days;
        let of_months = number * months;
        // A part of a month is one of 30 days, and a part of a day one of 24 hours; of a year only whole months count.
        let whole_months = if months > 1.0 { of_months.round() } else { of_months.trunc() };
        self.months += whole_months;
        let of_both = if months > 1.0 { of_days } else { of_days + (of_months - whole_months) * 30.0 };
        // 0.7 months are 21 days, which no float says exactly.
        let left_days = (of_both * 1e9).round() / 1e9;
        let whole_days = left_days.trunc();
        self.days += whole_days;
        self.us += ((left_days - whole_days) * US_A_DAY as f64).round();
        Some(())
    }

    fn whole(self) -> Option<IntervalMonthDayNano> {
        let of_32 = |part: f64| (part.abs() <= f64::from(i32::MAX)).then_some(part as i32);
        // Below 2^53 a float holds every µs.
        let us = (self.us.abs() <= 9.2e15).then_some(self.us.round() as i64)?;
        Some(IntervalMonthDayNano { months: of_32(self.months)?, days: of_32(self.days)?, nanoseconds: us.checked_mul(1_000)? })
    }
}

fn words(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.to_ascii_lowercase();
    // `1h30m` is written without blanks too.
    let mut spaced = String::with_capacity(text.len() * 2);
    let mut last = ' ';
    for c in text.chars() {
        if c == ',' {
            spaced.push(' ');
        } else {
            if last.is_ascii_digit() && c.is_ascii_alphabetic() || last.is_ascii_alphabetic() && c.is_ascii_digit() {
                spaced.push(' ');
            }
            spaced.push(c);
        }
        last = c;
    }
    let mut words = spaced.split_whitespace().peekable();
    words.peek()?;
    let (mut parts, mut ago) = (Parts::default(), false);
    while let Some(word) = words.next() {
        match word {
            "@" => continue,
            "ago" if words.peek().is_none() => {
                ago = true;
                continue;
            }
            clock if clock.contains(':') => {
                parts.us += clock_us(clock)?;
                continue;
            }
            _ => {}
        }
        // `1-2` is a year and two months.
        if let Some((years, months)) = word.split_once('-').filter(|(years, _)| !years.is_empty()) {
            parts.add(number(years)?, "y")?;
            parts.add(number(months)?, "mon")?;
            continue;
        }
        let number = number(word)?;
        match words.next() {
            // `1 2:03` is a day and two hours.
            Some(clock) if clock.contains(':') => {
                parts.add(number, "d")?;
                parts.us += clock_us(clock)?;
            }
            Some(unit) => parts.add(number, unit)?,
            // A number alone is one of seconds.
            None => parts.add(number, "s")?,
        }
    }
    if ago {
        parts = Parts { months: -parts.months, days: -parts.days, us: -parts.us };
    }
    parts.whole()
}

/// `04:05:06.7`, `-1:30`.
fn clock_us(clock: &str) -> Option<f64> {
    let (sign, clock) = clock.strip_prefix('-').map_or((1.0, clock.strip_prefix('+').unwrap_or(clock)), |clock| (-1.0, clock));
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let whole = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<f64>().ok()).flatten();
    let (minutes, seconds) = (whole(minutes)?, number(seconds)?);
    let fits = parts.next().is_none() && minutes < 60.0 && (0.0..=60.0).contains(&seconds);
    fits.then_some(sign * (whole(hours)? * 3600e6 + minutes * 60e6 + (seconds * 1e6).round()))
}

/// A decimal number: no `nan`, no `1e3`.
fn number(text: &str) -> Option<f64> {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+')).then(|| text.parse().ok()).flatten()
}

/// `1DT2H30M`, what stands behind the P.
fn iso(text: &str) -> Option<IntervalMonthDayNano> {
    let (mut parts, mut of_time, mut digits) = (Parts::default(), false, String::new());
    let mut any = false;
    for c in text.to_ascii_uppercase().chars() {
        let unit = match c {
            'T' if !of_time && digits.is_empty() => {
                of_time = true;
                continue;
            }
            'Y' if !of_time => "y",
            'M' if !of_time => "mon",
            'W' if !of_time => "w",
            'D' if !of_time => "d",
            'H' if of_time => "h",
            'M' => "m",
            'S' if of_time => "s",
            '0'..='9' | '.' | '-' | '+' => {
                digits.push(c);
                continue;
            }
            _ => return None,
        };
        parts.add(number(&digits)?, unit)?;
        digits.clear();
        any = true;
    }
    if any && digits.is_empty() { parts.whole() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_every_form() {
        let span = |months, days, seconds: f64| Some(IntervalMonthDayNano { months, days, nanoseconds: (seconds * 1e9).round() as i64 });
        for (text, expected) in [
            ("1 year 2 mons -3 days 04:05:06.5", span(14, -3, 14_706.5)),
            ("1 day 01:02:03.456", span(0, 1, 3723.456)),
            ("1 day, 2:00:00", span(0, 1, 7200.0)),
            ("P1DT2H", span(0, 1, 7200.0)),
            ("P1Y2M3DT4H5M6.5S", span(14, 3, 14_706.5)),
            ("PT-0.5S", span(0, 0, -0.5)),
            ("1.5 hours", span(0, 0, 5400.0)),
            ("1.5 days", span(0, 1, 43_200.0)),
            ("1.5 months", span(1, 15, 0.0)),
            ("1.5 years", span(18, 0, 0.0)),
            ("2 weeks 1 day", span(0, 15, 0.0)),
            ("01:30", span(0, 0, 5400.0)),
            ("-00:00:01", span(0, 0, -1.0)),
            ("1h30m", span(0, 0, 5400.0)),
            ("1 2:03", span(0, 1, 7380.0)),
            ("1-2", span(14, 0, 0.0)),
            ("0.7 months", span(0, 21, 0.0)),
            ("1 hour ago", span(0, 0, -3600.0)),
            ("90", span(0, 0, 90.0)),
            ("500 ms", span(0, 0, 0.5)),
        ] {
            assert_eq!(interval(text), expected, "{text}");
        }
        for text in ["", "zz", "P", "PT", "P1", "1:99", "1 flock"] {
            assert_eq!(interval(text), None, "{text}");
        }
    }

    #[test]
    fn errors_have_the_codes_of_postgres() {
        let code = |text: &str| timestamptz(text, TimeZone::default()).unwrap_err().to_string();
        assert!(code("zz").contains("invalid input syntax for type timestamp with time zone"));
        assert!(code("2026-13-01").contains("out of range"));
        assert_eq!(date("1969-12-31 23:00").unwrap(), -1);
    }
}
