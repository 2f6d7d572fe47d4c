//! UPDATE: rows of a table with other values in their places.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{FieldRef, Int64Type, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{self, TableFactor, TableWithJoins};

use super::insert::{assigned_types, assignments};
use super::returning::Returning;
use super::table_rows::{Written, folded, keep, name_of, planned, quoted, refuse, rows_of, table_named};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::view::table::{NUMBERED, PLACE, Table};

/// Updates all rows that its WHERE lets through, or none.
pub(super) async fn run(session: &Session, update: &ast::Update, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    let (table, alias) = target(session, update)?;
    let writing = table.write().await;
    let returning = returning(update, &table, &alias);
    let beside = returning.beside(session).await?;
    let (plan, set) = plan(session, update, &beside).await?;
    let rows = rows_of(session, plan, parameters).await?;
    let mut places = places(rows.columns().first())?;
    // A row that a join meets several times is written once, by one of them, as in Postgres.
    let mut seen = std::collections::HashSet::new();
    let kept: Vec<u32> = (0..places.len()).filter(|row| places.get(*row).is_some_and(|p| seen.insert(*p))).map(|row| row as u32).collect();
    places = kept.iter().filter_map(|row| places.get(*row as usize).copied()).collect();
    let (met, at) = (UInt32Array::from(kept), UInt32Array::from_iter_values(places.iter().map(|p| *p as u32)));
    let old = table.rows();
    let mut columns = old.columns().iter().map(|c| Ok(take(c.as_ref(), &at, None)?)).collect::<Result<Vec<ArrayRef>>>()?;
    for (column, values) in set.iter().zip(rows.columns().iter().skip(1)) {
        if let Some(place) = columns.get_mut(*column) {
            *place = cast(&take(values.as_ref(), &met, None)?, place.data_type())?;
        }
    }
    let others = rows.columns().iter().skip(1 + set.len());
    let beside = others.map(|values| Ok(take(values.as_ref(), &met, None)?)).collect::<Result<Vec<_>>>()?;
    let n = places.len();
    let kept = keep(&table, &writing, Written { replaced: places, columns, n_rows: n }).await?;
    returning.answer(session, kept, beside, &old, "UPDATE").await
}

/// The plan that finds the rows and their values.
pub(super) async fn describe(session: &Session, update: &ast::Update) -> Result<LogicalPlan> {
    Ok(plan(session, update, &[]).await?.0)
}

/// The parameters that stand by themselves for a column, with their columns.
pub(super) fn parameter_types(session: &Session, update: &ast::Update) -> Result<Vec<(usize, FieldRef)>> {
    assigned_types(&target(session, update)?.0, &update.assignments)
}

/// The columns of its answer.
pub(super) async fn columns(session: &Session, update: &ast::Update) -> Result<Option<SchemaRef>> {
    let (table, alias) = target(session, update)?;
    returning(update, &table, &alias).schema(session).await
}

fn returning<'a>(update: &'a ast::Update, table: &'a Table, alias: &'a str) -> Returning<'a> {
    Returning { table, alias, from: from_of(update), list: update.returning.as_deref() }
}

/// The relations beside the table.
fn from_of(update: &ast::Update) -> &[TableWithJoins] {
    match &update.from {
        None => &[],
        Some(ast::UpdateTableFromKind::AfterSet(from) | ast::UpdateTableFromKind::BeforeSet(from)) => from,
    }
}

fn target(session: &Session, update: &ast::Update) -> Result<(Arc<Table>, String)> {
    let more = update.output.is_some() || update.or.is_some() || !update.order_by.is_empty() || update.limit.is_some();
    refuse(more, "a clause of UPDATE", "Write UPDATE table SET column = value, … [FROM …] [WHERE …].")?;
    of_factor(session, &update.table, table_named)
}

/// The plan that finds the rows, their new values and those `beside` them.
async fn plan(session: &Session, update: &ast::Update, beside: &[String]) -> Result<(LogicalPlan, Vec<usize>)> {
    let (table, alias) = target(session, update)?;
    let (set, mut values) = assignments(&table, &update.assignments)?;
    values.extend_from_slice(beside);
    let query = numbered(&table, &alias, &values, from_of(update), update.selection.as_ref());
    Ok((planned(session, &query).await?, set))
}

/// How the table of a statement is found.
type Find = fn(&Session, &str) -> Result<Arc<Table>>;

/// The table that an UPDATE or DELETE names, and the name by which its columns are read.
pub(super) fn of_factor(session: &Session, named: &TableWithJoins, find: Find) -> Result<(Arc<Table>, String)> {
    match (&named.relation, named.joins.is_empty()) {
        (TableFactor::Table { name, alias, args: None, .. }, true) => {
            let table = find(session, &name_of(name)?)?;
            let alias = alias.as_ref().map_or_else(|| table.name().to_owned(), |alias| folded(&alias.name));
            Ok((table, alias))
        }
        (other, _) => Err(Error::unsupported(format!("{other} as what is changed"), "Name one table; others stand in FROM or USING.")),
    }
}

/// The query for the places of rows, with values beside them.
pub(super) fn numbered(table: &Table, alias: &str, values: &[String], from: &[TableWithJoins], selection: Option<&ast::Expr>) -> String {
    let alias = quoted(alias);
    let values: String = values.iter().map(|value| format!(", {value}")).collect();
    let from: String = from.iter().map(|one| format!(", {one}")).collect();
    let selection = selection.map(|expr| format!(" WHERE {expr}")).unwrap_or_default();
    format!("SELECT {alias}.{}{values} FROM {} AS {alias}{from}{selection}", quoted(PLACE), quoted(&format!("{}{NUMBERED}", table.name())))
}

/// The places that such a query gives.
pub(super) fn places(column: Option<&ArrayRef>) -> Result<Vec<usize>> {
    let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let column = column.ok_or_else(|| Error::Internal("rows without their places".into()))?;
    Ok(column.iter().flatten().filter_map(|place| usize::try_from(place).ok()).collect())
}
