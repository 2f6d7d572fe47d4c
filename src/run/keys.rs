//! Keys whose bytes are equal when their values are, as a SELECT and Postgres say it: -0 is 0, and one NaN is as another.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::row::{Row, RowConverter, RowParser, Rows, SortField};
use datafusion::error::Result;

/// A column in which equal values are the same; the column itself where they are already.
pub fn same(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => floats::<Float32Type>(
            column,
            |v| v.to_bits() == (-0.0_f32).to_bits() || v.is_nan() && v.to_bits() != f32::NAN.to_bits(),
            |v| if v.is_nan() { f32::NAN } else { 0.0 },
        ),
        DataType::Float64 => floats::<Float64Type>(
            column,
            |v| v.to_bits() == (-0.0_f64).to_bits() || v.is_nan() && v.to_bits() != f64::NAN.to_bits(),
            |v| if v.is_nan() { f64::NAN } else { 0.0 },
        ),
        _ => Arc::clone(column),
    }
}

fn floats<T: ArrowPrimitiveType>(column: &ArrayRef, odd: fn(T::Native) -> bool, plain: fn(T::Native) -> T::Native) -> ArrayRef {
    let values = column.as_primitive::<T>();
    if !values.values().iter().any(|v| odd(*v)) {
        return Arc::clone(column);
    }
    Arc::new(values.unary::<_, T>(|v| if odd(v) { plain(v) } else { v }))
}

/// Turns the columns of keys into bytes, and back.
#[derive(Debug)]
pub struct KeyRows(RowConverter);

impl KeyRows {
    /// For columns of these types. Errs for a type that cannot be compared.
    pub fn try_new<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Result<KeyRows> {
        Ok(KeyRows(RowConverter::new(types.into_iter().cloned().map(SortField::new).collect())?))
    }

    /// The keys of rows.
    pub fn convert_columns(&self, columns: &[ArrayRef]) -> Result<Rows> {
        if columns.iter().any(|c| matches!(c.data_type(), DataType::Float32 | DataType::Float64)) {
            return Ok(self.0.convert_columns(&columns.iter().map(same).collect::<Vec<_>>())?);
        }
        Ok(self.0.convert_columns(columns)?)
    }

    /// The columns of keys.
    pub fn convert_rows<'a>(&self, rows: impl IntoIterator<Item = Row<'a>>) -> Result<Vec<ArrayRef>> {
        Ok(self.0.convert_rows(rows)?)
    }

    /// Reads the bytes of keys.
    pub fn parser(&self) -> RowParser {
        self.0.parser()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float32Array, Float64Array, Int64Array};

    use super::*;

    #[test]
    fn keys_are_equal_when_their_values_are_and_other_columns_are_not_copied() {
        let odd = f64::from_bits(f64::NAN.to_bits() | 1 | 1 << 63);
        let column: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.0), Some(odd), Some(f64::NAN), None, Some(-1.5), Some(1.5)]));
        let rows = KeyRows::try_new([&DataType::Float64]).unwrap();
        let keys = rows.convert_columns(&[column]).unwrap();
        let equal = |a: usize, b: usize| keys.row(a) == keys.row(b);
        assert!(equal(0, 1) && equal(2, 3));
        assert!(!equal(1, 2) && !equal(1, 4) && !equal(5, 6));
        let back = rows.convert_rows(keys.iter().take(1)).unwrap();
        assert!(back[0].as_primitive::<Float64Type>().value(0).is_sign_positive());
        for column in [Arc::new(Int64Array::from(vec![0])) as ArrayRef, Arc::new(Float32Array::from(vec![0.0, 1.0, f32::NAN]))] {
            assert!(Arc::ptr_eq(&column, &same(&column)));
        }
    }
}
