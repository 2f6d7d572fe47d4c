//! A value in the binary form of its Postgres type, for results and binary COPY.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type,
};
use arrow::datatypes::{Date32Type, Date64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType};
use bytes::{BufMut, BytesMut};
use pgwire::api::Type;

use super::{columns, parameters, typed};
use crate::engine::relation::{value_json as json, value_text as text};
use crate::error::{Error, Result};
use crate::settings::TimeZone;

/// Days from 1970-01-01 to 2000-01-01, where the times of Postgres begin.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in µs.
pub(super) const EPOCH_US: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// Appends the value of a row that is not NULL, without its length. Errs for what the type has no room for (22003).
pub(in crate::wire) fn write(out: &mut BytesMut, data_type: &Type, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    if let DataType::Dictionary(..) = array.data_type() {
        let dictionary = array.as_any_dictionary();
        let key = dictionary.normalized_keys().get(row).copied().unwrap_or_default();
        return write(out, data_type, dictionary.values().as_ref(), key, zone);
    }
    match *data_type {
        Type::BOOL => out.put_u8(array.as_boolean().value(row).into()),
        Type::INT2 => out.put_i16(integer(array, row)? as i16),
        Type::INT4 => {
            out.put_i32(i32::try_from(integer(array, row)?).map_err(|_| Error::Internal("a larger number is sent as an int4".into()))?)
        }
        Type::INT8 => out.put_i64(integer(array, row)?),
        Type::FLOAT4 => out.put_f32(match array.data_type() {
            DataType::Float16 => array.as_primitive::<Float16Type>().value(row).to_f32(),
            _ => array.as_primitive::<Float32Type>().value(row),
        }),
        Type::FLOAT8 => out.put_f64(array.as_primitive::<Float64Type>().value(row)),
        Type::NUMERIC => numeric(out, &written(array, row, zone)?)?,
        Type::BYTEA => out.put_slice(match array.data_type() {
            DataType::Binary => array.as_binary::<i32>().value(row),
            DataType::LargeBinary => array.as_binary::<i64>().value(row),
            DataType::BinaryView => array.as_binary_view().value(row),
            _ => array.as_fixed_size_binary().value(row),
        }),
        Type::DATE => out.put_i32(match days(array, row) {
            // Infinity is the same number for everybody.
            infinite @ (i32::MAX | i32::MIN) => infinite,
            days => days.saturating_sub(EPOCH_DAYS),
        }),
        Type::TIME => out.put_i64(time_us(array, row)),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let unit = if let DataType::Timestamp(unit, _) = array.data_type() { *unit } else { TimeUnit::Microsecond };
            out.put_i64(match text::timestamp_us(array, row, unit) {
                infinite @ (i64::MAX | i64::MIN) => infinite,
                us => us.saturating_sub(EPOCH_US),
            });
        }
        Type::INTERVAL => {
            let (months, days, us) = match array.data_type() {
                DataType::Interval(unit) => text::interval_parts(array, row, *unit),
                DataType::Duration(unit) => {
                    let (days, us) = text::justified(text::duration_us(array, row, *unit));
                    (0, days, us)
                }
                other => return Err(Error::Internal(format!("{other} is sent as an interval"))),
            };
            out.put_i64(us);
            out.put_i32(days);
            out.put_i32(months);
        }
        Type::UUID => match typed::uuid_bytes(&written(array, row, zone)?) {
            Some(bytes) => out.put_slice(&bytes),
            None => return Err(Error::Internal("a text that is no uuid is sent as one".into())),
        },
        Type::JSONB => {
            let value = if *array.data_type() == DataType::Utf8 {
                written(array, row, zone)?
            } else {
                let mut value = String::new();
                json::write(&mut value, array, row, zone)?;
                value
            };
            // The version of the format.
            out.put_u8(1);
            out.put_slice(value.as_bytes());
        }
        // One byte: of no letter it is zero.
        Type::CHAR => out.put_u8(written(array, row, zone)?.bytes().next().unwrap_or(0)),
        Type::VOID => {}
        _ => match array.data_type() {
            DataType::List(_) => elements(out, data_type, &array.as_list::<i32>().value(row), zone)?,
            DataType::LargeList(_) => elements(out, data_type, &array.as_list::<i64>().value(row), zone)?,
            DataType::FixedSizeList(..) => elements(out, data_type, &array.as_fixed_size_list().value(row), zone)?,
            // oid and its aliases.
            DataType::Int32 => out.put_i32(array.as_primitive::<Int32Type>().value(row)),
            DataType::Utf8 if element(data_type).is_some() => {
                elements(out, data_type, &read(data_type, &written(array, row, zone)?)?, zone)?
            }
            _ => out.put_slice(written(array, row, zone)?.as_bytes()),
        },
    }
    Ok(())
}

