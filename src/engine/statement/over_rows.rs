//! Expressions over rows at hand, those that a statement has written or is about to: they are planned as a SELECT from relations of the catalogue, so that
//! subqueries stand in them as anywhere, and read the rows in place of what those relations hold.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::sql::sqlparser::ast;

use crate::error::{Error, Result};

/// A column by the relation and the name by which it is read.
pub(super) type Named = (Option<TableReference>, String);

/// The columns that such a SELECT reads from.
pub(super) fn columns(plan: &LogicalPlan) -> Result<Vec<Named>> {
    Ok(root(plan)?.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone())).collect())
}

/// The SELECT over these rows, which have its columns in their order.
pub(super) fn read(plan: &LogicalPlan, rows: Vec<ArrayRef>, n_rows: usize) -> Result<LogicalPlan> {
    let named = columns(plan)?;
    let name = |at: usize| format!("column{at}");
    let fields: Vec<Field> = rows.iter().enumerate().map(|(at, values)| Field::new(name(at), values.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), rows, &options)?;
    let table = provider_as_source(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?));
    let column = |(at, (qualifier, field)): (usize, Named)| Expr::Column(Column::from_name(name(at))).alias_qualified(qualifier, field);
    let read = LogicalPlanBuilder::scan("rows", table, None)?.project(named.into_iter().enumerate().map(column).collect::<Vec<_>>())?;
    Ok(replaced(plan, read.build()?)?)
}

/// The plan with what a table held before in place of what it holds now: a statement's own rows are not seen in it.
pub(super) fn before(plan: LogicalPlan, table: &str, rows: &RecordBatch) -> Result<LogicalPlan> {
    let held = provider_as_source(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?));
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) if scan.table_name.table() == table => {
            Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source: Arc::clone(&held), ..scan })))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(plan?.data)
}

/// What the SELECT reads from: below its list there is nothing else.
fn root(plan: &LogicalPlan) -> Result<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => root(&projection.input),
        LogicalPlan::Aggregate(_) => {
            let message = "aggregate functions are not allowed in RETURNING".to_owned();
            Err(Error::Data { code: "42803", message, detail: None })
        }
        LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Join(_) => Ok(plan),
        _ => Err(Error::unsupported("such an expression over rows that are written", "Write values, calls and subqueries.")),
    }
}

fn replaced(plan: &LogicalPlan, read: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => plan.with_new_exprs(plan.expressions(), vec![replaced(&projection.input, read)?]),
        _ => Ok(read),
    }
}

/// Whether an expression has a subquery.
pub(super) fn asks(of: &impl ast::Visit) -> bool {
    let asked = ast::visit_expressions(of, |expr| match expr {
        ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    asked.is_break()
}
