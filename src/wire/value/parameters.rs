//! Parameters of a bound statement: bytes in the text or binary form of a Postgres type to values.

use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;
use pgwire::api::Type;
use pgwire::messages::extendedquery::Bind;

use super::{binary, columns, typed};
use crate::engine::relation::value_text::NUMERIC;
use crate::engine::relation::{TextType, elements, value_read};
use crate::error::{Error, Result};
use crate::settings::TimeZone;

/// The type of a parameter, as the client declared it or as the statement needs it.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Parameter {
    /// What the client is told, and in which form it sends.
    pub(in crate::wire) data_type: Type,
    /// What the statement needs, where it says.
    pub(in crate::wire) needed: Option<DataType>,
}

impl Parameter {
    /// `oid` 0 leaves it to the statement. Errs for a type that framesql has not (42704).
    pub(in crate::wire) fn new(oid: u32, needed: Option<&Field>) -> Result<Parameter> {
        let data_type = match (oid, needed) {
            (0, Some(needed)) => columns::of_field(needed),
            (0, None) => Type::TEXT,
            _ => Type::from_oid(oid).ok_or_else(|| Error::NotFound { kind: "type", name: oid.to_string() })?,
        };
        let data_type = if data_type == Type::UNKNOWN { needed.map_or(Type::TEXT, columns::of_field) } else { data_type };
        Ok(Parameter { data_type, needed: needed.map(|needed| needed.data_type().clone()) })
    }
}

/// The values of a Bind message, moments without a zone in the one that is given. Errs with 08P01 if their number is wrong, 22P02 or 22P03 if one cannot be read.
pub(in crate::wire) fn read(parameters: &[Parameter], bind: &Bind, given: TimeZone) -> Result<Vec<ScalarValue>> {
    let (found, formats) = (bind.parameters.len(), &bind.parameter_format_codes);
    if found != parameters.len() {
        let message = format!("bind message supplies {found} parameters, but prepared statement requires {}", parameters.len());
        return Err(Error::Protocol(message));
    }
    if formats.len() > 1 && formats.len() != found {
        return Err(Error::Protocol(format!("bind message has {} parameter formats but {found} parameters", formats.len())));
    }
    let one = |(at, parameter): (usize, &Parameter)| {
        let format = formats.get(at).or(formats.first().filter(|_| formats.len() == 1)).copied().unwrap_or(0);
        let bytes = bind.parameters.get(at).and_then(Option::as_ref);
        value(parameter, bytes, format, at + 1, given)
    };
    parameters.iter().enumerate().map(one).collect()
}

fn value(parameter: &Parameter, bytes: Option<&Bytes>, format: i16, number: usize, given: TimeZone) -> Result<ScalarValue> {
    let arrow = arrow_type(&parameter.data_type);
    let Some(bytes) = bytes else {
        return Ok(ScalarValue::try_from(parameter.needed.as_ref().unwrap_or(&arrow))?);
    };
    let value = match format {
        0 => {
            let text = utf8(bytes)?;
            // The text is read as what the statement needs: a text form says less than a type.
            let target = if parameter.data_type == Type::TEXT { parameter.needed.as_ref().unwrap_or(&arrow) } else { &arrow };
            of_text(&parameter.data_type, target, text, given)?
        }
        // The sign says so.
        1 if parameter.data_type == Type::NUMERIC && matches!(bytes.get(4..6), Some([0xC0 | 0xD0 | 0xF0, 0])) => return Err(no_digits()),
        1 if arrow == DataType::Utf8 && parameter.data_type != Type::CHAR && parameter.data_type != Type::UUID => {
            utf8(bytes)?;
            of_binary(&parameter.data_type, bytes.clone()).ok_or_else(|| malformed(number))?
        }
        1 => of_binary(&parameter.data_type, bytes.clone()).ok_or_else(|| malformed(number))?,
        other => return Err(Error::Protocol(format!("unsupported format code: {other}"))),
    };
    match &parameter.needed {
        Some(needed) if *needed != value.data_type() => Ok(value.cast_to(needed)?),
        _ => Ok(value),
    }
}

