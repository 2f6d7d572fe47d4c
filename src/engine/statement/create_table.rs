//! CREATE TABLE, with its columns said or taken from a query.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, ColumnOption, TableConstraint};
use tokio::sync::OwnedMutexGuard;

use super::table_rows::{Written, column_at, folded, keep, name_of, planned, quoted, refuse, rows_of};
use crate::engine::block::Undo;
use crate::engine::catalog::{Body, Object};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result, in_sql};
use crate::plan::column_names::{self, Names};
use crate::plan::value::column_type::{cast_type, column_type, text_type, word_of};
use crate::plan::value::text_type::TextType;
use crate::view::table::{Table, TableColumn};

/// What may stand behind a column.
const CLAUSES: &str = "A column may have PRIMARY KEY, NOT NULL and DEFAULT with a constant, a table PRIMARY KEY (column, …).";

/// Makes the table.
pub(super) async fn run(session: &Session, text: &str, create: &ast::CreateTable, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    let engine = session.engine();
    let changing = Arc::clone(&engine.changing).lock_owned().await;
    check_clauses(create)?;
    let name = name_of(&create.name)?;
    let done = |tag: &str| Ok(Outcome::Done { tag: tag.to_owned() });
    if create.if_not_exists && engine.catalog.find(&name).is_some() {
        session.skips("42P07", format!("relation \"{name}\" already exists, skipping"));
        return done("CREATE TABLE");
    }
    engine.catalog.check_free(&name)?;
    session.check_not_held(&name)?;
    let (columns, primary_key, rows, definition) = match &create.query {
        None => {
            let (columns, primary_key) = declared(session, &name, create).await?;
            (columns, primary_key, None, text.to_owned())
        }
        Some(query) => {
            let typed = create.columns.iter().any(|c| c.data_type != ast::DataType::Unspecified || !c.options.is_empty());
            refuse(typed, "column definitions beside AS", "Name the columns only, or in the query: SELECT a AS b.")?;
            let plan = session.plan(query).await?;
            let rows = rows_of(session, plan, parameters).await?;
            let names = Names::of_query(query);
            let said: Vec<String> = create.columns.iter().map(|column| folded(&column.name)).collect();
            let columns = of_query(&rows, &names, &said)?;
            // At the next start the rows are read from their file, the query is not run again.
            let list: Vec<String> = columns.iter().map(|c| format!("{} {}", quoted(c.field.name()), c.sql_type)).collect();
            (columns, Vec::new(), Some(rows), format!("CREATE TABLE {} ({})", quoted(&name), list.join(", ")))
        }
    };
    // A default is what its text says in the session's zone.
    let kept = if columns.iter().all(|column| column.default.is_null()) { definition.clone() } else { session.in_zone(&definition) };
    // In a transaction block it gets its file at COMMIT.
    let file = engine.store.as_ref().filter(|_| !session.in_block()).map(|store| store.table_file(&name));
    let table = Arc::new(Table::open(&name, columns, primary_key, file.clone(), session.in_background())?);
    let unfinished = Unfinished { session, table: Arc::clone(&table), file, changing: Some(changing) };
    let n_rows = rows.as_ref().map(|rows| rows.num_rows());
    if let Some(rows) = rows {
        keep(&table, &table.write().await, Written { replaced: Vec::new(), n_rows: rows.num_rows(), columns: rows.columns().to_vec() })
            .await?;
    }
    session.keep(vec![Change::Add(name.clone(), kept)])?;
    let object = Object { name, body: Body::Table(table), definition, reads: Vec::new() };
    engine.catalog.add(object.clone())?;
    session.did(Undo::Made(object));
    unfinished.finished();
    match n_rows {
        Some(n) => done(&format!("SELECT {n}")),
        None => done("CREATE TABLE"),
    }
}

/// A table that is being made: whoever asked for it may be gone before it is there, and then its file goes too.
struct Unfinished<'a> {
    session: &'a Session,
    table: Arc<Table>,
    file: Option<PathBuf>,
    /// Nobody makes another of its name before its file is gone.
    changing: Option<OwnedMutexGuard<()>>,
}

impl Unfinished<'_> {
    fn finished(mut self) {
        self.file = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // At a restart the rows are those that were there.
        let Some(file) = self.file.take().filter(|_| !self.session.in_background()) else { return };
        let (table, changing) = (Arc::clone(&self.table), self.changing.take());
        self.session.engine().jobs.spawn(async move {
            // Who writes it goes on to the end of the file.
            let _writing = table.write().await;
            let _ = std::fs::remove_file(file);
            drop(changing);
        });
    }
}

fn check_clauses(create: &ast::CreateTable) -> Result<()> {
    let c = create;
    refuse(c.temporary, "a temporary table", "A table is for all sessions; DROP TABLE takes it away.")?;
    refuse(c.or_replace, "OR REPLACE of a table", "DROP TABLE first.")?;
    refuse(c.like.is_some() || c.clone.is_some(), "a table like another", "CREATE TABLE … AS SELECT … copies one.")?;
    let partitions = c.partition_by.is_some() || c.partition_of.is_some() || c.for_values.is_some();
    refuse(partitions || c.inherits.is_some(), "a table in parts", "Reference data stands in one table.")?;
    let other =
        c.external || c.transient || c.volatile || c.iceberg || c.location.is_some() || c.on_commit.is_some() || c.comment.is_some();
    let options = !matches!(c.table_options, ast::CreateTableOptions::None);
    refuse(other || options || c.order_by.is_some() || c.cluster_by.is_some(), "a clause of CREATE TABLE", CLAUSES)
}

