//! Times and intervals written by the templates of Postgres' `to_char`: `FMDay, DD Mon YYYY HH24:MI`. What is no word of a template stands as it is.

use std::fmt::Write;

use chrono::{Datelike, NaiveDateTime};

use crate::settings::TimeZone;

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// How wide the longest name of a month or a day is.
const NAME: usize = 9;

/// The words in capitals, the longer before those that they begin with. In small letters they are words too.
const WORDS: [&str; 46] = [
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "HH24",
    "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "OF", "P.M.", "PM", "Q", "RM",
    "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US",
];
const YEARS: [&str; 7] = ["WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y"];
/// Words of a capital and small letters.
const NAMES: [&str; 4] = ["Day", "Dy", "Month", "Mon"];

/// What stands before a word whose text has neither zeros nor blanks around it, or says how a text is read.
const MARKS: [&str; 6] = ["FM", "fm", "TM", "tm", "FX", "fx"];

/// What is written.
pub(super) enum Written {
    /// What a calendar and clocks show; and the zone of the clocks, with the moment, µs since 1970.
    Time(NaiveDateTime, Option<(TimeZone, i64)>),
    /// Months, days and µs.
    Interval(i32, i32, i64),
}

/// Its parts.
struct Fields<'a> {
    of: &'a Written,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    us: i64,
}

/// The text of a time by a template; None for an interval that has not what a word asks for.
pub(super) fn written(template: &str, of: &Written) -> Option<String> {
    let fields = Fields::of(of);
    let (mut out, mut rest) = (String::new(), template);
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix('"') {
            rest = quoted(&mut out, behind);
            continue;
        }
        if let Some(behind) = rest.strip_prefix("\\\"") {
            out.push('"');
            rest = behind;
            continue;
        }
        let (mut plain, mut behind) = (false, rest);
        while let Some(next) = MARKS.iter().find_map(|mark| behind.strip_prefix(mark)) {
            (plain, behind) = (true, next);
        }
        match word(behind) {
            Some(word) => {
                let begin = out.len();
                let number = fields.write(&mut out, word, plain)?;
                rest = behind.get(word.len()..)?;
                if let Some(next) = ["TH", "th"].iter().find_map(|ending| rest.strip_prefix(ending)).filter(|_| number) {
                    let ending = ordinal(out.get(begin..)?);
                    let capitals = rest.starts_with("TH");
                    out.push_str(&if capitals { ending.to_uppercase() } else { ending.to_owned() });
                    rest = next;
                }
            }
            None if plain => rest = behind,
            None => {
                out.push(first);
                rest = rest.get(first.len_utf8()..)?;
            }
        }
    }
    Some(out)
}

/// Appends what stands in quotes; gives what stands behind them.
fn quoted<'a>(out: &mut String, text: &'a str) -> &'a str {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return text.get(at + 1..).unwrap_or_default(),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    ""
}

/// The word that a template begins with.
fn word(template: &str) -> Option<&str> {
    if !template.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let small = |begin: &str, word: &str| begin.bytes().zip(word.bytes()).all(|(b, w)| b == w.to_ascii_lowercase());
    let begins = |word: &&str| {
        let begin = template.get(..word.len())?;
        (begin == *word || small(begin, word)).then_some(begin)
    };
    let named = NAMES.iter().find(|name| template.starts_with(**name)).copied();
    named.or_else(|| WORDS.iter().chain(&YEARS).find_map(begins))
}

/// What makes an ordinal of a number.
fn ordinal(number: &str) -> &'static str {
    let mut digits = number.chars().rev();
    let (last, before) = (digits.next(), digits.next());
    match last {
        _ if before == Some('1') => "th",
        Some('1') => "st",
        Some('2') => "nd",
        Some('3') => "rd",
        _ => "th",
    }
}