fn malformed(number: usize) -> Error {
    Error::Encode { code: "22P03", message: format!("incorrect binary data format in bind parameter {number}") }
}

/// The text of a parameter. Errs (22021) for bytes that are none, and for a zero byte, at which clients in C would cut it.
fn utf8(bytes: &[u8]) -> Result<&str> {
    let wrong = |rest: &str| Error::Encode { code: "22021", message: format!("invalid byte sequence for encoding \"UTF8\"{rest}") };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(""))?;
    if text.contains('\0') { Err(wrong(": 0x00")) } else { Ok(text) }
}

/// The Arrow type that holds a Postgres type's values; text for those without one of their own.
pub(super) fn arrow_type(data_type: &Type) -> DataType {
    let list = |element: DataType| DataType::List(Arc::new(Field::new("item", element, true)));
    match *data_type {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 | Type::OID | Type::XID | Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => NUMERIC,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => columns::element_of(data_type).map_or(DataType::Utf8, |element| list(arrow_type(&element))),
    }
}

fn of_text(data_type: &Type, target: &DataType, text: &str, given: TimeZone) -> Result<ScalarValue> {
    let unreadable = || Error::Encode { code: "22P02", message: format!("invalid input syntax for type {}: \"{text}\"", data_type.name()) };
    if let (Some(element), DataType::List(field)) = (columns::element_of(data_type), target) {
        let items = elements(text).ok_or_else(unreadable)?;
        let values = items.into_iter().map(|item| match item {
            Some(item) => of_text(&element, field.data_type(), &item, given),
            None => Ok(ScalarValue::try_from(field.data_type())?),
        });
        let values = of_one_scale(values.collect::<Result<Vec<_>>>()?).ok_or_else(unreadable)?;
        let of = values.iter().find(|value| !value.is_null()).map_or_else(|| field.data_type().clone(), ScalarValue::data_type);
        return Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &of)));
    }
    match target {
        DataType::Utf8 => match typed::of_type(data_type) {
            Some(of) => Ok(ScalarValue::Utf8(Some(of.read(text).ok_or_else(unreadable)?))),
            None => Ok(ScalarValue::Utf8(Some(text.to_owned()))),
        },
        DataType::Utf8View => Ok(ScalarValue::Utf8View(Some(text.to_owned()))),
        DataType::Binary => Ok(ScalarValue::Binary(Some(value_read::bytea(text).ok_or_else(unreadable)?))),
        DataType::Decimal128(..) if data_type == &Type::NUMERIC && without_digits(text) => Err(no_digits()),
        DataType::Decimal128(..) if data_type == &Type::NUMERIC => decimal(text.trim()).ok_or_else(unreadable),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            Ok(ScalarValue::IntervalMonthDayNano(Some(value_read::interval(text).ok_or_else(unreadable)?)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let us = if zone.is_some() { value_read::timestamptz(text, given)? } else { value_read::timestamp(text)? };
            Ok(ScalarValue::TimestampMicrosecond(Some(us), zone.clone()))
        }
        DataType::Date32 => Ok(ScalarValue::Date32(Some(value_read::date(text)?))),
        target => ScalarValue::try_from_string(text.trim().to_owned(), target).map_err(|_| unreadable()),
    }
}

/// Whether a numeric is NaN or an infinity.
fn without_digits(text: &str) -> bool {
    let text = text.trim().trim_start_matches(['+', '-']).to_lowercase();
    ["nan", "inf", "infinity"].contains(&text.as_str())
}

fn no_digits() -> Error {
    Error::unsupported("a numeric that is NaN or infinity", "Send it as float8, which has both.")
}

