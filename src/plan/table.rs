//! A source as DataFusion's planner sees it: a table whose scan is ours.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::frame::source::Source;

/// A table over a source.
#[derive(Debug)]
pub struct SourceTable {
    /// What is read.
    pub source: Arc<dyn Source>,
    /// Its primary key, on which all columns depend: who groups by it may select them.
    constraints: Constraints,
}

impl SourceTable {
    /// A table over a source, with the source's key.
    pub fn new(source: Arc<dyn Source>) -> SourceTable {
        let key = source.primary_key().to_vec();
        let constraints = if key.is_empty() { Vec::new() } else { vec![Constraint::PrimaryKey(key)] };
        SourceTable { source, constraints: Constraints::new_unverified(constraints) }
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // What a reader may skip by is applied again above: a seek lands on a keyframe, not on the row.
        let one = |f: &&Expr| match self.source.may_skip_by(f) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(one).collect())
    }

    async fn scan(&self, _: &dyn Session, _: Option<&Vec<usize>>, _: &[Expr], _: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        internal_err!("the scan of source {} is planned by run::lower", self.source.name())
    }
}
