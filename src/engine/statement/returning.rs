//! RETURNING: what a statement that writes rows of a table gives back of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, SelectItem, SetExpr};

use super::query;
use super::table_rows::folded;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::plan::column_names;
use crate::plan::names::Names;
use crate::plan::parse::bare_select::query_of;
use crate::plan::rewrite;
use crate::run::apart;
use crate::view::table::Table;

/// What the statement answers: the rows that it has written, read through its list, or how many they were.
pub(super) async fn answer(
    session: &Session,
    (table, alias): (&Table, &str),
    list: Option<&[SelectItem]>,
    rows: RecordBatch,
    tag: &'static str,
) -> Result<Outcome> {
    let Some(list) = list else { return Ok(Outcome::Done { tag: format!("{tag} {}", rows.num_rows()) }) };
    let plan = plan(session, table, alias, list, rows)?;
    let plan = query::physical_of(session, plan, Vec::new()).await?;
    Ok(Outcome::Rows { stream: apart::rows(plan, session.context().task_ctx(), session.engine().threads())?, tag })
}

/// The columns of the answer.
pub(super) fn schema(session: &Session, table: &Table, alias: &str, list: Option<&[SelectItem]>) -> Result<Option<SchemaRef>> {
    let Some(list) = list else { return Ok(None) };
    let plan = plan(session, table, alias, list, RecordBatch::new_empty(table.schema()))?;
    Ok(Some(Arc::clone(session.context().state().optimize(&plan)?.schema().inner())))
}

fn plan(session: &Session, table: &Table, alias: &str, list: &[SelectItem], rows: RecordBatch) -> Result<LogicalPlan> {
    let relation = TableReference::bare(alias.to_owned());
    let written = provider_as_source(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?));
    let read = LogicalPlanBuilder::scan(relation.clone(), written, None)?;
    let state = session.context().state();
    let planned = |expr: &SqlExpr| -> Result<Expr> { Ok(state.create_logical_expr(&rewritten(expr)?.to_string(), read.schema())?) };
    let mut columns: Vec<Expr> = Vec::new();
    for item in list {
        match item {
            SelectItem::UnnamedExpr(expr) => columns.push(planned(expr)?.alias(column_names::of_expr(expr))),
            SelectItem::ExprWithAlias { expr, alias } => columns.push(planned(expr)?.alias(folded(alias))),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                let unlisted = session.engine().catalog().unlisted(table.name());
                let listed = table.columns().iter().filter(|column| !unlisted.contains(&column.field.name().as_str()));
                let all = listed.map(|column| Expr::Column(Column::new(Some(relation.clone()), column.field.name())));
                columns.extend(all);
            }
            other => return Err(Error::unsupported(format!("{other} in RETURNING"), "Name each expression by itself.")),
        }
    }
    Ok(read.project(columns)?.build()?)
}

/// The expression as a SELECT list would have it.
fn rewritten(expr: &SqlExpr) -> Result<SqlExpr> {
    let mut query = query_of(SelectItem::UnnamedExpr(expr.clone()));
    rewrite::rewrite(&mut query)?;
    Ok(match query.body.as_ref() {
        SetExpr::Select(select) => match select.projection.first() {
            Some(SelectItem::UnnamedExpr(written) | SelectItem::ExprWithAlias { expr: written, .. }) => written.clone(),
            _ => expr.clone(),
        },
        _ => expr.clone(),
    })
}
