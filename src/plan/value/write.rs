//! A value as Postgres writes it: the text of every type, for rows, arrays, JSON and COPY alike.

use std::fmt::Write;

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use framesql_udfs::frame::{FrameColumn, is_frame};

use crate::error::{Error, Result};
use crate::plan::json::values as json;
use crate::settings::TimeZone;

/// A numeric without a declared scale: as the planner reads one.
pub const NUMERIC: DataType = DataType::Decimal128(38, 10);

/// Appends the value of a row that is not NULL, times in that zone unless their type names another than UTC. Errs for types that have no text.
pub fn write(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    macro_rules! number {
        ($type:ty) => {
            write_number(out, array.as_primitive::<$type>().value(row))
        };
    }
    macro_rules! native {
        ($type:ty) => {
            i64::from(array.as_primitive::<$type>().value(row))
        };
    }
    match array.data_type() {
        DataType::Boolean => out.push(if array.as_boolean().value(row) { 't' } else { 'f' }),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => float32(out, array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => float32(out, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float64(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) => out.push_str(&array.as_primitive::<Decimal32Type>().value_as_string(row)),
        DataType::Decimal64(..) => out.push_str(&array.as_primitive::<Decimal64Type>().value_as_string(row)),
        DataType::Decimal128(..) => numeric(out, array, row),
        DataType::Decimal256(..) => out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => out.push_str(array.as_string::<i64>().value(row)),
        DataType::Utf8View => out.push_str(array.as_string_view().value(row)),
        DataType::Binary => bytea(out, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytea(out, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytea(out, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => bytea(out, array.as_fixed_size_binary().value(row)),
        DataType::Date32 => date(out, native!(Date32Type)),
        DataType::Date64 => date(out, native!(Date64Type).div_euclid(86_400_000)),
        DataType::Time32(TimeUnit::Second) => time(out, native!(Time32SecondType) * 1_000_000),
        DataType::Time32(_) => time(out, native!(Time32MillisecondType) * 1_000),
        DataType::Time64(TimeUnit::Microsecond) => time(out, native!(Time64MicrosecondType)),
        DataType::Time64(_) => time(out, native!(Time64NanosecondType) / 1_000),
        DataType::Timestamp(unit, zoned) => {
            let us = timestamp_us(array, row, *unit);
            match zoned.as_deref() {
                None => timestamp(out, us, ' ', ""),
                Some("UTC") => zoned_timestamp(out, us, zone, ' ', ""),
                // A type that names another zone says where its times are shown.
                Some(named) => zoned_timestamp(out, us, TimeZone::of_arrow(named), ' ', ""),
            }
        }
        DataType::Interval(unit) => {
            let (months, days, us) = interval_parts(array, row, *unit);
            interval(out, months, days, us);
        }
        DataType::Duration(unit) => {
            let (days, us) = justified(duration_us(array, row, *unit));
            interval(out, 0, days, us);
        }
        // Arrow does not promise that lists in a list are of one length, as an array of Postgres does.
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) if is_list(f.data_type()) => {
            json::write(out, array, row, zone)?;
        }
        DataType::List(_) => list(out, array.as_list::<i32>().value(row).as_ref(), zone)?,
        DataType::LargeList(_) => list(out, array.as_list::<i64>().value(row).as_ref(), zone)?,
        DataType::FixedSizeList(..) => list(out, array.as_fixed_size_list().value(row).as_ref(), zone)?,
        DataType::Null => {}
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.normalized_keys().get(row).copied().unwrap_or_default();
            write(out, dictionary.values().as_ref(), key, zone)?;
        }
        frames if is_frame(frames) => frame(out, array, row)?,
        DataType::Struct(_) | DataType::Map(..) => json::write(out, array, row, zone)?,
        other => return Err(Error::Encode { code: "XX000", message: format!("a value of type {other} has no text") }),
    }
    Ok(())
}

/// A numeric without a declared scale has that of its value, as far as an array of one scale tells: no zero stands at its end. So has a product of one.
fn numeric(out: &mut String, array: &dyn Array, row: usize) {
    let text = array.as_primitive::<Decimal128Type>().value_as_string(row);
    let open = matches!(array.data_type(), DataType::Decimal128(38, scale) if *scale >= 10);
    out.push_str(if open { text.trim_end_matches('0').trim_end_matches('.') } else { &text });
}

/// The elements of a list with blanks between them, as vectors of the catalogue are written.
pub fn vector(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    let elements = array.as_list::<i32>().value(row);
    for at in 0..elements.len() {
        if at > 0 {
            out.push(' ');
        }
        write(out, elements.as_ref(), at, zone)?;
    }
    Ok(())
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

fn write_number(out: &mut String, number: impl std::fmt::Display) {
    // A String takes every write.
    let _ = write!(out, "{number}");
}

/// `lobby#48213 1920x1080`: which picture it is; its pixels are what jpeg() gives.
fn frame(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if let Some(frame) = FrameColumn::try_new(array)?.get(row) {
        let _ = write!(out, "{}#{} {}x{}", frame.source, frame.frame_no, frame.width, frame.height);
    }
    Ok(())
}

fn bytea(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.reserve(2 + bytes.len() * 2);
    out.push_str("\\x");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The shortest text that reads back as the same float8, with an exponent where Postgres has one.
pub fn float64(out: &mut String, value: f64) {
    float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), &format!("{value:e}"), 15);
}

/// The same for float4.
pub fn float32(out: &mut String, value: f32) {
    float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), &format!("{value:e}"), 6);
}

fn float(out: &mut String, nan: bool, infinite: bool, negative: bool, scientific: &str, fixed_below: i32) {
    if nan {
        return out.push_str("NaN");
    }
    if infinite {
        return out.push_str(if negative { "-Infinity" } else { "Infinity" });
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.trim_start_matches('-').replace('.', "");
    if negative {
        out.push('-');
    }
    if exponent >= fixed_below || exponent < -4 {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', whole - digits.len()));
        } else {
            let (before, after) = digits.split_at(whole);
            let _ = write!(out, "{before}.{after}");
        }
    }
}

/// Microseconds since 1970 of a timestamp of any unit; what has no room becomes infinity.
pub fn timestamp_us(array: &dyn Array, row: usize, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).saturating_mul(1_000),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000),
    }
}

