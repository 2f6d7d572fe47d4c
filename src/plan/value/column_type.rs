//! The types of columns by their names in Postgres: what CREATE TABLE and a source's `columns` may say.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType as SqlType, ExactNumberInfo, TimezoneInfo};

use super::text_type::TextType;
use crate::error::{Error, Result};
use crate::frame::batch::ts_type;

/// Digits of a numeric without a precision, and of its fraction: what 128 bits hold with room for money and measures.
const NUMERIC: (u8, i8) = (38, 10);

/// The type of the text that a name stands for.
pub fn text_type(name: &SqlType) -> Option<TextType> {
    match name {
        SqlType::Uuid => Some(TextType::Uuid),
        SqlType::JSONB => Some(TextType::Json),
        SqlType::JSON => Some(TextType::JsonText),
        _ => None,
    }
}

/// The type by which a value of a column is cast: text for what is checked where the rows are, and the type itself else.
pub fn cast_type(name: &SqlType) -> SqlType {
    match name {
        name if text_type(name).is_some() => SqlType::Text,
        // A cast would cut what is too long.
        SqlType::Varchar(_) | SqlType::CharacterVarying(_) | SqlType::CharVarying(_) => SqlType::Text,
        SqlType::Char(_) | SqlType::Character(_) => SqlType::Text,
        SqlType::Array(ArrayElemTypeDef::SquareBracket(item, n)) => {
            SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(cast_type(item)), *n))
        }
        other => other.clone(),
    }
}

/// A type, and how many characters its text may have at most. Errs (42704) for a name that is no type, and (0A000) for one that is not kept.
pub fn column_type(name: &SqlType) -> Result<(DataType, Option<usize>)> {
    let plain = |data_type| Ok((data_type, None));
    match name {
        SqlType::Bool | SqlType::Boolean => plain(DataType::Boolean),
        SqlType::Int2(None) | SqlType::SmallInt(None) => plain(DataType::Int16),
        SqlType::Int4(None) | SqlType::Int(None) | SqlType::Integer(None) => plain(DataType::Int32),
        SqlType::Int8(None) | SqlType::BigInt(None) => plain(DataType::Int64),
        SqlType::Float4 | SqlType::Real => plain(DataType::Float32),
        SqlType::Float8 | SqlType::Double(_) | SqlType::DoublePrecision => plain(DataType::Float64),
        SqlType::Float(ExactNumberInfo::None) => plain(DataType::Float64),
        SqlType::Float(ExactNumberInfo::Precision(n)) => plain(if *n <= 24 { DataType::Float32 } else { DataType::Float64 }),
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) => plain(numeric(info)?),
        SqlType::Text | SqlType::Uuid | SqlType::JSON | SqlType::JSONB => plain(DataType::Utf8),
        SqlType::Varchar(length) | SqlType::CharacterVarying(length) | SqlType::CharVarying(length) => Ok((DataType::Utf8, chars(length)?)),
        SqlType::Char(length) | SqlType::Character(length) => Ok((DataType::Utf8, Some(chars(length)?.unwrap_or(1)))),
        SqlType::Bytea => plain(DataType::Binary),
        SqlType::Date => plain(DataType::Date32),
        SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => plain(DataType::Time64(TimeUnit::Microsecond)),
        SqlType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => plain(ts_type()),
        SqlType::Timestamp(_, _) => plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
        SqlType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => {
            let metadata = text_type(item).map(TextType::metadata).unwrap_or_default();
            let refused = |what: &str, hint: &str| Err(Error::unsupported(format!("a column of arrays of {what}"), hint));
            match column_type(item)? {
                (_, Some(_)) => refused("texts of a length", "Keep it as text[]."),
                (DataType::List(_), _) => refused("arrays", "Keep it as jsonb, or as one array and the length of a row."),
                (item, None) => plain(DataType::List(Arc::new(Field::new("item", item, true).with_metadata(metadata)))),
            }
        }
        SqlType::Custom(name, _) if matches!(name.to_string().to_lowercase().as_str(), "serial" | "bigserial" | "smallserial") => {
            Err(Error::unsupported(format!("a column of type {name}"), "There are no sequences: take int8, and give each row its key."))
        }
        SqlType::Custom(name, _) => Err(Error::NotFound { kind: "type", name: name.to_string() }),
        other => Err(Error::unsupported(
            format!("a column of type {}", other.to_string().to_lowercase()),
            "The types are bool, int2, int4, int8, float4, float8, numeric, text, varchar, bytea, date, time, timestamp, timestamptz, uuid, jsonb, json and arrays of them.",
        )),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (i64::from(NUMERIC.0), i64::from(NUMERIC.1)),
        ExactNumberInfo::Precision(p) => (i64::try_from(*p).unwrap_or(i64::MAX), 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (i64::try_from(*p).unwrap_or(i64::MAX), *s),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p), Ok(s)) if (1..=38).contains(&p) && s >= 0 && i64::from(s) <= precision => Ok(DataType::Decimal128(p, s)),
        _ => Err(Error::Option {
            message: format!("numeric({precision}, {scale}) has no room"),
            hint: Some("A numeric has 1 to 38 digits, and no more of them in its fraction.".into()),
        }),
    }
}

fn chars(length: &Option<CharacterLength>) -> Result<Option<usize>> {
    match length {
        None | Some(CharacterLength::Max) => Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => match usize::try_from(*length) {
            Ok(n) if n > 0 => Ok(Some(n)),
            _ => Err(Error::Option { message: "length for type varchar must be at least 1".into(), hint: None }),
        },
    }
}

/// The name of a type; None for one that a table cannot have.
pub fn word_of(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Int16 => "int2".into(),
        DataType::Int32 => "int4".into(),
        DataType::Int64 => "int8".into(),
        DataType::Float32 => "float4".into(),
        DataType::Float64 => "float8".into(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision}, {scale})"),
        DataType::Utf8 => "text".into(),
        DataType::Binary => "bytea".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(TimeUnit::Microsecond) => "time".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamptz".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".into(),
        DataType::List(item) => match TextType::of_field(item) {
            Some(of) => format!("{}[]", of.word()),
            None => format!("{}[]", word_of(item.data_type())?),
        },
        _ => return None,
    })
}
