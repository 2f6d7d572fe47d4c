//! Gives rows that stand in the query itself: VALUES, the one row of a SELECT without FROM, and none where the plan knows that there are none.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, new_empty_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr};
use futures::stream;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::physical;
use super::operator::State;
use super::scan::{ScanOperator, n_rows_of, with_barrier};
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::EventStream;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Values {
    /// The rows, each with a constant a column.
    #[serde(with = "super::written")]
    pub rows: Vec<Vec<Expr>>,
    /// The columns.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Values {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        format!("rows={}", self.rows.len())
    }

    /// The rows after those that a restored query had taken, with a barrier where the checkpoint asks for one, and the end; and what counts
    /// them like those of a source.
    pub(super) fn open(&self, run: &Run, restored: Option<&State>) -> Result<(ScanOperator, EventStream)> {
        let skip_rows = restored.map_or(0, n_rows_of);
        let all = self.batch()?;
        let mut events = Vec::new();
        let mut at = usize::try_from(skip_rows).unwrap_or(usize::MAX);
        while at < all.num_rows() {
            let n = run.batch_rows.unwrap_or(usize::MAX).clamp(1, all.num_rows() - at);
            events.push(Ok(Event::Rows(all.slice(at, n))));
            at += n;
        }
        events.extend([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]);
        let events = run.checkpoint.with_barriers(Box::pin(stream::iter(events)), false);
        let events = match run.checkpoint.barrier_after_rows {
            None => events,
            Some(at) => with_barrier(events, at),
        };
        Ok((ScanOperator::counting_from(skip_rows), events))
    }

    fn batch(&self) -> Result<RecordBatch> {
        let (nothing, one_row) = (DFSchema::empty(), RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one())?);
        let constant = |expr: &Expr| match physical(expr, &nothing)?.evaluate(&one_row)? {
            ColumnarValue::Scalar(value) => Ok(value),
            ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0),
        };
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (at, field) in self.schema.fields().iter().enumerate() {
            let mut values = Vec::new();
            for row in &self.rows {
                match row.get(at) {
                    Some(expr) => values.push(constant(expr)?),
                    None => return internal_err!("a row of VALUES is too short"),
                }
            }
            columns.push(match values.is_empty() {
                true => new_empty_array(field.data_type()),
                false => cast(&ScalarValue::iter_to_array(values)?, field.data_type())?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn one() -> RecordBatchOptions {
    RecordBatchOptions::new().with_row_count(Some(1))
}
