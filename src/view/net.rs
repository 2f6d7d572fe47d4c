//! What is left of rows taken back and rows that come when a row that is in both is in neither.

use std::collections::HashMap;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;

/// Compares rows of one schema, whole.
#[derive(Debug)]
pub(super) struct Net {
    schema: SchemaRef,
    rows: RowConverter,
}

impl Net {
    /// Errs if a column's type cannot be compared.
    pub(super) fn try_new(schema: &SchemaRef) -> Result<Net> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(Net { schema: std::sync::Arc::clone(schema), rows: RowConverter::new(fields)? })
    }

    /// The rows as bytes that are equal for equal rows. Rows without columns are all equal: their bytes are empty.
    pub(super) fn bytes(&self, rows: &RecordBatch) -> Result<Vec<Box<[u8]>>> {
        if rows.num_columns() == 0 {
            return Ok(vec![Box::default(); rows.num_rows()]);
        }
        let encoded: Rows = self.rows.convert_columns(rows.columns())?;
        Ok(encoded.iter().map(|row| Box::from(row.data())).collect())
    }

    /// What really goes and what really comes: a projection of a changed row may be as it was.
    pub(super) fn of(&self, gone: &RecordBatch, come: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
        if gone.num_rows() == 0 || come.num_rows() == 0 {
            return Ok((gone.clone(), come.clone()));
        }
        let mut coming: HashMap<Box<[u8]>, Vec<usize>> = HashMap::new();
        for (at, row) in self.bytes(come)?.into_iter().enumerate().rev() {
            coming.entry(row).or_default().push(at);
        }
        let mut stays = vec![true; come.num_rows()];
        let mut goes = Vec::with_capacity(gone.num_rows());
        for row in self.bytes(gone)? {
            let same = coming.get_mut(&row).and_then(Vec::pop);
            goes.push(same.is_none());
            if let Some(stays) = same.and_then(|at| stays.get_mut(at)) {
                *stays = false;
            }
        }
        if goes.iter().all(|g| *g) {
            return Ok((gone.clone(), come.clone()));
        }
        Ok((filter_record_batch(gone, &BooleanArray::from(goes))?, filter_record_batch(come, &BooleanArray::from(stays))?))
    }

    /// Two steps as one.
    pub(super) fn both(&self, first: &(RecordBatch, RecordBatch), then: &(RecordBatch, RecordBatch)) -> Result<(RecordBatch, RecordBatch)> {
        let gone = concat_batches(&self.schema, [&first.0, &then.0])?;
        let come = concat_batches(&self.schema, [&first.1, &then.1])?;
        self.of(&gone, &come)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array};
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn rows(values: &[i32]) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(values.to_vec())) as ArrayRef)]).unwrap()
    }

    fn values(rows: &RecordBatch) -> Vec<i32> {
        rows.column(0).as_primitive::<Int32Type>().values().to_vec()
    }

    #[test]
    fn a_row_that_goes_and_comes_again_does_neither_as_often_as_it_does_both() {
        let net = Net::try_new(&rows(&[]).schema()).unwrap();
        let (gone, come) = net.of(&rows(&[1, 2, 2, 3]), &rows(&[2, 4, 1, 4])).unwrap();
        assert_eq!((values(&gone), values(&come)), (vec![2, 3], vec![4, 4]));
        let (gone, come) = net.both(&(rows(&[1]), rows(&[2])), &(rows(&[2]), rows(&[3]))).unwrap();
        assert_eq!((values(&gone), values(&come)), (vec![1], vec![3]));
        assert_eq!(gone.column(0).len(), 1);
    }
}
