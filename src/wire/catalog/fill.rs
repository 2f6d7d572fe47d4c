//! The columns of a relation of the catalogue: by what each is filled.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, ListBuilder,
    StringArray, StringBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, IntervalMonthDayNanoType, IntervalUnit, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use arrow_pg::datatypes::PG_OID_ALIAS_KEY;
use datafusion::error::Result;

use crate::wire::value::column_types::marked;

/// What a column is filled with.
pub(in crate::wire) enum Fill {
    /// Oids.
    Oid(Vec<i32>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    /// Intervals, in seconds.
    Seconds(Vec<i32>),
    Int2(Vec<i16>),
    Float4(f32),
    Bool(Vec<bool>),
    Text(Vec<Option<String>>),
    /// The same text in every row.
    Word(&'static str),
    /// The same number in every row.
    Number(i32),
    /// The same oid in every row.
    OneOid(i32),
    Flag(bool),
    /// NULL of a timestamptz.
    NullTime,
    /// Timestamps, µs since 1970.
    Time(Vec<Option<i64>>),
    /// Numbers, some of them NULL.
    OptionalInt4(Vec<Option<i32>>),
    /// NULL of an int4.
    NullInt4,
    /// NULL text.
    Null,
    /// NULL text[].
    NullArray,
    /// Values of int2[].
    Int2Arrays(Vec<Option<Vec<i16>>>),
    /// Values of int2vector.
    Int2Vectors(Vec<Vec<i16>>),
    /// Values of oidvector.
    OidVectors(Vec<Vec<i32>>),
    /// Values of text[].
    Arrays(Vec<Option<Vec<String>>>),
}

/// Names, and what stands under them.
pub(in crate::wire) type Columns = Vec<(&'static str, Fill)>;

/// So many rows of the columns.
pub(in crate::wire) fn rows_of(columns: Columns, n_rows: usize) -> Result<RecordBatch> {
    let schema = Arc::new(schema_of(&columns));
    let arrays = columns.into_iter().map(|(_, fill)| array(fill, n_rows)).collect();
    Ok(RecordBatch::try_new(schema, arrays)?)
}

/// The fields of the columns.
pub(super) fn schema_of(columns: &Columns) -> Schema {
    let oid = |name: &str| {
        Field::new(name, DataType::Int32, true).with_metadata(HashMap::from([(PG_OID_ALIAS_KEY.to_owned(), "oid".to_owned())]))
    };
    let list = |name: &str, of: DataType| Field::new(name, DataType::List(Arc::new(Field::new("item", of, true))), true);
    let field = |(name, fill): &(&'static str, Fill)| match fill {
        Fill::Oid(_) | Fill::OneOid(_) => oid(name),
        Fill::Int4(_) | Fill::Number(_) | Fill::OptionalInt4(_) | Fill::NullInt4 => Field::new(*name, DataType::Int32, true),
        Fill::Int2(_) => Field::new(*name, DataType::Int16, true),
        Fill::Int8(_) => Field::new(*name, DataType::Int64, true),
        Fill::Seconds(_) => Field::new(*name, DataType::Interval(IntervalUnit::MonthDayNano), true),
        Fill::Float4(_) => Field::new(*name, DataType::Float32, true),
        Fill::Bool(_) | Fill::Flag(_) => Field::new(*name, DataType::Boolean, true),
        Fill::Text(_) | Fill::Word(_) | Fill::Null => Field::new(*name, DataType::Utf8, true),
        Fill::Int2Arrays(_) | Fill::Int2Vectors(_) => list(name, DataType::Int16),
        Fill::OidVectors(_) => list(name, DataType::Int32),
        Fill::NullArray | Fill::Arrays(_) => Field::new(*name, text_array(), true),
        Fill::Time(_) | Fill::NullTime => Field::new(*name, ts_type(), true),
    };
    Schema::new(columns.iter().map(field).map(marked).collect::<Vec<_>>())
}

fn ts_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn text_array() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

fn array(fill: Fill, n_rows: usize) -> ArrayRef {
    match fill {
        Fill::Oid(values) | Fill::Int4(values) => Arc::new(Int32Array::from(values)),
        Fill::Int2(values) => Arc::new(Int16Array::from(values)),
        Fill::Int8(values) => Arc::new(Int64Array::from(values)),
        Fill::Seconds(values) => {
            let interval = |seconds: i32| IntervalMonthDayNanoType::make_value(0, 0, i64::from(seconds) * 1_000_000_000);
            Arc::new(IntervalMonthDayNanoArray::from_iter_values(values.into_iter().map(interval)))
        }
        Fill::Float4(value) => Arc::new(Float32Array::from(vec![value; n_rows])),
        Fill::Bool(values) => Arc::new(BooleanArray::from(values)),
        Fill::Text(values) => Arc::new(StringArray::from(values)),
        Fill::Word(word) => Arc::new(StringArray::from(vec![word; n_rows])),
        Fill::Number(number) | Fill::OneOid(number) => Arc::new(Int32Array::from(vec![number; n_rows])),
        Fill::Flag(flag) => Arc::new(BooleanArray::from(vec![flag; n_rows])),
        Fill::Null => new_null_array(&DataType::Utf8, n_rows),
        Fill::NullArray => new_null_array(&text_array(), n_rows),
        Fill::Int2Arrays(values) => Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(
            values.into_iter().map(|value| value.map(|value| value.into_iter().map(Some))),
        )),
        Fill::Int2Vectors(values) => {
            Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(values.into_iter().map(|value| Some(value.into_iter().map(Some)))))
        }
        Fill::OidVectors(values) => {
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(values.into_iter().map(|value| Some(value.into_iter().map(Some)))))
        }
        Fill::Arrays(values) => Arc::new(lists(values)),
        Fill::OptionalInt4(values) => Arc::new(Int32Array::from(values)),
        Fill::NullInt4 => new_null_array(&DataType::Int32, n_rows),
        Fill::NullTime => new_null_array(&ts_type(), n_rows),
        Fill::Time(values) => Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")),
    }
}

fn lists(values: Vec<Option<Vec<String>>>) -> ListArray {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for value in values {
        let there = value.is_some();
        value.into_iter().flatten().for_each(|text| lists.values().append_value(text));
        lists.append(there);
    }
    lists.finish()
}

/// Texts.
pub(in crate::wire) fn some<T: ToString>(values: impl Iterator<Item = T>) -> Fill {
    Fill::Text(values.map(|value| Some(value.to_string())).collect())
}

/// The privilege that a letter of an access list stands for.
pub(super) fn of_privilege(letter: char) -> &'static str {
    match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'U' => "USAGE",
        'X' => "EXECUTE",
        'c' => "CONNECT",
        'C' => "CREATE",
        _ => "TEMPORARY",
    }
}
