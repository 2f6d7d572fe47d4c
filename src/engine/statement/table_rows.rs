//! What the statements that write tables share: the table named, the rows that a query gives for it, and the step that keeps them.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::{concat, concat_batches, interleave};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::{self, ObjectName};
use futures::TryStreamExt;

use super::query;
use crate::engine::catalog::Body;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::plan::parse::parse_query;
use crate::plan::value::text_type::TextType;
use crate::plan::value::write;
use crate::settings::TimeZone;
use crate::view::constraint::{check_unique, checked};
use crate::view::table::{Table, TableColumn, Writing};

/// A name as Postgres folds it.
pub(super) fn folded(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The name of an object, perhaps behind `public.`.
pub(super) fn name_of(name: &ObjectName) -> Result<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name] if schema == "public" => Ok(name.clone()),
        [schema, ..] => Err(Error::NotFound { kind: "schema", name: schema.clone() }),
        [] => Err(Error::Syntax { message: "expected the name of a table".into(), hint: None }),
    }
}

/// The table of that name. Errs with 42P01 if there is none, and with 55000 if it is something that cannot be written.
pub(super) fn table_named(session: &Session, name: &str) -> Result<Arc<Table>> {
    match session.engine().catalog().find(name) {
        None => Err(Error::NotFound { kind: "relation", name: name.to_owned() }),
        Some(object) => match object.body {
            Body::Table(table) => Ok(session.written(table)),
            Body::Gallery(_) => Err(Error::State {
                message: format!("cannot change gallery \"{name}\" in this way"),
                hint: Some(format!("INSERT INTO {name} (name, picture) and DELETE FROM {name} change it.")),
            }),
            _ => Err(Error::State {
                message: format!("cannot change {} \"{name}\"", object.kind().word()),
                hint: Some("Statements write tables only: CREATE TABLE makes one.".into()),
            }),
        },
    }
}

/// The same for a statement that takes rows away, which may be those of a gallery.
pub(super) fn rows_named(session: &Session, name: &str) -> Result<Arc<Table>> {
    match session.engine().catalog().find(name).map(|object| object.body) {
        Some(Body::Gallery(gallery)) => Ok(session.written(gallery)),
        _ => table_named(session, name),
    }
}

/// The place of a column. Errs with 42703.
pub(super) fn column_at(table: &Table, name: &str) -> Result<usize> {
    table.columns().iter().position(|c| c.field.name() == name).ok_or_else(|| Error::Data {
        code: "42703",
        message: format!("column \"{name}\" of relation \"{}\" does not exist", table.name()),
        detail: None,
    })
}

/// The columns named, in that order; all without names. Errs for one that is not there (42703) or twice (42701).
pub(super) fn columns_at(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..table.columns().len()).collect());
    }
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let at = column_at(table, name)?;
        if places.contains(&at) {
            return Err(Error::DuplicateColumn { name: name.clone() });
        }
        places.push(at);
    }
    Ok(places)
}

/// A name in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a column holds where nothing is said, as SQL.
pub(super) fn default_sql(column: &TableColumn) -> String {
    match &column.default {
        value if value.is_null() => cast_sql(column, "NULL"),
        value => {
            let mut text = String::new();
            let written = value.to_array().is_ok_and(|values| write::write(&mut text, values.as_ref(), 0, TimeZone::default()).is_ok());
            let text = if written { text } else { value.to_string() };
            cast_sql(column, &format!("'{}'", text.replace('\'', "''")))
        }
    }
}

/// A value as the column's type. Of uuid and jsonb it is text, which is read where the rows are checked, and so it is in arrays; of a text of limited
/// length it is text too, as a cast would cut what is refused there.
pub(super) fn cast_sql(column: &TableColumn, value: &str) -> String {
    let data_type = match column.field.data_type() {
        DataType::List(item) if TextType::of_field(item).is_some() => "text[]",
        DataType::Utf8 => "text",
        _ => &column.sql_type,
    };
    format!("CAST({value} AS {data_type})")
}

