//! DELETE and TRUNCATE: rows of a table go.

use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, UInt32Array};
use datafusion::arrow::compute::{filter_record_batch, take, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;

use super::returning::Returning;
use super::table_rows::{name_of, planned, put, refuse, rows_named, rows_of};
use super::update::{numbered, of_factor, places};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::view::table::Table;

/// Deletes the rows that its WHERE lets through.
pub(super) async fn run(session: &Session, delete: &ast::Delete, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    let (table, alias) = target(session, delete)?;
    let writing = table.write().await;
    let returning = returning(delete, &table, &alias);
    let beside = returning.beside(session).await?;
    let found = rows_of(session, plan(session, delete, &beside).await?, parameters).await?;
    let old = table.rows();
    let mut stays = vec![true; old.num_rows()];
    // A row that a join meets several times goes once, with one of them.
    let mut gone = Vec::<(u32, u32)>::new();
    for (row, place) in places(found.columns().first())?.into_iter().enumerate() {
        if let Some(stays) = stays.get_mut(place).filter(|stays| **stays) {
            *stays = false;
            gone.push((place as u32, row as u32));
        }
    }
    gone.sort_unstable();
    let (gone, met): (Vec<u32>, Vec<u32>) = gone.into_iter().unzip();
    let (met, stays) = (UInt32Array::from(met), BooleanArray::from(stays));
    let beside = found.columns().iter().skip(1).map(|values| Ok(take(values.as_ref(), &met, None)?)).collect::<Result<Vec<_>>>()?;
    let gone = take_record_batch(&old, &UInt32Array::from(gone))?;
    if gone.num_rows() > 0 {
        put(&table, &writing, filter_record_batch(&old, &stays)?).await?;
    }
    returning.answer(session, gone, beside, &old, "DELETE").await
}

/// The plan that finds the rows.
pub(super) async fn describe(session: &Session, delete: &ast::Delete) -> Result<LogicalPlan> {
    plan(session, delete, &[]).await
}

/// The columns of its answer.
pub(super) async fn columns(session: &Session, delete: &ast::Delete) -> Result<Option<SchemaRef>> {
    let (table, alias) = target(session, delete)?;
    returning(delete, &table, &alias).schema(session).await
}

fn returning<'a>(delete: &'a ast::Delete, table: &'a Table, alias: &'a str) -> Returning<'a> {
    Returning { table, alias, from: delete.using.as_deref().unwrap_or_default(), list: delete.returning.as_deref() }
}

fn target(session: &Session, delete: &ast::Delete) -> Result<(Arc<Table>, String)> {
    let more = delete.output.is_some() || !delete.tables.is_empty() || !delete.order_by.is_empty() || delete.limit.is_some();
    refuse(more, "a clause of DELETE", "Write DELETE FROM table [USING …] [WHERE …].")?;
    let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
    match from.as_slice() {
        [one] => of_factor(session, one, rows_named),
        _ => Err(Error::unsupported("DELETE from several tables", "Write a statement for each.")),
    }
}

async fn plan(session: &Session, delete: &ast::Delete, beside: &[String]) -> Result<LogicalPlan> {
    let (table, alias) = target(session, delete)?;
    let using = delete.using.as_deref().unwrap_or_default();
    planned(session, &numbered(&table, &alias, beside, using, delete.selection.as_ref())).await
}

/// TRUNCATE: every row of the tables goes.
pub(super) async fn truncate(session: &Session, truncate: &ast::Truncate) -> Result<Outcome> {
    refuse(truncate.identity.is_some(), "RESTART IDENTITY", "Tables have no sequences.")?;
    let mut tables = Vec::<Arc<Table>>::new();
    for target in &truncate.table_names {
        let table = rows_named(session, &name_of(&target.name)?)?;
        if !tables.iter().any(|t| t.name() == table.name()) {
            tables.push(table);
        }
    }
    // In one order for all statements, so that no two wait for each other.
    tables.sort_by(|a, b| a.name().cmp(b.name()));
    let mut writing = Vec::with_capacity(tables.len());
    for table in &tables {
        writing.push(table.write().await);
    }
    for (table, writing) in tables.iter().zip(&writing) {
        put(table, writing, table.rows().slice(0, 0)).await?;
    }
    Ok(Outcome::Done { tag: "TRUNCATE TABLE".into() })
}
