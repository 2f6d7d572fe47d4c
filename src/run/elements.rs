//! What a subquery says of the elements of a list, row by row: each row comes out as it is, with a column for each aggregate over its elements.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, UInt32Array};
use datafusion::arrow::compute::{filter, filter_record_batch, take};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::expression::{passes, physical};
use super::groups::Aggregates;
use super::operator::{Operator, Output, row_by_row};
use super::unnest::explode;

/// The description: which elements count, and what is said of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Elements {
    /// The list column, as an index of the input: the columns before it go out.
    pub list: usize,
    /// The columns that are read beside an element, as indices of the input.
    pub beside: Vec<usize>,
    /// Those columns, and the element as the last.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// Which elements count, none or one condition over these.
    #[serde(with = "super::written")]
    pub condition: Vec<Expr>,
    /// The aggregates, over the same.
    #[serde(with = "super::written")]
    pub aggregates: Vec<Expr>,
    /// The columns that go out.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Elements {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let text = |all: &[Expr]| all.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        let condition = if self.condition.is_empty() { String::new() } else { format!(", predicate={}", text(&self.condition)) };
        format!("aggregates=[{}]{condition}", text(&self.aggregates))
    }

    pub(super) fn build(&self) -> Result<ElementsOperator> {
        Ok(ElementsOperator {
            condition: self.condition.iter().map(|e| physical(e, &self.input)).collect::<Result<_>>()?,
            aggregates: Aggregates::try_new(&self.aggregates, &self.input, Arc::new(Schema::empty()))?,
            description: self.clone(),
        })
    }
}

pub(super) struct ElementsOperator {
    description: Elements,
    condition: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Aggregates,
}

impl Operator for ElementsOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let d = &self.description;
        let (mut parents, elements) = explode(rows.column(d.list), false, false)?;
        let mut beside = d.beside.iter().map(|at| take(rows.column(*at), &parents, None)).collect::<Result<Vec<ArrayRef>, _>>()?;
        beside.push(elements);
        let options = RecordBatchOptions::new().with_row_count(Some(parents.len()));
        let mut inside = RecordBatch::try_new_with_options(Arc::clone(d.input.inner()), beside, &options)?;
        for condition in &self.condition {
            let passing = passes(condition, &inside)?;
            inside = filter_record_batch(&inside, &passing)?;
            parents = UInt32Array::from(filter(&parents, &passing)?.to_data());
        }
        let groups: Vec<usize> = parents.values().iter().map(|row| *row as usize).collect();
        let mut columns: Vec<ArrayRef> = rows.columns().iter().take(d.list).cloned().collect();
        columns.extend(self.aggregates.of_groups(&inside, &groups, rows.num_rows())?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        out.rows(RecordBatch::try_new_with_options(Arc::clone(&d.schema), columns, &options)?);
        Ok(())
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let schema = Arc::clone(&self.description.schema);
        row_by_row(self, &schema, input, gone, come, out)
    }
}
