//! The statements: one file each; here is which body goes to which, and what is known of each before it runs.

mod alter_view;
mod comment;
mod copy;
mod copy_in;
mod copy_lines;
mod create_figure;
mod create_gallery;
mod create_model;
mod create_rows;
mod create_source;
mod create_table;
mod create_view;
mod delete;
mod drop;
mod drop_model;
mod explain;
mod flush;
mod grant;
mod insert;
mod insert_picture;
pub(super) mod limits;
mod maintain;
mod over_rows;
pub(super) mod query;
mod returning;
mod role;
mod set;
mod set_row;
mod show;
mod subscribe;
mod table_rows;
mod update;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use futures::stream;

use super::outcome::Outcome;
use super::privileges;
use super::roles::Grant;
use super::session::{Described, Session};
use crate::error::{Error, Result};
use crate::plan::parse::copy::CopyIn;
use crate::plan::parse::{Body, Commented, Kind, Statement};

pub use copy_in::CopyInto;
pub(super) use role::folded_ident;

/// Runs one statement.
pub(super) async fn execute(session: &Session, statement: &Statement, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    privileges::check_statement(session, statement)?;
    session.enlist(statement).await?;
    match &statement.body {
        Body::CreateSource { name, if_not_exists, url, options } => {
            create_source::run(session, statement, name, *if_not_exists, url, options).await
        }
        Body::CreateView { name, materialized, or_replace, if_not_exists, columns, options, query } => {
            let create = create_view::CreateView {
                name,
                materialized: *materialized,
                or_replace: *or_replace,
                if_not_exists: *if_not_exists,
                columns,
                options,
                query,
            };
            create.run(session, statement).await
        }
        Body::CreateModel { name, or_replace, if_not_exists, file, task, options } => {
            let (or_replace, if_not_exists) = (*or_replace, *if_not_exists);
            create_model::CreateModel { name, or_replace, if_not_exists, file, task, options }.run(session, statement).await
        }
        Body::CreateGallery { name, if_not_exists } => create_gallery::run(session, statement, name, *if_not_exists).await,
        Body::Drop { kind: Kind::Model, if_exists, names, cascade } => drop_model::run(session, *if_exists, names, *cascade).await,
        Body::CreateFigure(figure) => create_figure::create(session, statement, figure).await,
        Body::AlterFigure(figure) => create_figure::alter(session, figure).await,
        Body::Drop { kind, if_exists, names, cascade } => drop::run(session, *kind, *if_exists, names, *cascade).await,
        Body::Comment { on, text } => comment::run(session, on, text.as_deref()),
        Body::AlterView { name, options } => alter_view::run(session, name, options),
        Body::ShowObjects(kind) => show::objects(session, *kind).await,
        Body::ShowVariable(name) => show::variable(session, name),
        Body::SetVariable { name, value, reset } => set::run(session, name, value.as_deref(), *reset),
        Body::Nothing { tag } => Ok(Outcome::Done { tag: (*tag).to_owned() }),
        Body::SetTransaction { session: later, isolation, read_only } => set::transaction(session, *later, *isolation, *read_only),
        Body::Subscribe(subscribe) => Ok(Outcome::Rows { stream: subscribe::run(session, subscribe).await?, tag: "SUBSCRIBE" }),
        Body::CopySubscribe(subscribe, form) => Ok(Outcome::Copy { stream: subscribe::run(session, subscribe).await?, form: form.clone() }),
        Body::CopyQuery(query, form) => copy::run(session, query, parameters, form.clone()).await,
        Body::Flush => flush::run(session).await,
        Body::Maintain { vacuum, tables } => maintain::run(session, *vacuum, tables),
        Body::Refresh(name) => maintain::refresh(session, name),
        Body::Explain { analyze, statement } => explain::run(session, statement, *analyze, parameters).await,
        Body::Query(query) => Ok(Outcome::Rows { stream: query::run(session, query, parameters).await?, tag: "SELECT" }),
        Body::CopyIn(_) => Err(Error::unsupported("COPY FROM STDIN without a client that sends the rows", "Use psql, or INSERT.")),
        Body::Other(other) => other_statement(session, statement, other, parameters).await,
    }
}

