//! The statements: one file each; here is which body goes to which, and what is known of each before it runs.

mod copy;
mod create_source;
mod create_view;
mod drop;
mod explain;
mod flush;
mod grant;
mod query;
mod role;
mod set;
mod show;
mod subscribe;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use futures::stream;

use super::outcome::Outcome;
use super::privileges;
use super::session::{Described, Session};
use crate::error::{Error, Result};
use crate::plan::parse::{Body, Statement};

/// Runs one statement.
pub(super) async fn execute(session: &Session, statement: &Statement, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    privileges::check_statement(session, statement)?;
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
        Body::Drop { kind, if_exists, names, cascade } => drop::run(session, *kind, *if_exists, names, *cascade).await,
        Body::ShowObjects(kind) => show::objects(session, *kind).await,
        Body::ShowVariable(name) => show::variable(session, name),
        Body::SetVariable { name, value } => set::run(session, name, value.as_deref()),
        Body::Subscribe(subscribe) => Ok(Outcome::Rows { stream: subscribe::run(session, subscribe).await?, tag: "SUBSCRIBE" }),
        Body::CopySubscribe(subscribe, format) => Ok(Outcome::Copy { stream: subscribe::run(session, subscribe).await?, format: *format }),
        Body::CopyQuery(query, format) => copy::run(session, query, parameters, *format).await,
        Body::Flush => flush::run(session).await,
        Body::Explain { analyze, statement } => explain::run(session, statement, *analyze, parameters).await,
        Body::Query(query) => Ok(Outcome::Rows { stream: query::run(session, query, parameters).await?, tag: "SELECT" }),
        Body::Other(other) => {
            if let Some(outcome) = other_objects(session, other)? {
                return Ok(outcome);
            }
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            Err(Error::unsupported(words.join(" "), "docs/sql.md lists the statements of framesql."))
        }
    }
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
    let columns = |columns: SchemaRef| Ok(Described { parameters: Vec::new(), columns: Some(columns) });
    match &statement.body {
        Body::Query(query) => query::describe(session, query).await,
        Body::CopyQuery(query, _) => Ok(Described { columns: None, ..query::describe(session, query).await? }),
        Body::ShowObjects(kind) => columns(show::schema(session, *kind).await?),
        Body::ShowVariable(name) => columns(show::variable_schema(name)),
        Body::Subscribe(subscribe) => columns(subscribe::schema(session, subscribe).await?),
        Body::Explain { .. } => columns(explain::schema()),
        _ => Ok(Described { parameters: Vec::new(), columns: None }),
    }
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
