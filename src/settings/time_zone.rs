//! The zone of a session: a name, or an offset in one of the forms that Postgres reads.

use chrono::{DateTime, FixedOffset, Offset, TimeZone as _};
use chrono_tz::{OffsetName, TZ_VARIANTS};

const US_A_DAY: i64 = 86_400_000_000;

/// A zone by whose clocks times are read and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeZone {
    /// One of the zones that have a name: its offset changes with the seasons and through history.
    Named(chrono_tz::Tz),
    /// Always the same offset.
    Fixed(FixedOffset),
}

impl Default for TimeZone {
    fn default() -> TimeZone {
        TimeZone::Named(chrono_tz::UTC)
    }
}

impl TimeZone {
    /// Reads a name in any case, a number of hours east of UTC, or, as POSIX writes it, a word and the hours west of UTC: `EST5`, `<+03>-03`,
    /// `GMT-02:00`, and `+05:30`, whose word is empty. None if it is none of them.
    pub fn read(text: &str) -> Option<TimeZone> {
        let text = text.trim();
        if let Ok(hours) = text.parse::<f64>() {
            return fixed((hours * 3600.0).round() as i32);
        }
        match text.to_uppercase().as_str() {
            "UTC" | "GMT" | "ETC/UTC" | "Z" | "ZULU" | "DEFAULT" | "LOCAL" | "LOCALTIME" | "+00:00" => return Some(TimeZone::default()),
            _ => {}
        }
        let named = text.parse().ok().or_else(|| TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)).copied());
        named.map(TimeZone::Named).or_else(|| posix(text))
    }

    /// What SHOW gives of a zone that was set by a text: its name, or the text if it is in the form of POSIX. None as above.
    pub fn kept(text: &str) -> Option<String> {
        let zone = TimeZone::read(text)?;
        let number = text.trim().parse::<f64>().is_ok();
        Some(if matches!(zone, TimeZone::Fixed(_)) && !number { text.trim().to_owned() } else { zone.to_string() })
    }

    /// Its name in an Arrow type, which tells functions that write times in which zone they are shown.
    pub fn arrow_name(self) -> String {
        match self {
            TimeZone::Named(zone) => zone.name().to_owned(),
            TimeZone::Fixed(offset) => east(offset.local_minus_utc()),
        }
    }

    /// The zone of an Arrow type; UTC for a name that is none.
    pub fn of_arrow(name: &str) -> TimeZone {
        match posix(name).filter(|_| name.starts_with(['+', '-'])) {
            Some(TimeZone::Fixed(west)) => fixed(-west.local_minus_utc()).unwrap_or_default(),
            _ => name.parse().map(TimeZone::Named).unwrap_or_default(),
        }
    }

    /// Whether its clocks show UTC.
    pub fn utc(self) -> bool {
        match self {
            TimeZone::Named(zone) => zone == chrono_tz::UTC,
            TimeZone::Fixed(offset) => offset.local_minus_utc() == 0,
        }
    }

    /// Seconds east of UTC at a moment, µs since 1970. A moment beyond the calendar has none: 0.
    pub fn offset_s(self, us: i64) -> i32 {
        match self {
            TimeZone::Named(chrono_tz::UTC) => 0,
            TimeZone::Fixed(offset) => offset.local_minus_utc(),
            TimeZone::Named(zone) => {
                DateTime::from_timestamp_micros(us).map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
            }
        }
    }

    /// How much longer than 24 hours a day since 1970 may be, µs: what lies between the offsets that it has had.
    pub fn longest_shift_us(self) -> i64 {
        if matches!(self, TimeZone::Fixed(_)) || self.utc() {
            return 0;
        }
        // No offset is held for less than three weeks. The calendar of changes is foreseen up to 2100.
        let offsets = (0..47_500).step_by(20).map(|day| i64::from(self.offset_s(day * US_A_DAY)));
        let (least, most) = offsets.fold((i64::MAX, i64::MIN), |(least, most), offset| (least.min(offset), most.max(offset)));
        (most - least) * 1_000_000
    }

    /// What its clocks are called at a moment: `EST`, `EDT`, `+03`, `+1030`.
    pub fn abbreviation(self, us: i64) -> String {
        let named = match self {
            TimeZone::Named(zone) => DateTime::from_timestamp_micros(us)
                .and_then(|at| zone.offset_from_utc_datetime(&at.naive_utc()).abbreviation().map(str::to_owned)),
            TimeZone::Fixed(_) => return east(self.offset_s(us)),
        };
        named.unwrap_or_else(|| east(self.offset_s(us)).replace(':', ""))
    }
}

