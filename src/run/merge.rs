//! Several inputs as one: rows pass as they come, the watermark is the lowest of the inputs.

use std::sync::Arc;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::operator::{Operator, Output, row_by_row};

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Merge {
    /// The columns that go out; the inputs' have the same types in the same order.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Merge {
    pub(super) fn build(&self) -> MergeOperator {
        MergeOperator { schema: Arc::clone(&self.schema) }
    }
}

pub(super) struct MergeOperator {
    schema: SchemaRef,
}

impl Operator for MergeOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let columns = rows
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(c, f)| if c.data_type() == f.data_type() { Ok(Arc::clone(c)) } else { cast(c, f.data_type()) })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        out.rows(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        Ok(())
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let schema = Arc::clone(&self.schema);
        row_by_row(self, &schema, input, gone, come, out)
    }

    /// It keeps nothing itself; what is above it keeps the rows of the input that is ahead until the others' watermarks are there.
    fn keeps_pace(&self) -> bool {
        true
    }
}
