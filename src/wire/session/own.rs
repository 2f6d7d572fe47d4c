//! The statements that are the connection's own business: transactions, prepared statements, cursors, DISCARD, LISTEN and NOTIFY.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast;

use super::block::Later;
use super::transaction::{self, Control};
use super::{cursor, notify};
use crate::error::{Error, Result};
use crate::plan::parse::copy::CopyForm;
use crate::plan::parse::{Body, Emit, QueryText, Statement};
use crate::wire::rows::Patience;

/// What one of them asks for.
#[derive(Debug)]
pub(in crate::wire) enum Own {
    /// BEGIN, COMMIT, SAVEPOINT …
    Transaction(Control),
    /// `PREPARE name [(types)] AS statement`.
    Prepare {
        /// Its name.
        name: String,
        /// The types declared, as SQL.
        types: Vec<ast::DataType>,
        /// What is prepared.
        statement: Statement,
    },
    /// `EXECUTE name [(parameters)]`.
    Execute {
        /// The prepared statement.
        name: String,
        /// The parameters, as SQL.
        parameters: Vec<ast::Expr>,
    },
    /// `EXPLAIN [ANALYZE] EXECUTE name [(parameters)]`.
    Explain {
        /// Whether it runs.
        analyze: bool,
        /// The prepared statement.
        name: String,
        /// The parameters, as SQL.
        parameters: Vec<ast::Expr>,
    },
    /// `DEALLOCATE name`; None is ALL.
    Deallocate(Option<String>),
    /// `DECLARE name CURSOR [WITH HOLD] FOR statement`.
    Declare {
        /// Its name.
        name: String,
        /// WITH HOLD: open after the transaction.
        hold: bool,
        /// What it reads.
        statement: Statement,
    },
    /// `FETCH n FROM name`; None is ALL.
    Fetch {
        /// The cursor.
        name: String,
        /// Rows at most.
        limit: Option<usize>,
        /// How long it waits for the first row: until there are as many as asked for unless `WITH (timeout = …)` says otherwise.
        patience: Patience,
    },
    /// `MOVE n FROM name`: as FETCH, and shows nothing; None is ALL.
    Move {
        /// The cursor.
        name: String,
        /// Rows at most.
        limit: Option<usize>,
    },
    /// `CLOSE name`; None is ALL.
    Close(Option<String>),
    /// `DISCARD ALL`, and the parts of it.
    Discard(ast::DiscardObject),
    /// LISTEN, UNLISTEN, NOTIFY, with the command tag.
    Channel(Later, &'static str),
}

/// Reads one of them; None for all others. Errs for what a client may mean and framesql has not.
pub(in crate::wire) fn read(statement: &Statement) -> Result<Option<Own>> {
    if let Some(control) = transaction::control(statement) {
        return Ok(Some(Own::Transaction(control)));
    }
    if let Some(head) = cursor::of(statement) {
        let statement = Statement { text: head.rest.to_owned(), body: statement.body.clone() };
        return Ok(Some(Own::Declare { name: head.name, hold: head.hold, statement }));
    }
    if let Body::Explain { analyze, statement } = &statement.body {
        return Ok(match read(statement)? {
            Some(Own::Execute { name, parameters }) => Some(Own::Explain { analyze: *analyze, name, parameters }),
            _ => None,
        });
    }
    let Body::Other(other) = &statement.body else { return Ok(None) };
    Ok(Some(match other.as_ref() {
        ast::Statement::Prepare { name, data_types, statement } => {
            let name = folded(name);
            Own::Prepare { name, types: data_types.clone(), statement: inner(statement)? }
        }
        ast::Statement::Execute { name: Some(name), parameters, using, .. } if using.is_empty() => {
            let name = name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
            Own::Execute { name, parameters: parameters.clone() }
        }
        ast::Statement::Deallocate { name, .. } => Own::Deallocate(Some(folded(name)).filter(|name| name != "all")),
        ast::Statement::Declare { stmts } => declare(stmts)?,
        ast::Statement::Fetch { name, direction, into: None, .. } => {
            let (name, limit) = (folded(name), limit(direction)?);
            match cursor::tail(&statement.text)? {
                cursor::Tail::Move => Own::Move { name, limit },
                cursor::Tail::Fetch(patience) => Own::Fetch { name, limit, patience },
            }
        }
        ast::Statement::Close { cursor: ast::CloseCursor::All } => Own::Close(None),
        ast::Statement::Close { cursor: ast::CloseCursor::Specific { name } } => Own::Close(Some(folded(name))),
        ast::Statement::Discard { object_type } => Own::Discard(*object_type),
        ast::Statement::UNLISTEN { channel } => Own::Channel(Later::Unlisten(Some(folded(channel)).filter(|name| name != "*")), "UNLISTEN"),
        ast::Statement::LISTEN { channel } => {
            let channel = folded(channel);
            notify::check(&channel, "")?;
            Own::Channel(Later::Listen(channel), "LISTEN")
        }
        ast::Statement::NOTIFY { channel, payload } => {
            let (channel, payload) = (folded(channel), payload.clone().unwrap_or_default());
            notify::check(&channel, &payload)?;
            Own::Channel(Later::Notify(channel, payload), "NOTIFY")
        }
        _ => return Ok(None),
    }))
}

/// The columns of an EXPLAIN.
pub(in crate::wire) fn explained() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)]))
}