/// Postgres allows less than a week; no place is further than a day.
fn fixed(seconds: i32) -> Option<TimeZone> {
    FixedOffset::east_opt(seconds).map(TimeZone::Fixed)
}

/// A word, which may stand in `<>`, and hours west with minutes and seconds: without the days on which clocks are changed.
fn posix(text: &str) -> Option<TimeZone> {
    let offset = match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>').map(|(_, offset)| offset)?,
        None => text.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    };
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => (1, digits),
        None => (-1, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let mut seconds = 0;
    let parts: Vec<&str> = digits.split(':').collect();
    for (at, part) in parts.iter().enumerate() {
        let number = Some(part).filter(|part| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))?;
        seconds += number.parse::<i32>().ok().filter(|number| at == 0 || *number < 60)? * [3600, 60, 1].get(at)?;
    }
    fixed(sign * seconds)
}

/// `+05:30`.
fn east(seconds: i32) -> String {
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    format!("{sign}{}", clock(seconds))
}

fn clock(seconds: i32) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (minutes, rest) {
        (0, 0) => format!("{hours:02}"),
        (_, 0) => format!("{hours:02}:{minutes:02}"),
        _ => format!("{hours:02}:{minutes:02}:{rest:02}"),
    }
}

impl std::fmt::Display for TimeZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TimeZone::Named(zone) => write!(f, "{}", zone.name()),
            // The same offset by the sign of the world and by that of POSIX.
            TimeZone::Fixed(offset) => {
                let seconds = offset.local_minus_utc();
                write!(f, "<{}>{}{}", east(seconds), if seconds < 0 { '+' } else { '-' }, clock(seconds.abs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_name_or_hours_and_reads_back_as_it_is_shown() {
        // SET timezone = '…'; SHOW timezone; SELECT timestamptz 'epoch' in PostgreSQL 15.
        for (text, shown, offset_s) in [
            ("UTC", "UTC", 0),
            ("Europe/Berlin", "Europe/Berlin", 3600),
            ("america/new_york", "America/New_York", -18_000),
            ("5", "<+05>-05", 18_000),
            ("-3.5", "<-03:30>+03:30", -12_600),
            ("Asia/Kolkata", "Asia/Kolkata", 19_800),
            ("+05:30", "+05:30", -19_800),
            ("<+03>-03", "<+03>-03", 10_800),
            ("<-08>+08", "<-08>+08", -28_800),
            ("GMT+2", "GMT+2", -7_200),
            ("GMT-02:00", "GMT-02:00", 7_200),
            ("EST5", "EST5", -18_000),
            ("12:00", "12:00", -43_200),
        ] {
            let zone = TimeZone::read(text).unwrap();
            assert_eq!((TimeZone::kept(text).as_deref(), zone.offset_s(0)), (Some(shown), offset_s));
            assert_eq!(TimeZone::read(shown), Some(zone));
            assert_eq!(TimeZone::read(&zone.to_string()), Some(zone));
            assert_eq!(TimeZone::of_arrow(&zone.arrow_name()), zone);
        }
        // Summer.
        assert_eq!(TimeZone::read("Europe/Berlin").unwrap().offset_s(1_720_000_000_000_000), 7200);
        for text in ["Mars/Olympus", "", "99", "+0530", "200", "PST", "<+03", "EST5EDT,M3.2.0,M11.1.0", "+5:60", "interval"] {
            assert_eq!(TimeZone::read(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_as_long_as_the_clocks_are_turned_back() {
        for (zone, hours) in [("UTC", 0), ("America/New_York", 1), ("Asia/Kolkata", 0), ("Antarctica/Troll", 2), ("+05:30", 0)] {
            assert_eq!(TimeZone::read(zone).unwrap().longest_shift_us(), hours * 3_600_000_000, "{zone}");
        }
    }

    #[test]
    fn clocks_have_other_names_in_summer() {
        let name = |zone: &str, us: i64| TimeZone::read(zone).unwrap().abbreviation(us);
        assert_eq!(name("America/New_York", 0), "EST");
        assert_eq!(name("America/New_York", 1_720_000_000_000_000), "EDT");
        assert_eq!(name("5.5", 0), "+05:30");
        assert_eq!(name("Australia/Lord_Howe", 1_720_000_000_000_000), "+1030");
    }
}