/// Those that sqlparser reads.
async fn other_statement(
    session: &Session,
    statement: &Statement,
    other: &ast::Statement,
    parameters: Vec<ScalarValue>,
) -> Result<Outcome> {
    match other {
        ast::Statement::CreateTable(create) => create_table::run(session, &statement.text, create, parameters).await,
        ast::Statement::Insert(insert) => insert::run(session, insert, parameters).await,
        ast::Statement::Update(update) => update::run(session, update, parameters).await,
        ast::Statement::Delete(delete) => delete::run(session, delete, parameters).await,
        ast::Statement::Truncate(truncate) => delete::truncate(session, truncate).await,
        other => {
            if let Some(outcome) = other_objects(session, other)? {
                return Ok(outcome);
            }
            Err(Error::unsupported(statement.verb(), "docs/sql.md lists the statements of framesql."))
        }
    }
}

/// Begins a `COPY … FROM STDIN`.
pub(super) async fn copy_in(session: &Session, statement: &Statement, copy: &CopyIn) -> Result<CopyInto> {
    privileges::check_statement(session, statement)?;
    session.enlist(statement).await?;
    copy_in::begin(session, copy)
}

/// The tables that a statement writes.
pub(super) fn tables_of(statement: &Statement) -> Vec<String> {
    let of = |table: &ast::TableWithJoins| match &table.relation {
        ast::TableFactor::Table { name, .. } => table_rows::name_of(name).ok(),
        _ => None,
    };
    match &statement.body {
        Body::CopyIn(copy) => vec![copy.table.clone()],
        Body::Other(other) => match other.as_ref() {
            ast::Statement::Insert(ast::Insert { table: ast::TableObject::TableName(name), .. }) => {
                table_rows::name_of(name).into_iter().collect()
            }
            ast::Statement::Update(update) => of(&update.table).into_iter().collect(),
            ast::Statement::Delete(delete) => {
                let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
                from.iter().filter_map(of).collect()
            }
            ast::Statement::Truncate(truncate) => truncate.table_names.iter().filter_map(|t| table_rows::name_of(&t.name).ok()).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether a transaction block can undo what a statement does; what only reads has nothing to undo.
pub fn undoable(statement: &Statement) -> bool {
    match &statement.body {
        Body::CreateSource { .. } | Body::CreateView { .. } | Body::CreateGallery { .. } | Body::Drop { .. } => true,
        // Refused in a block.
        Body::CreateModel { .. } => true,
        Body::Comment { .. } | Body::AlterView { .. } | Body::CreateFigure(_) | Body::AlterFigure(_) => true,
        Body::CopyIn(_) | Body::SetVariable { .. } | Body::SetTransaction { .. } | Body::Flush | Body::Query(_) | Body::CopyQuery(..) => {
            true
        }
        Body::ShowObjects(_) | Body::ShowVariable(_) | Body::Explain { .. } | Body::Nothing { .. } => true,
        // Nothing is done.
        Body::Maintain { .. } | Body::Refresh(_) => true,
        Body::Subscribe(_) | Body::CopySubscribe(..) => true,
        Body::Other(other) => match other.as_ref() {
            ast::Statement::Drop { object_type, .. } => matches!(object_type, ast::ObjectType::Role | ast::ObjectType::User),
            ast::Statement::CreateTable(_) | ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => true,
            ast::Statement::Truncate(_) | ast::Statement::CreateRole(_) | ast::Statement::AlterRole { .. } => true,
            ast::Statement::Grant(_) | ast::Statement::Revoke(_) => true,
            _ => false,
        },
    }
}

/// Whether a statement is refused in a transaction block, as nothing undoes it.
pub fn runs_alone(statement: &Statement) -> bool {
    match &statement.body {
        Body::CreateModel { .. } | Body::Drop { kind: Kind::Model, .. } | Body::Maintain { .. } => true,
        _ => !undoable(statement),
    }
}

/// Under which names the catalogue on disk keeps what belongs to an object.
pub(super) fn kept_grant(grant: &Grant) -> String {
    grant::kept(grant)
}

pub(super) fn kept_comment(on: &Commented) -> String {
    comment::kept(on)
}

pub(super) fn kept_channel(view: &str) -> String {
    alter_view::kept(view)
}

/// Statements of objects that nothing is read from: roles and grants. None for all others.
fn other_objects(session: &Session, statement: &ast::Statement) -> Result<Option<Outcome>> {
    Ok(Some(match statement {
        ast::Statement::CreateRole(create) => role::create(session, create)?,
        ast::Statement::AlterRole { name, operation } => role::alter(session, name, operation)?,
        ast::Statement::Drop { object_type: ast::ObjectType::Role | ast::ObjectType::User, if_exists, names, .. } => {
            role::drop(session, *if_exists, names)?
        }
        ast::Statement::Grant(grant) => grant::grant(session, grant)?,
        ast::Statement::Revoke(revoke) => grant::revoke(session, revoke)?,
        _ => return Ok(None),
    }))
}

/// What a statement needs and gives, without running it.
pub(super) async fn describe(session: &Session, statement: &Statement) -> Result<Described> {
    let columns = |columns: SchemaRef| Ok(Described { columns: Some(columns), ..Described::default() });
    match &statement.body {
        Body::Query(query) => query::describe(session, query).await,
        Body::CopyQuery(query, _) => Ok(Described { columns: None, planned: None, ..query::describe(session, query).await? }),
        Body::ShowObjects(kind) => columns(show::schema(session, *kind).await?),
        Body::ShowVariable(name) => columns(show::variable_schema(name)),
        Body::Subscribe(subscribe) => columns(subscribe::schema(session, subscribe).await?),
        Body::Explain { statement, .. } => {
            let parameters = match &statement.body {
                Body::Query(query) => query::describe(session, query).await?.parameters,
                _ => Vec::new(),
            };
            Ok(Described { parameters, columns: Some(explain::schema()), planned: None })
        }
        Body::Other(other) => {
            let (plan, columns) = match other.as_ref() {
                ast::Statement::Insert(insert) => (insert::describe(session, insert).await?, insert::columns(session, insert).await?),
                ast::Statement::Update(update) => (update::describe(session, update).await?, update::columns(session, update).await?),
                ast::Statement::Delete(delete) => (delete::describe(session, delete).await?, delete::columns(session, delete).await?),
                ast::Statement::CreateTable(ast::CreateTable { query: Some(query), .. }) => (session.plan(query).await?, None),
                _ => return Ok(Described::default()),
            };
            let mut parameters = with_all(query::parameters_of(&plan)?, other);
            let of_columns = match other.as_ref() {
                ast::Statement::Insert(insert) => insert::parameter_types(session, insert)?,
                ast::Statement::Update(update) => update::parameter_types(session, update)?,
                _ => Vec::new(),
            };
            for (number, field) in of_columns {
                let place = parameters.get_mut(number.saturating_sub(1));
                if let Some(place) = place.filter(|place| place.as_ref().is_none_or(|known| *known.data_type() == DataType::Utf8)) {
                    *place = Some(field);
                }
            }
            Ok(Described { parameters, columns, planned: None })
        }
        _ => Ok(Described::default()),
    }
}

/// With those parameters that no plan knows, as they stand in ON CONFLICT, or beside a relation without rows.
fn with_all(mut parameters: Vec<Option<FieldRef>>, statement: &impl ast::Visit) -> Vec<Option<FieldRef>> {
    let _ = ast::visit_expressions(statement, |expr| {
        if let ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(name), .. }) = expr
            && let Ok(number) = name.trim_start_matches('$').parse::<u16>()
        {
            parameters.resize(parameters.len().max(usize::from(number)), None);
        }
        ControlFlow::<()>::Continue(())
    });
    parameters
}

/// Columns of text.
fn text_schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|n| Field::new(*n, DataType::Utf8, false)).collect::<Vec<_>>()))
}

/// Rows of text, as many in each column.
fn text_rows(schema: SchemaRef, columns: Vec<Vec<String>>) -> Result<SendableRecordBatchStream> {
    let columns = columns.into_iter().map(|c| Arc::new(StringArray::from(c)) as ArrayRef).collect();
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(rows)]))))
}
