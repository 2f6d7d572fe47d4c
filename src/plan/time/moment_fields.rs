//! The fields of a time that is written, as Postgres reads them: `2026-05-01 12:30`, `May 1, 2026 3:04 PM`, `5/1/2026`, `20260501T030405Z`. Of dates
//! with bare numbers the month comes first, unless the first number is a year.

use chrono::{NaiveDate, NaiveTime};

use crate::settings::TimeZone;

const US_A_SECOND: i64 = 1_000_000;
const US_A_DAY: i64 = 86_400 * US_A_SECOND;

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Other short names of days than the first three letters, and what may stand in a time and says nothing.
const PASSED_OVER: [&str; 6] = ["tues", "thur", "thurs", "weds", "at", "on"];

/// Names of clocks that stand still, in minutes east of UTC: of those that Postgres knows, the ones that people write.
const CLOCKS: [(&str, i64); 38] = [
    ("z", 0),
    ("zulu", 0),
    ("utc", 0),
    ("uct", 0),
    ("gmt", 0),
    ("ut", 0),
    ("wet", 0),
    ("west", 60),
    ("bst", 60),
    ("cet", 60),
    ("met", 60),
    ("cest", 120),
    ("mest", 120),
    ("eet", 120),
    ("ist", 120),
    ("eest", 180),
    ("msk", 180),
    ("msd", 240),
    ("hkt", 480),
    ("awst", 480),
    ("jst", 540),
    ("kst", 540),
    ("acst", 570),
    ("aest", 600),
    ("acdt", 630),
    ("aedt", 660),
    ("nzst", 720),
    ("nzdt", 780),
    ("nst", -210),
    ("ndt", -150),
    ("adt", -180),
    ("ast", -240),
    ("edt", -240),
    ("est", -300),
    ("cdt", -300),
    ("cst", -360),
    ("mdt", -360),
    ("mst", -420),
];
const WESTERN: [(&str, i64); 6] = [("pdt", -420), ("pst", -480), ("akdt", -480), ("akst", -540), ("hst", -600), ("sast", 120)];

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Unreadable {
    /// It has another form.
    Form,
    /// There is no such day, hour, minute or second.
    Range,
    /// There is no such zone.
    Zone,
}

/// The zone that is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::plan) enum Zone {
    /// Seconds east of UTC.
    Offset(i64),
    /// By its name.
    Named(TimeZone),
}

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::plan) enum Written {
    /// Before or behind all others: the sign.
    Infinite(i64),
    /// The moment at which it is read.
    Now,
    /// So many days from the one at which it is read, and µs of that day.
    Days(i64, i64, Option<Zone>),
    /// µs since 1970 of what clocks show.
    Local(i64, Option<Zone>),
}

