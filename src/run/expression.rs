//! Logical expressions, which a description can be written down with, to physical ones, which run.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

/// An expression over the columns of `schema`, ready to run.
pub fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    physical_among(expr, schema, &PhysicalPlanningContext::default())
}

/// The same of one that may read the values of subqueries.
pub fn physical_among(expr: &Expr, schema: &DFSchema, subqueries: &PhysicalPlanningContext) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, schema, &ExecutionProps::new(), subqueries)
}

/// The values of an expression, one a row.
pub fn evaluate(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    expr.evaluate(rows)?.into_array(rows.num_rows())
}

/// Which rows pass: NULL does not.
pub fn passes(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
    let values = evaluate(expr, rows)?;
    let values = values.as_boolean();
    Ok(if values.null_count() == 0 { values.clone() } else { values.iter().map(|v| Some(v == Some(true))).collect() })
}