/// A decimal of the digits that the text has.
fn decimal(text: &str) -> Option<ScalarValue> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, i32::from_str(exponent).ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = i128::from_str(&format!("{whole}{fraction}")).ok()?;
    let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    while scale < 0 {
        digits = digits.checked_mul(10)?;
        scale += 1;
    }
    let fits = digits.unsigned_abs() < 10u128.pow(38) && scale <= 38;
    fits.then_some(ScalarValue::Decimal128(Some(digits), 38, scale as i8))
}

/// Decimals of an array with as many digits behind the point as that with the most of them; other values are as they were.
fn of_one_scale(values: Vec<ScalarValue>) -> Option<Vec<ScalarValue>> {
    let scale_of = |value: &ScalarValue| if let ScalarValue::Decimal128(Some(_), _, scale) = value { Some(*scale) } else { None };
    let Some(most) = values.iter().filter_map(scale_of).max() else { return Some(values) };
    let scaled = |value| match value {
        ScalarValue::Decimal128(Some(digits), precision, scale) => {
            let factor = 10i128.checked_pow(u32::try_from(most - scale).ok()?)?;
            let digits = digits.checked_mul(factor).filter(|digits| digits.unsigned_abs() < 10u128.pow(38))?;
            Some(ScalarValue::Decimal128(Some(digits), precision, most))
        }
        ScalarValue::Decimal128(None, precision, _) => Some(ScalarValue::Decimal128(None, precision, most)),
        other => Some(other),
    };
    values.into_iter().map(scaled).collect()
}

/// None if the bytes are not a value of the type.
pub(super) fn of_binary(data_type: &Type, bytes: Bytes) -> Option<ScalarValue> {
    let fixed = |n_bytes: usize| if bytes.len() == n_bytes { Some(bytes.clone()) } else { None };
    // What is before all others is so by any count; what is behind them is by its size.
    let us_since_1970 = |us: i64| if us == i64::MIN { us } else { us.saturating_add(binary::EPOCH_US) };
    let days_since_1970 = |days: i32| if days == i32::MIN { days } else { days.saturating_add(binary::EPOCH_DAYS) };
    Some(match *data_type {
        Type::BOOL => ScalarValue::Boolean(Some(fixed(1)?.get_u8() != 0)),
        Type::INT2 => ScalarValue::Int16(Some(fixed(2)?.get_i16())),
        Type::INT8 => ScalarValue::Int64(Some(fixed(8)?.get_i64())),
        Type::FLOAT4 => ScalarValue::Float32(Some(fixed(4)?.get_f32())),
        Type::FLOAT8 => ScalarValue::Float64(Some(fixed(8)?.get_f64())),
        Type::NUMERIC => decimal(&binary::numeric_text(&bytes)?)?,
        Type::BYTEA => ScalarValue::Binary(Some(bytes.to_vec())),
        Type::DATE => ScalarValue::Date32(Some(days_since_1970(fixed(4)?.get_i32()))),
        Type::TIME => ScalarValue::Time64Microsecond(Some(fixed(8)?.get_i64()).filter(|us| (0..86_400_000_000).contains(us))),
        Type::TIMESTAMP => ScalarValue::TimestampMicrosecond(Some(us_since_1970(fixed(8)?.get_i64())), None),
        Type::TIMESTAMPTZ => ScalarValue::TimestampMicrosecond(Some(us_since_1970(fixed(8)?.get_i64())), Some("UTC".into())),
        Type::INTERVAL => {
            let mut parts = fixed(16)?;
            let (us, days, months) = (parts.get_i64(), parts.get_i32(), parts.get_i32());
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNanoType::make_value(months, days, us.checked_mul(1_000)?)))
        }
        Type::UUID => ScalarValue::Utf8(Some(typed::uuid_text(&fixed(16)?)?)),
        Type::JSONB => ScalarValue::Utf8(Some(TextType::Json.read(std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()?)?)),
        ref array if columns::element_of(array).is_some() => return array_of_binary(bytes),
        ref other if arrow_type(other) == DataType::Int32 => ScalarValue::Int32(Some(fixed(4)?.get_i32())),
        // No letter is a byte of zeros.
        Type::CHAR if bytes.as_ref() == [0] => ScalarValue::Utf8(Some(String::new())),
        _ => ScalarValue::Utf8(Some(String::from_utf8(bytes.to_vec()).ok()?)),
    })
}