impl Fields<'_> {
    fn of(of: &Written) -> Fields<'_> {
        match of {
            Written::Time(at, _) => {
                let us = at.and_utc().timestamp_micros().rem_euclid(86_400_000_000);
                let (year, month, day) = (i64::from(at.year()), i64::from(at.month()), i64::from(at.day()));
                let second = us / 1_000_000;
                let (hour, minute) = (second / 3600, second / 60 % 60);
                Fields { of, year, month, day, hour, minute, second: second % 60, us: us % 1_000_000 }
            }
            Written::Interval(months, days, us) => Fields {
                of,
                year: i64::from(months / 12),
                month: i64::from(months % 12),
                day: i64::from(*days),
                hour: us / 3_600_000_000,
                minute: us / 60_000_000 % 60,
                second: us / 1_000_000 % 60,
                us: us % 1_000_000,
            },
        }
    }

    /// What only a time has.
    fn at(&self) -> Option<NaiveDateTime> {
        match self.of {
            Written::Time(at, _) => Some(*at),
            Written::Interval(..) => None,
        }
    }

    /// The year as it is counted before and after Christ.
    fn counted(&self, year: i64) -> i64 {
        if year <= 0 && matches!(self.of, Written::Time(..)) { 1 - year } else { year }
    }

    /// Appends what a word stands for, with neither zeros nor blanks where it is `plain`; gives whether that is a number. None where an interval has none.
    fn write(&self, out: &mut String, word: &str, plain: bool) -> Option<bool> {
        let capitals = word.to_ascii_uppercase();
        let small = word.starts_with(|c: char| c.is_ascii_lowercase());
        if let Some(name) = self.name(word, &capitals, plain)? {
            out.push_str(&if small { name.to_lowercase() } else { name });
            return Some(false);
        }
        let number = self.number(&capitals)?;
        let (value, width) = number;
        let width = if plain { 0 } else { width };
        // A sign has a place of its own.
        let width = if value < 0 && width > 0 { width + 1 } else { width };
        let _ = match capitals.as_str() {
            "Y,YYY" => write!(out, "{},{:03}", value / 1000, value % 1000),
            _ => write!(out, "{value:0width$}"),
        };
        Some(true)
    }

    /// The text of a word that stands for no number; an inner None for one that does.
    fn name(&self, word: &str, capitals: &str, plain: bool) -> Option<Option<String>> {
        let padded = |name: &str| if plain { name.to_owned() } else { format!("{name:<NAME$}") };
        let cased = |name: &str| if word == capitals { name.to_uppercase() } else { name.to_owned() };
        let month = || MONTHS.get(usize::try_from(self.at()?.month0()).ok()?).copied();
        let day = || DAYS.get(usize::try_from(self.at()?.weekday().num_days_from_sunday()).ok()?).copied();
        let short = |name: &str| name.get(..3).map(str::to_owned);
        Some(Some(match capitals {
            "MONTH" => padded(&cased(month()?)),
            "MON" => cased(&short(month()?)?),
            "DAY" => padded(&cased(day()?)),
            "DY" => cased(&short(day()?)?),
            "AM" | "PM" => if self.hour.rem_euclid(24) >= 12 { "PM" } else { "AM" }.to_owned(),
            "A.M." | "P.M." => if self.hour.rem_euclid(24) >= 12 { "P.M." } else { "A.M." }.to_owned(),
            "AD" | "BC" => if i64::from(self.at()?.year()) > 0 { "AD" } else { "BC" }.to_owned(),
            "A.D." | "B.C." => if i64::from(self.at()?.year()) > 0 { "A.D." } else { "B.C." }.to_owned(),
            "RM" => {
                let name = usize::try_from(self.month - 1).ok().and_then(|at| ROMAN.get(at)).copied().unwrap_or_default();
                if plain { name.to_owned() } else { format!("{name:<4}") }
            }
            "TZ" | "OF" | "TZH" | "TZM" => return self.zone(capitals, plain).map(Some),
            _ => return Some(None),
        }))
    }

    /// The zone of a time's clocks; of a time without one there is nothing.
    fn zone(&self, word: &str, plain: bool) -> Option<String> {
        let Written::Time(_, zone) = self.of else { return None };
        let (name, offset_s) = zone.map_or((String::new(), 0), |(zone, us)| (zone.abbreviation(us), zone.offset_s(us)));
        let (sign, s) = (if offset_s < 0 { '-' } else { '+' }, offset_s.abs());
        Some(match word {
            "TZ" => name,
            "TZH" => format!("{sign}{:02}", s / 3600),
            "TZM" => format!("{:02}", s / 60 % 60),
            _ => {
                let width = if plain { 0 } else { 2 };
                let minutes = if s / 60 % 60 == 0 { String::new() } else { format!(":{:02}", s / 60 % 60) };
                format!("{sign}{:0width$}{minutes}", s / 3600)
            }
        })
    }

    /// The number that a word stands for and how many digits it has at least.
    fn number(&self, word: &str) -> Option<(i64, usize)> {
        let iso = || self.at().map(|at| at.iso_week());
        let iso_year = || iso().map(|week| self.counted(i64::from(week.year())));
        let year = self.counted(self.year);
        // Days from the Monday of the first week.
        let iso_day = |at: NaiveDateTime| i64::from(at.iso_week().week0()) * 7 + i64::from(at.weekday().number_from_monday());
        Some(match word {
            "HH" | "HH12" => (if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            "HH24" => (self.hour, 2),
            "MI" => (self.minute, 2),
            "SS" => (self.second, 2),
            "MS" | "FF3" => (self.us / 1000, 3),
            "US" | "FF6" => (self.us, 6),
            "FF1" => (self.us / 100_000, 1),
            "FF2" => (self.us / 10_000, 2),
            "FF4" => (self.us / 100, 4),
            "FF5" => (self.us / 10, 5),
            "SSSS" | "SSSSS" => (self.hour * 3600 + self.minute * 60 + self.second, 0),
            "MM" => (self.month, 2),
            "DD" => (self.day, 2),
            "DDD" => (i64::from(self.at()?.ordinal()), 3),
            "D" => (i64::from(self.at()?.weekday().number_from_sunday()), 0),
            "ID" => (i64::from(self.at()?.weekday().number_from_monday()), 0),
            "IDDD" => (iso_day(self.at()?), 3),
            "WW" => (i64::from(self.at()?.ordinal0() / 7 + 1), 2),
            "W" => ((self.day - 1) / 7 + 1, 0),
            "IW" => (i64::from(iso()?.week()), 2),
            "Q" => ((self.month - 1) / 3 + 1, 0),
            "CC" if self.year > 0 => ((self.year - 1) / 100 + 1, 2),
            "CC" => (self.year / 100 - 1, 2),
            "Y,YYY" => (year, 0),
            "YYYY" => (year, 4),
            "YYY" => (year % 1000, 3),
            "YY" => (year % 100, 2),
            "Y" => (year % 10, 1),
            "IYYY" => (iso_year()?, 4),
            "IYY" => (iso_year()? % 1000, 3),
            "IY" => (iso_year()? % 100, 2),
            "I" => (iso_year()? % 10, 1),
            // Days since 24 November 4714 before Christ.
            "J" => (i64::from(self.at()?.num_days_from_ce()) + 1_721_425, 0),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn words_are_the_longest_that_fit_and_the_rest_stands_as_it_is() {
        let at = Written::Time(NaiveDate::from_ymd_opt(2024, 5, 6).unwrap().and_hms_micro_opt(17, 8, 9, 123_456).unwrap(), None);
        for (template, expected) in [
            ("Day|DAY|day|Month|FMDay", "Monday   |MONDAY   |monday   |May      |Monday"),
            ("DDth FMDDth DDTH", "06th 6th 06TH"),
            ("YYYY-MM-DDTHH24:MI:SS.US", "2024-05-06THH24:08:09.123456"),
            ("Yyyy DDd Tx", "4024 062 Tx"),
            ("HH12 HH24 MI SSSS ms", "05 17 08 61689 123"),
            ("\"at \\\" DD\" \\\"T", "at \" DD \"T"),
            ("IYYY-IW-ID IDDD WW W Q CC J", "2024-19-1 127 19 1 2 21 2460437"),
            ("RM|FMRM|rm", "V   |V|v   "),
        ] {
            assert_eq!(written(template, &at).as_deref(), Some(expected), "{template}");
        }
        let span = Written::Interval(14, 3, 90_061_000_000);
        assert_eq!(written("YYYY MM DD HH24:MI:SS", &span).as_deref(), Some("0001 02 03 25:01:01"));
        assert_eq!(written("Day", &span), None);
    }
}
