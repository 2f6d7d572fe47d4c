//! Numbers as casts give them in Postgres: a numeric has the digits of its text, or the fifteen (six) that a float8 (float4) shows; a text that has no
//! room in a float is an error, and neither infinity nor zero.

use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use datafusion::common::internal_err;
use datafusion::error::Result;

use crate::error::{Error, Result as Answer};

/// Texts as a numeric or a float. Errs with 22P02 for what is no number, and with 22003 for one that has no room.
pub(super) fn of_texts(texts: &StringArray, to: &DataType) -> Result<ArrayRef> {
    Ok(match to {
        DataType::Decimal128(precision, scale) => {
            let one = |text: &str| digits(text.trim(), *precision, *scale)?.ok_or_else(|| malformed("numeric", text));
            let found = texts.iter().map(|text| text.map(one).transpose()).collect::<Answer<Decimal128Array>>()?;
            Arc::new(found.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Float32 => {
            let one = |text: &str| float::<f32>(text, "real");
            Arc::new(texts.iter().map(|text| text.map(one).transpose()).collect::<Answer<Float32Array>>()?)
        }
        DataType::Float64 => {
            let one = |text: &str| float::<f64>(text, "double precision");
            Arc::new(texts.iter().map(|text| text.map(one).transpose()).collect::<Answer<Float64Array>>()?)
        }
        other => return internal_err!("{other} is no number with a fraction"),
    })
}

/// Floats as numerics. Errs with 22003 for what has no room.
pub(super) fn of_floats(values: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let read = |shown: String| digits(&shown, precision, scale)?.ok_or_else(|| malformed("numeric", &shown));
    let found: Decimal128Array = match values.data_type() {
        DataType::Float64 => {
            let floats = values.as_primitive::<Float64Type>();
            floats.iter().map(|value| value.map(|value| read(format!("{value:.14e}"))).transpose()).collect::<Answer<_>>()?
        }
        _ => {
            let floats = cast(values, &DataType::Float32)?;
            let floats = floats.as_primitive::<Float32Type>();
            floats.iter().map(|value| value.map(|value| read(format!("{value:.5e}"))).transpose()).collect::<Answer<_>>()?
        }
    };
    Ok(Arc::new(found.with_precision_and_scale(precision, scale)?))
}

/// Decimals with fewer digits of a fraction, of two as near the one further from zero. Errs with 22003 for what has no room: Arrow looks before it
/// rounds.
pub(super) fn narrowed(values: &ArrayRef, from: i8, precision: u8, scale: i8) -> Result<ArrayRef> {
    let power = 10_i128.checked_pow(u32::from(from.abs_diff(scale)));
    let end = 10_i128.checked_pow(u32::from(precision));
    let one = |value: i128| {
        // Of more digits than there are nothing is left.
        let (whole, rest) = power.map_or((0, 0), |power| (value / power, value % power));
        let rounds = power.is_some_and(|power| rest.unsigned_abs() >= power.unsigned_abs().div_ceil(2));
        let found = if rounds { whole + rest.signum() } else { whole };
        if end.is_some_and(|end| found.unsigned_abs() >= end.unsigned_abs()) { Err(overflow(precision, scale)) } else { Ok(found) }
    };
    let values = values.as_primitive::<Decimal128Type>();
    let found = values.iter().map(|value| value.map(one).transpose()).collect::<Answer<Decimal128Array>>()?;
    Ok(Arc::new(found.with_precision_and_scale(precision, scale)?))
}

fn overflow(precision: u8, scale: i8) -> Error {
    let room = i32::from(precision) - i32::from(scale);
    let detail = format!("A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{room}.");
    Error::Data { code: "22003", message: "numeric field overflow".into(), detail: Some(detail) }
}

/// The digits of a number with a fraction of that length, of two as near the one further from zero; None for what is no number. Errs (22003) for what
/// has no room, and (0A000) for NaN and infinity, of which no decimal says anything.
fn digits(text: &str, precision: u8, scale: i8) -> Answer<Option<i128>> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if ["nan", "inf", "infinity"].iter().any(|word| number.eq_ignore_ascii_case(word)) {
        return Err(Error::unsupported("a numeric that is NaN or infinity", "Keep it as float8, which has both."));
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written = format!("{whole}{fraction}");
    let exponent = exponent.parse::<i32>();
    let (Ok(exponent), false) = (exponent, written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit())) else {
        return Ok(None);
    };
    let overflow = || overflow(precision, scale);
    let significant = written.trim_start_matches('0');
    // How many digits are kept, those that are not written being zeros.
    let shift = i64::from(exponent) + i64::from(scale) - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let n_kept = i64::try_from(significant.len()).unwrap_or(i64::MAX).saturating_add(shift);
    if significant.is_empty() || n_kept < 0 {
        return Ok(Some(0));
    }
    let n_kept = usize::try_from(n_kept).ok().filter(|n| *n <= usize::from(precision)).ok_or_else(overflow)?;
    let kept: String = significant.chars().chain(std::iter::repeat('0')).take(n_kept).collect();
    let rounds_up = significant.as_bytes().get(n_kept).is_some_and(|next| *next >= b'5');
    let value = if kept.is_empty() { 0 } else { kept.parse::<i128>().map_err(|_| overflow())? } + i128::from(rounds_up);
    if 10_i128.checked_pow(u32::from(precision)).is_some_and(|end| value >= end) {
        return Err(overflow());
    }
    Ok(Some(if negative { -value } else { value }))
}

/// A float of either size.
trait Float: FromStr {
    /// Whether it is infinite, and whether it is zero.
    fn ends(&self) -> (bool, bool);
}

impl Float for f32 {
    fn ends(&self) -> (bool, bool) {
        (self.is_infinite(), *self == 0.0)
    }
}

impl Float for f64 {
    fn ends(&self) -> (bool, bool) {
        (self.is_infinite(), *self == 0.0)
    }
}

fn float<T: Float>(text: &str, name: &str) -> Answer<T> {
    let number = text.trim();
    let value: T = number.parse().map_err(|_| malformed(name, text))?;
    let (infinite, zero) = value.ends();
    let says_digits = number.contains(|c: char| c.is_ascii_digit());
    // Zeros that are written are one: others were too small.
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    if infinite && says_digits || zero && mantissa.contains(|c: char| ('1'..='9').contains(&c)) {
        return Err(Error::Encode { code: "22003", message: format!("\"{number}\" is out of range for type {name}") });
    }
    Ok(value)
}

fn malformed(name: &str, text: &str) -> Error {
    Error::Encode { code: "22P02", message: format!("invalid input syntax for type {name}: \"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_has_the_digits_that_are_written() {
        for (text, precision, scale, expected) in [
            ("1.005", 10, 2, Some(101)),
            ("-0.285", 5, 2, Some(-29)),
            ("1e5", 38, 10, Some(1_000_000_000_000_000)),
            ("1E-3", 5, 3, Some(1)),
            (".5", 3, 0, Some(1)),
            ("0.49", 3, 0, Some(0)),
            ("0.05", 3, 0, Some(0)),
            ("12345678901234567890.5", 38, 10, Some(123_456_789_012_345_678_905_000_000_000)),
            ("0", 1, 0, Some(0)),
            ("", 3, 0, None),
            (".", 3, 0, None),
            ("1x", 3, 0, None),
            ("1e", 3, 0, None),
        ] {
            assert_eq!(digits(text, precision, scale).unwrap(), expected, "{text}");
        }
        for text in ["1000", "999.9", "1e40", "NaN"] {
            assert!(digits(text, 3, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn a_decimal_is_rounded_before_its_room_is_looked_at() {
        let of = |value: i128, precision: u8| {
            let values = Decimal128Array::from(vec![value]).with_precision_and_scale(11, 3).unwrap();
            let found = narrowed(&(Arc::new(values) as ArrayRef), 3, precision, 2);
            found.map(|found| found.as_primitive::<Decimal128Type>().value(0))
        };
        assert_eq!((of(1_005, 10).unwrap(), of(-1_005, 10).unwrap(), of(1_004, 10).unwrap()), (101, -101, 100));
        assert!(of(99_999_999_995, 10).is_err() && of(99_999_999_994, 10).is_ok());
    }

    #[test]
    fn a_float_has_room_for_its_text() {
        for text in ["1e400", "-1e400", "1e-400"] {
            assert!(float::<f64>(text, "double precision").is_err(), "{text}");
        }
        for (text, expected) in [("inf", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY), ("0e0", 0.0), (" 1.5 ", 1.5)] {
            assert_eq!(float::<f64>(text, "double precision").unwrap(), expected, "{text}");
        }
        assert!(float::<f32>("1e40", "real").is_err());
    }
}