fn folded(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// A statement inside another one.
fn inner(statement: &ast::Statement) -> Result<Statement> {
    match statement {
        ast::Statement::Query(query) => Ok(of_query(query)),
        ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => {
            Ok(Statement { text: statement.to_string(), body: Body::Other(Box::new(statement.clone())) })
        }
        _ => Err(Error::unsupported("PREPARE of a statement that is no query, INSERT, UPDATE or DELETE", "Send the statement by itself.")),
    }
}

fn of_query(query: &ast::Query) -> Statement {
    let body = Body::Query(QueryText { query: Box::new(query.clone()), emit: Emit::Default });
    Statement { text: query.to_string(), body }
}

fn declare(declared: &[ast::Declare]) -> Result<Own> {
    match declared {
        [ast::Declare { names, declare_type: Some(ast::DeclareType::Cursor), scroll, hold, for_query: Some(query), .. }] => {
            let name = names.first().map(folded).unwrap_or_default();
            if *scroll == Some(true) {
                return Err(Error::unsupported("a SCROLL cursor", "Cursors go forward only: leave SCROLL out."));
            }
            Ok(Own::Declare { name, hold: *hold == Some(true), statement: of_query(query) })
        }
        _ => Err(Error::Unsupported { what: "DECLARE of anything but one cursor".into(), hint: None }),
    }
}

fn limit(direction: &ast::FetchDirection) -> Result<Option<usize>> {
    let number = |value: &ast::ValueWithSpan| match value.to_string().parse::<usize>() {
        Ok(n) => Ok(Some(n)),
        Err(_) => Err(Error::unsupported("FETCH backwards", "Cursors go forward only.")),
    };
    match direction {
        ast::FetchDirection::Next | ast::FetchDirection::Forward { limit: None } => Ok(Some(1)),
        ast::FetchDirection::Count { limit } | ast::FetchDirection::Forward { limit: Some(limit) } => number(limit),
        ast::FetchDirection::All | ast::FetchDirection::ForwardAll => Ok(None),
        _ => Err(Error::unsupported("FETCH in this direction", "Cursors go forward only.")),
    }
}

/// The form in which a bare SUBSCRIBE of the simple protocol is copied, unless it is to answer with rows.
pub(in crate::wire) fn copied(statement: &Statement, subscribe_as: &str) -> Option<CopyForm> {
    (matches!(statement.body, Body::Subscribe(_)) && subscribe_as != "rows").then(CopyForm::default)
}