fn written(array: &dyn Array, row: usize, zone: TimeZone) -> Result<String> {
    let mut value = String::new();
    text::write(&mut value, array, row, zone)?;
    Ok(value)
}

fn integer(array: &dyn Array, row: usize) -> Result<i64> {
    Ok(match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        other => return Err(Error::Internal(format!("{other} is sent as an integer"))),
    })
}

fn days(array: &dyn Array, row: usize) -> i32 {
    match array.data_type() {
        DataType::Date64 => i32::try_from(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)).unwrap_or(i32::MAX),
        _ => array.as_primitive::<Date32Type>().value(row),
    }
}

fn time_us(array: &dyn Array, row: usize) -> i64 {
    match array.data_type() {
        DataType::Time32(TimeUnit::Second) => i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000,
        DataType::Time32(_) => i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1_000,
        DataType::Time64(TimeUnit::Microsecond) => array.as_primitive::<Time64MicrosecondType>().value(row),
        _ => array.as_primitive::<Time64NanosecondType>().value(row) / 1_000,
    }
}

fn element(array: &Type) -> Option<Type> {
    match *array {
        Type::INT2_VECTOR => Some(Type::INT2),
        Type::OID_VECTOR => Some(Type::OID),
        ref array => columns::element_of(array),
    }
}

/// The elements of an array that is kept as it is written.
fn read(array: &Type, text: &str) -> Result<ArrayRef> {
    let malformed = || Error::Encode { code: "22P02", message: format!("malformed array literal: \"{text}\"") };
    let items = match *array {
        Type::INT2_VECTOR | Type::OID_VECTOR => text.split_whitespace().map(|item| Some(item.to_owned())).collect(),
        _ => crate::engine::relation::elements(text).ok_or_else(malformed)?,
    };
    let kept = element(array).map_or(DataType::Utf8, |element| parameters::arrow_type(&element));
    arrow::compute::cast(&StringArray::from(items), &kept).map_err(|_| malformed())
}

/// One dimension, whether there are NULLs, the element's type, the length, the first index, then the elements with their lengths.
fn elements(out: &mut BytesMut, array: &Type, elements: &ArrayRef, zone: TimeZone) -> Result<()> {
    let element = element(array).unwrap_or_else(|| columns::of_type(elements.data_type()));
    out.put_i32(i32::from(!elements.is_empty()));
    out.put_i32(i32::from(elements.null_count() > 0));
    out.put_u32(element.oid());
    if elements.is_empty() {
        return Ok(());
    }
    out.put_i32(i32::try_from(elements.len()).map_err(|_| too_long())?);
    // A vector is counted from 0.
    out.put_i32(i32::from(!matches!(*array, Type::INT2_VECTOR | Type::OID_VECTOR)));
    for row in 0..elements.len() {
        value(out, &element, elements.as_ref(), row, zone)?;
    }
    Ok(())
}

