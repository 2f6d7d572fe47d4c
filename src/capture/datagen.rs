//! `datagen:`, rows made from their number and a seed: the same again at every reading, in order of time but for a chosen disorder.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::{Error, Result};

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// The row's number, from 0.
    Sequence,
    /// At random between two bounds, both included.
    Between(f64, f64),
    /// At random one of these.
    OneOf(Vec<String>),
}

/// What is made.
#[derive(Clone, Debug)]
pub struct Datagen {
    schema: SchemaRef,
    values: Vec<Values>,
    /// How many rows; None is endless.
    pub n_rows: Option<u64>,
    /// Rows in a second of event time.
    pub rate: f64,
    /// What the numbers are made from.
    pub seed: u64,
    /// The time of the first row, µs.
    pub start_ts_us: i64,
    /// A row is at most so much earlier than its turn, µs.
    pub disorder_us: i64,
}

impl Datagen {
    /// Columns with what they hold; None holds what its type has by itself: 0 to 999, 0 to 1, true or false, a word, the time of its turn.
    /// Errs for a type that cannot be made (0A000), for values that do not fit their type (22023) and for a rate that is not above 0.
    pub fn new(columns: Vec<(Field, Option<Values>)>, rate: f64) -> Result<Datagen> {
        if !(rate > 0.0 && rate <= 1e9) {
            return Err(Error::Option {
                message: format!("rows cannot come at a rate of {rate} a second"),
                hint: Some("rate is above 0.".into()),
            });
        }
        let mut values = Vec::with_capacity(columns.len());
        for (field, given) in &columns {
            values.push(of_type(field, given.clone())?);
        }
        let schema = Arc::new(Schema::new(columns.into_iter().map(|(field, _)| field.with_nullable(false)).collect::<Vec<_>>()));
        Ok(Datagen { schema, values, n_rows: None, rate, seed: 0, start_ts_us: 0, disorder_us: 0 })
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The turn of a row, µs: what its time would be without disorder.
    pub fn turn_us(&self, row: u64) -> i64 {
        self.start_ts_us.saturating_add((row as f64 * 1e6 / self.rate).round() as i64)
    }

    /// Rows whose turn has come `elapsed_us` after the first.
    pub fn n_due(&self, elapsed_us: i64) -> u64 {
        let n = (elapsed_us.max(0) as f64 * self.rate / 1e6).floor() as u64;
        n.saturating_add(1).min(self.n_rows.unwrap_or(u64::MAX))
    }

    /// Rows `from` to `to`, without the last, of the columns at `projection`.
    pub fn rows(&self, from: u64, to: u64, projection: &[usize]) -> Result<RecordBatch> {
        let columns = projection.iter().map(|at| self.column(*at, from, to)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(usize::try_from(to - from).unwrap_or(0)));
        Ok(RecordBatch::try_new_with_options(Arc::new(self.schema.project(projection)?), columns, &options)?)
    }

    fn column(&self, at: usize, from: u64, to: u64) -> Result<ArrayRef> {
        let (Some(field), Some(values)) = (self.schema.fields().get(at), self.values.get(at)) else {
            return Err(Error::Internal("a generated column that is not there".into()));
        };
        let rows = from..to;
        let random = |row: u64| mixed(self.seed, at as u64 + 1, row);
        let number = |row: u64| match values {
            Values::Sequence => row as f64,
            Values::Between(low, high) => low + unit(random(row)) * (high - low),
            Values::OneOf(_) => 0.0,
        };
        let whole = |row: u64| match values {
            Values::Between(low, high) => {
                let (low, high) = (*low as i64, *high as i64);
                let n = high.abs_diff(low).saturating_add(1);
                low.saturating_add_unsigned(random(row) % n)
            }
            _ => i64::try_from(row).unwrap_or(i64::MAX),
        };
        Ok(match field.data_type() {
            DataType::Boolean => Arc::new(BooleanArray::from_iter(rows.map(|row| Some(random(row) & 1 == 1)))),
            DataType::Int16 => Arc::new(Int16Array::from_iter_values(rows.map(|row| i16::try_from(whole(row)).unwrap_or(i16::MAX)))),
            DataType::Int32 => Arc::new(Int32Array::from_iter_values(rows.map(|row| i32::try_from(whole(row)).unwrap_or(i32::MAX)))),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(rows.map(whole))),
            DataType::Float32 => Arc::new(Float32Array::from_iter_values(rows.map(|row| number(row) as f32))),
            DataType::Float64 => Arc::new(Float64Array::from_iter_values(rows.map(number))),
            DataType::Timestamp(..) => {
                let time = |row| {
                    let back = if self.disorder_us > 0 { mixed(self.seed, 0, row) % (self.disorder_us as u64 + 1) } else { 0 };
                    self.turn_us(row).saturating_sub_unsigned(back)
                };
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.map(time)).with_timezone("UTC"))
            }
            _ => match values {
                Values::OneOf(words) => {
                    let word = |row| words.get((random(row) % words.len().max(1) as u64) as usize).map_or("", String::as_str);
                    Arc::new(StringArray::from_iter_values(rows.map(word)))
                }
                Values::Sequence => Arc::new(StringArray::from_iter_values(rows.map(|row| row.to_string()))),
                Values::Between(..) => Arc::new(StringArray::from_iter_values(rows.map(|row| letters(random(row))))),
            },
        })
    }
}