/// Whether an expression is the word DEFAULT.
pub(super) fn says_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A query of ours, planned.
pub(super) async fn planned(session: &Session, sql: &str) -> Result<LogicalPlan> {
    session.plan(&parse_query(sql)?.query).await
}

/// All rows of a plan as one batch, with its parameters' values.
pub(super) async fn rows_of(session: &Session, plan: LogicalPlan, parameters: Vec<ScalarValue>) -> Result<RecordBatch> {
    let plan = query::physical_of(session, plan, parameters).await?;
    let (schema, task) = (plan.schema(), session.context().task_ctx());
    // They are the session's like what an operator keeps, and are there twice for a moment when they are put together.
    let held = MemoryConsumer::new("the rows of a statement").register(task.memory_pool());
    let (mut batches, mut rows) = (Vec::new(), execute_stream(plan, task)?);
    while let Some(batch) = rows.try_next().await? {
        held.try_grow(2 * batch.get_array_memory_size())?;
        batches.push(batch);
    }
    Ok(concat_batches(&schema, &batches)?)
}

/// Rows in which some stand in place of the old ones and others come behind them.
pub(super) struct Written {
    /// For each row in place of an old one, its place.
    pub(super) replaced: Vec<usize>,
    /// The values: first those rows, then the new ones.
    pub(super) columns: Vec<ArrayRef>,
    /// Rows in `columns`.
    pub(super) n_rows: usize,
}

/// Checks the rows and keeps them, all or none, and gives them back. The caller holds `Table::write`. Errs with 23502, 22001 and 23505.
pub(super) async fn keep(table: &Arc<Table>, writing: &Writing, written: Written) -> Result<RecordBatch> {
    let table = Arc::clone(table);
    blocking(writing, move || {
        let (new, all) = checked_with_all(&table, written)?;
        table.replace(all)?;
        Ok(new)
    })
    .await
}

/// The rows written, and all that the table then has.
fn checked_with_all(table: &Table, written: Written) -> Result<(RecordBatch, RecordBatch)> {
    let old = table.rows();
    let Written { replaced, columns, n_rows } = written;
    let new = checked(table, columns, n_rows)?;
    let columns = old.columns().iter().zip(new.columns());
    let (n_old, n_all) = (old.num_rows(), old.num_rows() + n_rows - replaced.len());
    let mut in_place = HashSet::new();
    let all = if replaced.is_empty() {
        columns.map(|(old, new)| concat(&[old.as_ref(), new.as_ref()])).collect::<Result<Vec<_>, _>>()?
    } else {
        let mut places: Vec<(usize, usize)> = (0..n_old).map(|row| (0, row)).collect();
        for (row, at) in replaced.iter().enumerate() {
            if let Some(place) = places.get_mut(*at) {
                *place = (1, row);
                in_place.insert(*at);
            }
        }
        places.extend((replaced.len()..n_rows).map(|row| (1, row)));
        columns.map(|(old, new)| interleave(&[old.as_ref(), new.as_ref()], &places)).collect::<Result<Vec<_>, _>>()?
    };
    let options = RecordBatchOptions::new().with_row_count(Some(n_all));
    let all = RecordBatch::try_new_with_options(table.schema(), all, &options)?;
    check_unique(table, &all, |row| row >= n_old || in_place.contains(&row))?;
    Ok((new, all))
}

/// Puts the rows in place of all.
pub(super) async fn put(table: &Arc<Table>, writing: &Writing, rows: RecordBatch) -> Result<()> {
    let table = Arc::clone(table);
    blocking(writing, move || table.replace(rows)).await
}

/// Off the threads of the network: rows may be many, and a disk be waited for. Nobody else writes the table before it is done, also where nobody waits for it
/// any more.
async fn blocking<T: Send + 'static>(writing: &Writing, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let writing = Arc::clone(writing);
    let held = move || {
        let done = work();
        drop(writing);
        done
    };
    tokio::task::spawn_blocking(held).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// Refuses a clause that is there and is not used.
pub(super) fn refuse(there: bool, what: &str, hint: &str) -> Result<()> {
    if there { Err(Error::unsupported(what, hint)) } else { Ok(()) }
}