fn array_of_binary(mut bytes: Bytes) -> Option<ScalarValue> {
    let (n_dimensions, _, oid) = (bytes.try_get_i32().ok()?, bytes.try_get_i32().ok()?, bytes.try_get_u32().ok()?);
    let element = Type::from_oid(oid)?;
    let mut values = Vec::new();
    match n_dimensions {
        0 => {}
        1 => {
            let (n_elements, _) = (bytes.try_get_i32().ok()?, bytes.try_get_i32().ok()?);
            for _ in 0..n_elements {
                values.push(match bytes.try_get_i32().ok()? {
                    -1 => ScalarValue::try_from(&arrow_type(&element)).ok()?,
                    length => {
                        let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
                        of_binary(&element, bytes.split_to(length))?
                    }
                });
            }
        }
        _ => return None,
    }
    // Decimals of one array may differ in scale; a list holds values of one type.
    let values = of_one_scale(values)?;
    let arrow = values.first().map_or_else(|| arrow_type(&element), ScalarValue::data_type);
    let values =
        values.into_iter().map(|v| if v.data_type() == arrow { Some(v) } else { v.cast_to(&arrow).ok() }).collect::<Option<Vec<_>>>()?;
    Some(ScalarValue::List(ScalarValue::new_list_nullable(&values, &arrow)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_the_type_says() {
        let read = |data_type: Type, text: &str| of_text(&data_type, &arrow_type(&data_type), text, TimeZone::default()).ok();
        assert_eq!(read(Type::BOOL, "t"), Some(ScalarValue::Boolean(Some(true))));
        assert_eq!(read(Type::INT4, " 7 "), Some(ScalarValue::Int32(Some(7))));
        assert_eq!(read(Type::INT4, "x"), None);
        assert_eq!(read(Type::NUMERIC, "-1.50"), Some(ScalarValue::Decimal128(Some(-150), 38, 2)));
        assert_eq!(of_text(&Type::NUMERIC, &NUMERIC, "NaN", TimeZone::default()).unwrap_err().sqlstate(), "0A000");
        assert_eq!(read(Type::NUMERIC, "1e3"), Some(ScalarValue::Decimal128(Some(1000), 38, 0)));
        assert_eq!(read(Type::BYTEA, "\\x00ff"), Some(ScalarValue::Binary(Some(vec![0, 255]))));
        assert_eq!(read(Type::BYTEA, "a\\\\\\001"), Some(ScalarValue::Binary(Some(b"a\\\x01".to_vec()))));
        assert_eq!(
            read(Type::TIMESTAMPTZ, "1970-01-01 00:00:01+00"),
            Some(ScalarValue::TimestampMicrosecond(Some(1_000_000), Some("UTC".into())))
        );
        assert!(read(Type::INT4_ARRAY, "{1,NULL,3}").is_some());
        assert_eq!(read(Type::INT4_ARRAY, "{1,{2}}"), None);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.usize(0..40)).map(|_| if random.bool() { 0 } else { random.u8(..) }).collect();
            for data_type in
                [Type::INT4, Type::NUMERIC, Type::INTERVAL, Type::TIMESTAMP, Type::JSONB, Type::TEXT_ARRAY, Type::NUMERIC_ARRAY]
            {
                let _ = of_binary(&data_type, Bytes::from(bytes.clone()));
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    let _ = of_text(&data_type, &arrow_type(&data_type), text, TimeZone::default());
                }
            }
        }
    }
}