/// What a column of the type holds. Errs if it can not hold what is asked of it.
fn of_type(field: &Field, given: Option<Values>) -> Result<Values> {
    let most = match field.data_type() {
        DataType::Int16 => f64::from(i16::MAX),
        DataType::Int32 => f64::from(i32::MAX),
        // Beyond it not every whole number is a float8, in which bounds are written.
        DataType::Int64 => 9e15,
        DataType::Float32 | DataType::Float64 => f64::MAX,
        DataType::Utf8 | DataType::Boolean | DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => 0.0,
        other => {
            return Err(Error::unsupported(
                format!("column \"{}\" of type {other} in datagen:", field.name()),
                "The types are bool, int2, int4, int8, float4, float8, text and timestamptz.",
            ));
        }
    };
    let text = *field.data_type() == DataType::Utf8;
    let (number, float) = (most > 0.0, matches!(field.data_type(), DataType::Float32 | DataType::Float64));
    let fits = match &given {
        None => true,
        Some(Values::Sequence) => number || text,
        Some(Values::Between(low, high)) => number && low <= high && low.abs() <= most && high.abs() <= most,
        Some(Values::OneOf(words)) => text && !words.is_empty(),
    };
    if !fits {
        return Err(Error::Option {
            message: format!("column \"{}\" of datagen: cannot hold what is asked of it", field.name()),
            hint: Some("Numbers are sequence or between a and b, text is sequence or in ('a', 'b'), others are left to themselves.".into()),
        });
    }
    Ok(given.unwrap_or(if float { Values::Between(0.0, 1.0) } else { Values::Between(0.0, 999.0) }))
}

/// A number of 64 random bits that depends on all three (splitmix64, public domain, Vigna 2015).
fn mixed(seed: u64, column: u64, row: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(column.wrapping_mul(0xD1B5_4A32_D192_ED03))
        .wrapping_add(row.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// From 0 to 1, without 1.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Eight small letters.
fn letters(mut random: u64) -> String {
    (0..8)
        .map(|_| {
            let letter = (random % 26) as u8;
            random /= 26;
            char::from(b'a' + letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    #[test]
    fn a_row_depends_on_its_number_alone() {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let ts = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let columns = vec![(field("n", DataType::Int64), Some(Values::Between(3.0, 5.0))), (field("ts", ts), None)];
        let mut made = Datagen::new(columns, 10.0).unwrap();
        made.disorder_us = 250_000;
        let whole = made.rows(0, 1000, &[0, 1]).unwrap();
        assert_eq!(made.rows(400, 500, &[0, 1]).unwrap(), whole.slice(400, 100));
        let n = whole.column(0).as_primitive::<Int64Type>();
        assert_eq!((n.values().iter().min(), n.values().iter().max()), (Some(&3), Some(&5)));
        let times = whole.column(1).as_primitive::<TimestampMicrosecondType>();
        let back = |(row, us): (usize, &i64)| row as i64 * 100_000 - us;
        assert!(times.values().iter().enumerate().map(back).all(|us| (0..=250_000).contains(&us)));
        assert!(Datagen::new(vec![(field("a", DataType::Utf8), Some(Values::Between(0.0, 1.0)))], 1.0).is_err());
    }

    #[test]
    fn rows_are_due_at_their_turn() {
        let made = Datagen::new(Vec::new(), 4.0).unwrap();
        assert_eq!((made.n_due(0), made.n_due(249_999), made.n_due(250_000)), (1, 1, 2));
    }
}