/// `2024-05-01 12:00:00.5+00`, with the separator and zone of its reader.
pub fn timestamp(out: &mut String, us: i64, separator: char, zone: &str) {
    match timestamp_us_to_datetime(us) {
        Some(at) => {
            day(out, at.date());
            out.push(separator);
            time(out, us.rem_euclid(86_400_000_000));
            out.push_str(zone);
            out.push_str(era(at.date()));
        }
        None => out.push_str(if us < 0 { "-infinity" } else { "infinity" }),
    }
}

/// `2024-05-01 14:00:00.5+02`: the same moment as the clocks of a zone show it, with the separator of its reader; `minutes` are as in `offset`.
pub(in crate::plan) fn zoned_timestamp(out: &mut String, us: i64, zone: TimeZone, separator: char, minutes: &str) {
    let offset_s = zone.offset_s(us);
    match us.checked_add(i64::from(offset_s) * 1_000_000).filter(|local| timestamp_us_to_datetime(*local).is_some()) {
        Some(local) => timestamp(out, local, separator, &offset(offset_s, minutes)),
        None => timestamp(out, us, separator, &offset(0, minutes)),
    }
}

/// `+02`, `-03:30`; what is not zero always, minutes also if they are `always` asked for by their separator.
pub fn offset(offset_s: i32, always: &str) -> String {
    let (sign, seconds) = (if offset_s < 0 { '-' } else { '+' }, offset_s.abs());
    let mut text = format!("{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 || !always.is_empty() {
        let _ = write!(text, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
    text
}

fn date(out: &mut String, days: i64) {
    match days.checked_mul(86_400_000_000).and_then(timestamp_us_to_datetime) {
        Some(at) => {
            day(out, at.date());
            out.push_str(era(at.date()));
        }
        None => out.push_str(if days < 0 { "-infinity" } else { "infinity" }),
    }
}

/// `2024-05-01`; years before Christ are counted back from 1.
fn day(out: &mut String, date: NaiveDate) {
    let year = if date.year() > 0 { date.year() } else { 1 - date.year() };
    let _ = write!(out, "{year:04}-{:02}-{:02}", date.month(), date.day());
}

/// What stands behind a time before Christ.
fn era(date: NaiveDate) -> &'static str {
    if date.year() > 0 { "" } else { " BC" }
}

/// `12:00:00.5`, any number of hours.
fn time(out: &mut String, us: i64) {
    let seconds = us / 1_000_000;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(out, us % 1_000_000);
}

fn fraction(out: &mut String, us: i64) {
    if us != 0 {
        let digits = format!(".{us:06}");
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// Months, days and microseconds of an interval.
pub fn interval_parts(array: &dyn Array, row: usize, unit: IntervalUnit) -> (i32, i32, i64) {
    match unit {
        IntervalUnit::YearMonth => (array.as_primitive::<IntervalYearMonthType>().value(row), 0, 0),
        IntervalUnit::DayTime => {
            let (days, ms) = IntervalDayTimeType::to_parts(array.as_primitive::<IntervalDayTimeType>().value(row));
            (0, days, i64::from(ms) * 1_000)
        }
        IntervalUnit::MonthDayNano => {
            let (months, days, ns) = IntervalMonthDayNanoType::to_parts(array.as_primitive::<IntervalMonthDayNanoType>().value(row));
            (months, days, ns / 1_000)
        }
    }
}

/// The days and the rest of what lies between two times, as Postgres gives it.
pub fn justified(us: i64) -> (i32, i64) {
    const DAY: i64 = 86_400_000_000;
    (i32::try_from(us / DAY).unwrap_or(i32::MAX), us % DAY)
}

/// Microseconds of a duration.
pub fn duration_us(array: &dyn Array, row: usize, unit: TimeUnit) -> i64 {
    fn value<T: ArrowPrimitiveType<Native = i64>>(array: &dyn Array, row: usize) -> i64 {
        array.as_primitive::<T>().value(row)
    }
    match unit {
        TimeUnit::Second => value::<DurationSecondType>(array, row).saturating_mul(1_000_000),
        TimeUnit::Millisecond => value::<DurationMillisecondType>(array, row).saturating_mul(1_000),
        TimeUnit::Microsecond => value::<DurationMicrosecondType>(array, row),
        TimeUnit::Nanosecond => value::<DurationNanosecondType>(array, row) / 1_000,
    }
}

/// `1 year 2 mons -3 days 04:05:06.5`, the style called postgres.
fn interval(out: &mut String, months: i32, days: i32, us: i64) {
    let from = out.len();
    let mut after_negative = false;
    for (count, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count != 0 {
            let space = if out.len() > from { " " } else { "" };
            let plus = if after_negative && count > 0 { "+" } else { "" };
            let _ = write!(out, "{space}{plus}{count} {unit}{}", if count == 1 { "" } else { "s" });
            after_negative = count < 0;
        }
    }
    if us != 0 || out.len() == from {
        if out.len() > from {
            out.push(' ');
        }
        if us < 0 {
            out.push('-');
        } else if after_negative {
            out.push('+');
        }
        let us = us.unsigned_abs().min(i64::MAX as u64) as i64;
        time(out, us);
    }
}

/// `{1,NULL,"a b"}`.
fn list(out: &mut String, elements: &dyn Array, zone: TimeZone) -> Result<()> {
    out.push('{');
    let mut element = String::new();
    for row in 0..elements.len() {
        if row > 0 {
            out.push(',');
        }
        if elements.is_null(row) {
            out.push_str("NULL");
            continue;
        }
        element.clear();
        write(&mut element, elements, row, zone)?;
        let special = |c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || c.is_ascii_whitespace();
        if element.is_empty() || element.eq_ignore_ascii_case("null") || element.contains(special) {
            out.push('"');
            for c in element.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(&element);
        }
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(f: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        f(&mut out);
        out
    }

    #[test]
    fn floats_are_the_shortest_that_read_back() {
        let doubles = [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e15, "1e+15"),
            (123456789012345.0, "123456789012345"),
            (0.00001, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e300, "1.5e+300"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in doubles {
            assert_eq!(written(|out| float64(out, value)), text);
        }
        for (value, text) in [(0.9f32, "0.9"), (123456.0, "123456"), (1234567.0, "1.234567e+06"), (f32::NAN, "NaN")] {
            assert_eq!(written(|out| float32(out, value)), text);
        }
    }

    #[test]
    fn times_show_no_zeros_at_the_end() {
        assert_eq!(written(|out| timestamp(out, 1_500_000, ' ', "+00")), "1970-01-01 00:00:01.5+00");
        assert_eq!(written(|out| timestamp(out, -1, ' ', "")), "1969-12-31 23:59:59.999999");
        assert_eq!(written(|out| timestamp(out, i64::MAX, ' ', "+00")), "infinity");
        assert_eq!(written(|out| date(out, 19_844)), "2024-05-01");
    }

    #[test]
    fn a_moment_is_shown_as_the_clocks_of_its_zone_show_it() {
        for (zone, text) in
            [("UTC", "1970-01-01 00:00:01+00"), ("Europe/Berlin", "1970-01-01 01:00:01+01"), ("-3.5", "1969-12-31 20:30:01-03:30")]
        {
            let zone = TimeZone::read(zone).unwrap();
            assert_eq!(written(|out| zoned_timestamp(out, 1_000_000, zone, ' ', "")), text);
            assert_eq!(written(|out| zoned_timestamp(out, i64::MAX, zone, ' ', "")), "infinity");
        }
    }

    #[test]
    fn intervals_read_as_in_postgres() {
        for (parts, text) in [
            ((0, 0, 0), "00:00:00"),
            ((14, -3, 5_500_000), "1 year 2 mons -3 days +00:00:05.5"),
            ((0, 1, 0), "1 day"),
            ((0, 0, -90_000_000_000), "-25:00:00"),
        ] {
            assert_eq!(written(|out| interval(out, parts.0, parts.1, parts.2)), text);
        }
    }
}
