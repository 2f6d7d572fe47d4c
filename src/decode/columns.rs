//! Columns of files in the types that a user sees: no unsigned integers, times in µs UTC, one form of text and of bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampNanosecondType};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::FormatOptions;

/// The type of a time: µs, UTC.
fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type that a column of that type is read as. A time without a zone is taken as UTC.
pub fn shown(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef { Arc::new(field.as_ref().clone().with_data_type(shown(field.data_type()))) };
    match data_type {
        DataType::Int8 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Timestamp(..) | DataType::Date64 => time(),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Dictionary(_, values) => shown(values),
        DataType::RunEndEncoded(_, values) => shown(values.data_type()),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => DataType::List(inner(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// A column as a user sees it.
pub fn shown_field(field: &Field) -> Field {
    Field::new(field.name(), shown(field.data_type()), field.is_nullable())
}

/// The values in another type. Errs if one has no room there.
pub fn convert(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if values.data_type() == to {
        return Ok(Arc::clone(values));
    }
    if let (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(TimeUnit::Microsecond, zone)) = (values.data_type(), to) {
        // A cast would round towards zero, which moves a time before the epoch to a later one.
        let us: TimestampMicrosecondArray = values.as_primitive::<TimestampNanosecondType>().unary(|ns| ns.div_euclid(1_000));
        return Ok(Arc::new(us.with_timezone_opt(zone.clone())));
    }
    cast_with_options(values, to, &CastOptions { safe: false, format_options: FormatOptions::default() })
}

/// The word of a type in a message.
pub(super) fn word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 => "int2",
        DataType::Int32 => "int4",
        DataType::Int64 => "int8",
        DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Decimal128(..) => "numeric",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(..) => "timestamp with time zone",
        _ => "value of its type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{TimestampNanosecondArray, UInt64Array};
    use datafusion::arrow::datatypes::TimestampMicrosecondType;

    #[test]
    fn a_time_before_the_epoch_goes_down_and_a_number_without_room_is_an_error() {
        let ns: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1, 1_999]));
        let us = convert(&ns, &shown(ns.data_type())).unwrap();
        assert_eq!(us.as_primitive::<TimestampMicrosecondType>().values().as_ref(), &[-1, 1]);
        let big: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert!(convert(&big, &shown(big.data_type())).is_err());
    }
}
