//! Drops the pixels and goes on to another thread: below it frames are decoded and looked at, above it rows are small.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::frame::{is_frame, without_pixels};
use serde::{Deserialize, Serialize};

use super::operator::{Operator, Output, row_by_row};

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detach {
    /// The columns, as they came.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Detach {
    pub(super) fn build(&self) -> DetachOperator {
        DetachOperator { schema: Arc::clone(&self.schema), frames: self.schema.fields().iter().map(|f| is_frame(f.data_type())).collect() }
    }
}

pub(super) struct DetachOperator {
    schema: SchemaRef,
    frames: Vec<bool>,
}

impl Operator for DetachOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        if !self.frames.contains(&true) {
            out.rows(rows);
            return Ok(());
        }
        let columns = rows
            .columns()
            .iter()
            .zip(&self.frames)
            .map(|(column, frame)| -> ArrayRef {
                if *frame { Arc::new(without_pixels(column.as_struct())) } else { Arc::clone(column) }
            })
            .collect();
        out.rows(RecordBatch::try_new(rows.schema(), columns)?);
        Ok(())
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let schema = Arc::clone(&self.schema);
        row_by_row(self, &schema, input, gone, come, out)
    }
}