/// Appends a value behind its length, or -1 for NULL.
pub(in crate::wire) fn value(out: &mut BytesMut, data_type: &Type, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.put_i32(-1);
        return Ok(());
    }
    let from = out.len();
    out.put_i32(0);
    write(out, data_type, array, row, zone)?;
    let length = i32::try_from(out.len() - from - 4).map_err(|_| too_long())?;
    if let Some(place) = out.get_mut(from..from + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn too_long() -> Error {
    Error::Encode { code: "54000", message: "a value is too long for the protocol".into() }
}

/// Groups of four decimal digits with the weight of the first, from the number's text.
fn numeric(out: &mut BytesMut, number: &str) -> Result<()> {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = "0".repeat((4 - whole.len() % 4) % 4) + whole;
    let n_whole = digits.len() / 4;
    digits.push_str(fraction);
    digits.push_str(&"0".repeat((4 - fraction.len() % 4) % 4));
    let mut groups = Vec::with_capacity(digits.len() / 4);
    for group in digits.as_bytes().chunks(4) {
        let group = std::str::from_utf8(group).ok().and_then(|g| g.parse::<i16>().ok());
        groups.push(group.ok_or_else(|| Error::Internal(format!("{number} is sent as a numeric")))?);
    }
    let n_leading = groups.iter().take_while(|g| **g == 0).count();
    let n_trailing = groups.iter().rev().take_while(|g| **g == 0).count().min(groups.len() - n_leading);
    let kept = groups.get(n_leading..groups.len() - n_trailing).unwrap_or_default();
    let weight = if kept.is_empty() { 0 } else { n_whole as i16 - 1 - n_leading as i16 };
    out.put_i16(kept.len() as i16);
    out.put_i16(weight);
    out.put_u16(if negative && !kept.is_empty() { 0x4000 } else { 0 });
    out.put_i16(fraction.len() as i16);
    for group in kept {
        out.put_i16(*group);
    }
    Ok(())
}

/// The number's text from the form above. None if it is not of that form; NaN and infinity are none either, as no decimal holds them.
pub(super) fn numeric_text(bytes: &[u8]) -> Option<String> {
    let mut words =
        bytes.chunks_exact(2).map(|word| i16::from_be_bytes([word.first().copied().unwrap_or(0), word.get(1).copied().unwrap_or(0)]));
    let (n_groups, weight, sign, scale) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let groups: Vec<i16> = words.collect();
    let sane = usize::try_from(n_groups).is_ok_and(|n| n == groups.len()) && groups.iter().all(|g| (0..10_000).contains(g));
    if !sane || !matches!(sign, 0 | 0x4000) || !(0..=1000).contains(&scale) || !(-300..=300).contains(&weight) {
        return None;
    }
    let group = |at: i16| usize::try_from(at).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    let mut number = String::from(if sign == 0 { "" } else { "-" });
    let whole: String = (0..=weight.max(0)).map(|at| format!("{:04}", if weight < 0 { 0 } else { group(at) })).collect();
    let whole = whole.trim_start_matches('0');
    number.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let n_groups = (scale + 3) / 4;
        let fraction: String = (1..=n_groups).map(|at| format!("{:04}", group(weight + at))).collect();
        number.push('.');
        number.push_str(fraction.get(..scale as usize)?);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_reads_back_as_it_was_written() {
        for number in [
            "0",
            "0.00",
            "1",
            "-1.50",
            "12345.6789",
            "10000",
            "100000000.0001",
            "0.00010000",
            "-0.000012",
            "99999999999999999999999999999999999999",
        ] {
            let mut out = BytesMut::new();
            numeric(&mut out, number).unwrap();
            assert_eq!(numeric_text(&out).as_deref(), Some(number));
        }
        let mut out = BytesMut::new();
        numeric(&mut out, "12345.6789").unwrap();
        assert_eq!(out.as_ref(), [0, 3, 0, 1, 0, 0, 0, 4, 0, 1, 9, 41, 26, 133]);
    }

    #[test]
    fn bytes_that_are_no_numeric_are_none() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..10_000 {
            let bytes: Vec<u8> = (0..random.usize(0..20)).map(|_| random.u8(..)).collect();
            let _ = numeric_text(&bytes);
        }
        // NaN.
        assert_eq!(numeric_text(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), None);
    }
}