/// One field, in lower case.
#[derive(Debug, PartialEq)]
enum Field<'a> {
    /// Parts with `-`, `/` or `.` between them, or the name of a zone that has such in it.
    Parts(&'a str),
    /// With a colon.
    Clock(&'a str),
    /// Behind a sign: positive for east.
    Offset(i64, &'a str),
    Number(&'a str),
    Word(&'a str),
}

/// Reads a time.
pub(in crate::plan) fn read(text: &str) -> Result<Written, Unreadable> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "epoch" => return Ok(Written::Local(0, Some(Zone::Offset(0)))),
        "infinity" | "+infinity" => return Ok(Written::Infinite(1)),
        "-infinity" => return Ok(Written::Infinite(-1)),
        "now" => return Ok(Written::Now),
        _ => {}
    }
    let mut found = Found::default();
    for field in fields(&text)? {
        found.take(field)?;
    }
    let of_day = found.of_day()?;
    match found.days {
        Some(days) => Ok(Written::Days(days, of_day.unwrap_or(0), found.zone)),
        None => {
            let midnight = found.date()?.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
            Ok(Written::Local(midnight.checked_add(of_day.unwrap_or(0)).ok_or(Unreadable::Range)?, found.zone))
        }
    }
}

/// Reads the time of a day, µs; a date beside it is passed over.
pub(in crate::plan) fn time(text: &str) -> Result<i64, Unreadable> {
    let text = text.trim().to_ascii_lowercase();
    let mut found = Found::default();
    for field in fields(&text)? {
        match field {
            // Without a date a number is one of hours, minutes and perhaps seconds.
            Field::Number(digits) if found.numbers.iter().all(Option::is_none) && found.clock.is_none() => found.clock_together(digits)?,
            other => found.take(other)?,
        }
    }
    found.of_day()?.ok_or(Unreadable::Form)
}

fn fields(text: &str) -> Result<Vec<Field<'_>>, Unreadable> {
    let (mut fields, mut rest) = (Vec::new(), text);
    let digit = |c: char| c.is_ascii_digit();
    while let Some(first) = rest.chars().next() {
        let end_of = |from: usize, more: &dyn Fn(char) -> bool| {
            let behind = rest.get(from..).unwrap_or_default();
            from + behind.find(|c| !more(c)).unwrap_or(behind.len())
        };
        let at = |place: usize| rest.get(place..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
        let part = |end: usize| rest.get(..end).unwrap_or_default();
        let mut end = first.len_utf8();
        match first {
            _ if digit(first) => {
                end = end_of(0, &digit);
                let mark = at(end);
                fields.push(match mark {
                    ':' => {
                        end = end_of(end, &|c| digit(c) || c == ':' || c == '.');
                        Field::Clock(part(end))
                    }
                    '-' | '/' | '.' if digit(at(end + 1)) => {
                        end = end_of(end + 1, &digit);
                        let dated = at(end) == mark;
                        if dated {
                            end = end_of(end, &|c| digit(c) || c == mark);
                        }
                        if dated || mark != '.' { Field::Parts(part(end)) } else { Field::Number(part(end)) }
                    }
                    '-' | '/' | '.' => {
                        end = end_of(end, &|c| c.is_ascii_alphanumeric() || c == mark);
                        Field::Parts(part(end))
                    }
                    _ => Field::Number(part(end)),
                });
            }
            _ if first.is_ascii_alphabetic() => {
                end = end_of(0, &|c| c.is_ascii_alphabetic());
                let marked = matches!(at(end), '-' | '/' | '.') || (at(end) == '+' || digit(at(end))) && !is_word(part(end));
                if marked {
                    end = end_of(end, &|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '/' | '_' | '.' | ':'));
                }
                fields.push(if marked { Field::Parts(part(end)) } else { Field::Word(part(end)) });
            }
            '+' | '-' => {
                let begin = end_of(1, &char::is_whitespace);
                end = end_of(begin, &|c| digit(c) || c == ':');
                if end == begin {
                    return Err(Unreadable::Form);
                }
                fields.push(Field::Offset(if first == '-' { -1 } else { 1 }, rest.get(begin..end).unwrap_or_default()));
            }
            c if c.is_whitespace() || c.is_ascii_punctuation() => {}
            _ => return Err(Unreadable::Form),
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(fields)
}

fn begins<const N: usize>(names: [&str; N], word: &str) -> Option<i64> {
    let at = names.iter().position(|name| *name == word || name.get(..3) == Some(word))?;
    i64::try_from(at).ok()
}

fn month(word: &str) -> Option<i64> {
    let word = if word == "sept" { "sep" } else { word };
    begins(MONTHS, word).map(|at| at + 1)
}

/// Whether it is a word of times, and no name of a zone.
fn is_word(word: &str) -> bool {
    let others = ["t", "am", "pm", "ad", "bc", "now", "today", "tomorrow", "yesterday", "epoch", "infinity", "allballs", "j"];
    month(word).is_some() || begins(DAYS, word).is_some() || others.contains(&word) || PASSED_OVER.contains(&word)
}

/// What the fields have said so far.
#[derive(Default)]
struct Found {
    /// Year, month, day.
    numbers: [Option<i64>; 3],
    /// Whether the year was written with two digits or one.
    short_year: bool,
    /// Whether the month was written as a word.
    named_month: bool,
    /// Hour, and µs behind it.
    clock: Option<(i64, i64)>,
    /// AM is false, PM is true.
    afternoon: Option<bool>,
    /// AD is false, BC is true.
    before_christ: Option<bool>,
    days: Option<i64>,
    zone: Option<Zone>,
}

const YEAR: usize = 0;
const MONTH: usize = 1;
const DAY: usize = 2;

impl Found {
    fn take(&mut self, field: Field<'_>) -> Result<(), Unreadable> {
        match field {
            Field::Parts(text) if self.dated() => match text.split_once('-') {
                // `030405-08`: a time and its zone.
                Some((digits, offset)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                    self.run_together(digits)?;
                    self.set_zone(offset_of(-1, offset)?)
                }
                _ => self.set_zone(named(text)?),
            },
            Field::Parts(text) => self.parts(text),
            Field::Clock(text) => self.set_clock(clock(text)?),
            Field::Offset(sign, text) => self.set_zone(offset_of(sign, text)?),
            Field::Number(digits) if digits.contains('.') => self.run_together(digits),
            Field::Number(digits) if digits.len() >= 6 && (!self.dated() || self.clock.is_none()) => self.run_together(digits),
            Field::Number(digits) => self.number(digits),
            Field::Word(word) => self.word(word),
        }
    }

    fn dated(&self) -> bool {
        self.days.is_some() || self.numbers.iter().all(Option::is_some)
    }

    fn set(&mut self, place: usize, value: i64) -> Result<(), Unreadable> {
        match self.numbers.get_mut(place) {
            Some(number @ None) => {
                *number = Some(value);
                Ok(())
            }
            _ => Err(Unreadable::Form),
        }
    }

    fn set_zone(&mut self, zone: Zone) -> Result<(), Unreadable> {
        if self.zone.replace(zone).is_some() { Err(Unreadable::Form) } else { Ok(()) }
    }

    fn set_clock(&mut self, clock: (i64, i64)) -> Result<(), Unreadable> {
        if self.clock.replace(clock).is_some() { Err(Unreadable::Form) } else { Ok(()) }
    }

    /// `2026-05-01`, `May-1-2026`, `5/1/2026`: a month that is a word is known before the numbers are read.
    fn parts(&mut self, text: &str) -> Result<(), Unreadable> {
        let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
        let is_number = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
        for word in parts.iter().filter(|part| !is_number(part)) {
            self.named_month = true;
            self.set(MONTH, month(word).ok_or(Unreadable::Form)?)?;
        }
        for digits in parts.into_iter().filter(is_number) {
            self.number(digits)?;
        }
        if self.dated() { Ok(()) } else { Err(Unreadable::Form) }
    }

    fn number(&mut self, digits: &str) -> Result<(), Unreadable> {
        let value = digits.parse::<i64>().map_err(|_| Unreadable::Range)?;
        let long = digits.len() >= 3;
        let known = self.numbers.map(|number| number.is_some());
        let place = match known {
            _ if self.days.is_some() => return self.run_together(digits),
            [false, false, false] if long => YEAR,
            [false, true, false] if long && self.named_month => YEAR,
            [_, false, _] => MONTH,
            // `2-Jan-2026`: what was taken for a year is the day.
            [true, true, false] if long && self.named_month && self.short_year => {
                self.numbers.swap(YEAR, DAY);
                YEAR
            }
            [_, true, false] => DAY,
            [false, true, true] => YEAR,
            [true, true, true] => return self.run_together(digits),
        };
        if place == YEAR {
            self.short_year = digits.len() <= 2;
        }
        self.set(place, value)
    }

    /// `20260501`, `260501`, and behind a date `030405`, `0304`, `030405.5`.
    fn run_together(&mut self, digits: &str) -> Result<(), Unreadable> {
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok()).ok_or(Unreadable::Form);
        let none = self.numbers.iter().all(Option::is_none) && self.days.is_none();
        if !none || digits.len() < 6 || digits.contains('.') {
            return self.clock_together(digits);
        }
        let year = digits.len() - 4;
        self.short_year = year == 2;
        self.set(YEAR, number(digits.get(..year))?)?;
        self.set(MONTH, number(digits.get(year..year + 2))?)?;
        self.set(DAY, number(digits.get(year + 2..))?)
    }

    fn clock_together(&mut self, digits: &str) -> Result<(), Unreadable> {
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
        let seconds = match whole.len() {
            4 if fraction.is_none() => "00",
            6 => whole.get(4..).unwrap_or_default(),
            _ => return Err(Unreadable::Form),
        };
        let (hours, minutes) = (whole.get(..2).unwrap_or_default(), whole.get(2..4).unwrap_or_default());
        self.set_clock(clock(&format!("{hours}:{minutes}:{seconds}.{}", fraction.unwrap_or("0")))?)
    }

    fn word(&mut self, word: &str) -> Result<(), Unreadable> {
        if let Some(number) = month(word) {
            // `2 January 2026`: what was taken for a month is the day.
            if !self.named_month && self.numbers.get(DAY) == Some(&None) && self.numbers.get(MONTH) != Some(&None) {
                self.numbers.swap(MONTH, DAY);
            }
            self.named_month = true;
            return self.set(MONTH, number);
        }
        let days = match word {
            "yesterday" => -1,
            "today" => 0,
            "tomorrow" => 1,
            "t" if self.dated() => return Ok(()),
            "allballs" => {
                self.set_zone(Zone::Offset(0))?;
                return self.set_clock((0, 0));
            }
            "am" | "pm" => {
                let before = self.afternoon.replace(word == "pm");
                return if before.is_some() { Err(Unreadable::Form) } else { Ok(()) };
            }
            "ad" | "bc" => {
                let before = self.before_christ.replace(word == "bc");
                return if before.is_some() { Err(Unreadable::Form) } else { Ok(()) };
            }
            _ if begins(DAYS, word).is_some() || PASSED_OVER.contains(&word) => return Ok(()),
            _ => return self.set_zone(named(word)?),
        };
        if self.numbers.iter().any(Option::is_some) || self.days.replace(days).is_some() { Err(Unreadable::Form) } else { Ok(()) }
    }

    /// µs of the day; None if no time is said.
    fn of_day(&self) -> Result<Option<i64>, Unreadable> {
        let Some((hour, rest)) = self.clock else {
            return if self.afternoon.is_some() { Err(Unreadable::Form) } else { Ok(None) };
        };
        let hour = match self.afternoon {
            Some(_) if hour > 12 => return Err(Unreadable::Range),
            Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
            None => hour,
        };
        let of_day = hour * 3600 * US_A_SECOND + rest;
        if of_day > US_A_DAY { Err(Unreadable::Range) } else { Ok(Some(of_day)) }
    }

    fn date(&self) -> Result<NaiveDate, Unreadable> {
        let [Some(year), Some(month), Some(day)] = self.numbers else { return Err(Unreadable::Form) };
        let year = match year {
            // The year 1 before is the year 0 of the calendar.
            year if self.before_christ == Some(true) && year > 0 => return Found::day_of(1 - year, month, day),
            short if self.short_year => short + if short < 70 { 2000 } else { 1900 },
            year => year,
        };
        // There is no year 0: it would be 1 BC.
        if year == 0 { Err(Unreadable::Range) } else { Found::day_of(year, month, day) }
    }

    fn day_of(year: i64, month: i64, day: i64) -> Result<NaiveDate, Unreadable> {
        let year = i32::try_from(year).map_err(|_| Unreadable::Range)?;
        let part = |number: i64| u32::try_from(number).map_err(|_| Unreadable::Range);
        NaiveDate::from_ymd_opt(year, part(month)?, part(day)?).ok_or(Unreadable::Range)
    }
}

/// `12:30`, `12:30:15.5`: the hour, and µs behind it. 24:00:00 is the midnight behind the day, and a leap second the second behind it.
fn clock(text: &str) -> Result<(i64, i64), Unreadable> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts = whole.split(':').map(|part| match part.len() {
        1..=2 => part.parse::<i64>().map_err(|_| Unreadable::Form),
        _ => Err(Unreadable::Form),
    });
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] if fraction.is_empty() => (*hour, *minute, 0),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return Err(Unreadable::Form),
    };
    let us = match fraction {
        "" => 0,
        digits => (format!("0.{digits}").parse::<f64>().map_err(|_| Unreadable::Form)? * 1e6).round() as i64,
    };
    if hour > 24 || minute > 59 || second > 60 { Err(Unreadable::Range) } else { Ok((hour, (minute * 60 + second) * US_A_SECOND + us)) }
}

/// `02`, `0200`, `02:00`, `03:30:15` east or west.
fn offset_of(sign: i64, digits: &str) -> Result<Zone, Unreadable> {
    let parts: Vec<&str> = match digits.split(':').collect::<Vec<_>>() {
        // +0200
        parts if parts.len() == 1 && matches!(digits.len(), 3 | 4) => {
            let hours = digits.len() - 2;
            vec![digits.get(..hours).unwrap_or(""), digits.get(hours..).unwrap_or("")]
        }
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

/// A zone by its name. A word that is no zone is no time either; what is written as zones are is one that there is not.
fn named(name: &str) -> Result<Zone, Unreadable> {
    let fixed = CLOCKS.iter().chain(&WESTERN).find(|(clocks, _)| *clocks == name);
    if let Some((_, minutes)) = fixed {
        return Ok(Zone::Offset(minutes * 60));
    }
    TimeZone::read(name).map(Zone::Named).ok_or(if name.contains('/') { Unreadable::Zone } else { Unreadable::Form })
}
