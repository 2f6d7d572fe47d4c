//! Filters and projects: each batch leaves as it came, smaller or not at all, and never waits for the next.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, passes, physical_among};
use super::operator::{Operator, Output, row_by_row};

/// The description: the predicate first, then the columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Map {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// Which rows pass; None lets all pass.
    #[serde(with = "super::written")]
    pub predicate: Option<Expr>,
    /// The columns that go out; None passes what came in.
    #[serde(with = "super::written")]
    pub columns: Option<Vec<Expr>>,
    /// The columns that go out, by name and type.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Map {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let mut parts = Vec::new();
        if let Some(predicate) = &self.predicate {
            parts.push(format!("where={predicate}"));
        }
        if let Some(columns) = &self.columns {
            parts.push(format!("columns=[{}]", columns.iter().map(|c| c.to_string()).collect::<Vec<_>>().join(", ")));
        }
        parts.join(", ")
    }

    pub(super) fn build(&self, run: &Run) -> Result<MapOperator> {
        let physical = |e: &Expr| physical_among(e, &self.input, &run.subqueries);
        Ok(MapOperator {
            predicate: self.predicate.as_ref().map(physical).transpose()?,
            columns: self.columns.as_ref().map(|c| c.iter().map(physical).collect()).transpose()?,
            schema: Arc::clone(&self.schema),
        })
    }
}

pub(super) struct MapOperator {
    predicate: Option<Arc<dyn PhysicalExpr>>,
    columns: Option<Vec<Arc<dyn PhysicalExpr>>>,
    schema: SchemaRef,
}

impl Operator for MapOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let rows = match &self.predicate {
            None => rows,
            Some(predicate) => {
                let passing = passes(predicate, &rows)?;
                match passing.true_count() {
                    0 => return Ok(()),
                    n if n == rows.num_rows() => rows,
                    _ => filter_record_batch(&rows, &passing)?,
                }
            }
        };
        let columns = match &self.columns {
            None => rows.columns().to_vec(),
            Some(columns) => columns.iter().map(|c| evaluate(c, &rows)).collect::<Result<Vec<ArrayRef>>>()?,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        out.rows(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        Ok(())
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let schema = Arc::clone(&self.schema);
        row_by_row(self, &schema, input, gone, come, out)
    }
}