/// The columns and the key that the statement declares.
async fn declared(session: &Session, name: &str, create: &ast::CreateTable) -> Result<(Vec<TableColumn>, Vec<usize>)> {
    if create.columns.is_empty() {
        return Err(Error::unsupported("a table without columns", "Name one: CREATE TABLE cameras (id int8 PRIMARY KEY)."));
    }
    let (mut columns, mut keys): (Vec<TableColumn>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    for declared in &create.columns {
        let column = folded(&declared.name);
        if columns.iter().any(|c| *c.field.name() == column) {
            return Err(Error::DuplicateColumn { name: column });
        }
        let (data_type, max_chars) = column_type(&declared.data_type)?;
        let of = text_type(&declared.data_type);
        let sql_type = cast_type(&declared.data_type);
        let (mut nullable, mut default) = (true, ScalarValue::try_from(&data_type)?);
        for option in &declared.options {
            match &option.option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => nullable = false,
                ColumnOption::PrimaryKey(_) => keys.push(vec![column.clone()]),
                ColumnOption::Default(expr) => default = constant(session, expr, &sql_type).await?.cast_to(&data_type)?,
                other => return Err(Error::unsupported(format!("{other} of a column"), CLAUSES)),
            }
        }
        let mut field = Field::new(column, data_type, nullable);
        if let Some(of) = of {
            field = field.with_metadata(of.metadata());
        }
        columns.push(TableColumn { field, sql_type: declared.data_type.to_string(), max_chars, default });
    }
    for constraint in &create.constraints {
        let TableConstraint::PrimaryKey(key) = constraint else {
            return Err(Error::unsupported(format!("the constraint {constraint}"), CLAUSES));
        };
        let column = |c: &ast::IndexColumn| match &c.column.expr {
            ast::Expr::Identifier(ident) => Ok(folded(ident)),
            other => Err(Error::unsupported(format!("{other} in a primary key"), "Name its columns.")),
        };
        keys.push(key.columns.iter().map(column).collect::<Result<_>>()?);
    }
    if keys.len() > 1 {
        let message = format!("multiple primary keys for table \"{name}\" are not allowed");
        return Err(Error::Data { code: "42P16", message, detail: None });
    }
    let mut places = Vec::new();
    for column in keys.iter().flatten() {
        let at = columns.iter().position(|c| c.field.name() == column).ok_or_else(|| Error::Data {
            code: "42703",
            message: format!("column \"{column}\" named in key does not exist"),
            detail: None,
        })?;
        if places.contains(&at) {
            return Err(Error::DuplicateColumn { name: column.clone() });
        }
        places.push(at);
    }
    for (at, column) in columns.iter_mut().enumerate() {
        if places.contains(&at) {
            column.field = column.field.clone().with_nullable(false);
        }
    }
    Ok((columns, places))
}

/// The value of a DEFAULT.
async fn constant(session: &Session, expr: &ast::Expr, data_type: &ast::DataType) -> Result<ScalarValue> {
    use std::ops::ControlFlow;
    let other = ast::visit_expressions(expr, |e| match e {
        ast::Expr::Value(_) | ast::Expr::UnaryOp { .. } | ast::Expr::Cast { .. } | ast::Expr::Nested(_) | ast::Expr::TypedString(_) => {
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(()),
    });
    if other.is_break() {
        return Err(Error::unsupported(format!("DEFAULT {expr}"), "A default is a constant; write other values in the INSERT."));
    }
    let rows = rows_of(session, planned(session, &format!("SELECT CAST({expr} AS {data_type})")).await?, Vec::new()).await?;
    let column = rows.columns().first().ok_or_else(|| Error::Internal("a constant has no value".into()))?;
    Ok(ScalarValue::try_from_array(column.as_ref(), 0)?)
}

/// The columns of a query's rows; `said` are names that go before those of the query.
fn of_query(rows: &RecordBatch, names: &Names, said: &[String]) -> Result<Vec<TableColumn>> {
    let (schema, mut columns) = (rows.schema(), Vec::<TableColumn>::new());
    if said.len() > schema.fields().len() {
        return Err(Error::Syntax { message: "too many column names were specified".into(), hint: None });
    }
    for (at, field) in schema.fields().iter().enumerate() {
        let own = || names.of(at, schema.fields().len()).unwrap_or_else(|| column_names::without_mark(field.name()));
        let name = said.get(at).map_or_else(own, String::as_str).to_owned();
        if columns.iter().any(|c| *c.field.name() == name) {
            return Err(Error::DuplicateColumn { name });
        }
        let of = TextType::of_field(field);
        let sql_type = of.map(|of| of.word().to_owned()).or_else(|| word_of(field.data_type())).ok_or_else(|| {
            Error::unsupported(
                format!("column \"{name}\" of type {} in a table", in_sql(field.data_type())),
                "Leave it out, or cast it to text.",
            )
        })?;
        let default = ScalarValue::try_from(field.data_type())?;
        let metadata = of.map(TextType::metadata).unwrap_or_default();
        let field = Field::new(name, field.data_type().clone(), true).with_metadata(metadata);
        columns.push(TableColumn { field, sql_type, max_chars: None, default });
    }
    Ok(columns)
}

/// The places of the columns of ON CONFLICT. Errs with 42P10 if they are not the primary key.
pub(super) fn check_conflict_target(table: &Table, columns: &[ast::Ident]) -> Result<()> {
    let mut places = columns.iter().map(|c| column_at(table, &folded(c))).collect::<Result<Vec<_>>>()?;
    let mut key = table.primary_key().to_vec();
    places.sort_unstable();
    key.sort_unstable();
    if places == key && !key.is_empty() {
        return Ok(());
    }
    let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification".to_owned();
    Err(Error::Data { code: "42P10", message, detail: None })
}
