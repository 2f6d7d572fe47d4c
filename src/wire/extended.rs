//! The extended protocol: Parse, Bind, Describe, Execute, Close, each answered in turn; the client reads when it sends Sync or Flush. What is executed up to
//! Sync is one transaction, unless it says otherwise.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::PgWireFrontendMessage as Request;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{Bind, BindComplete, CloseComplete, Parse, ParseComplete};

use super::answer;
use super::connection::Connection;
use super::errors::Ended;
use super::session::cursor;
use super::session::implicit;
use super::session::own::{self, Own};
use super::session::portal::Portal;
use super::session::prepared::{self, Prepared};
use super::session::transaction::Transaction;
use super::value::columns;
use super::value::parameters;
use super::value::written::Written;
use crate::error::{Error, Result};

/// Answers one message.
pub(super) async fn message(connection: &mut Connection, message: Request) -> Result<(), Ended> {
    match message {
        Request::Parse(message) => parse(connection, message).await,
        Request::Bind(message) => bind(connection, message),
        Request::Describe(message) => describe(connection, message.target_type, &message.name.unwrap_or_default()),
        Request::Execute(message) => {
            let name = message.name.unwrap_or_default();
            // 0 and less are no limit.
            let limit = usize::try_from(message.max_rows).ok().filter(|limit| *limit > 0);
            // Taken out while it runs: a portal that fails is gone.
            let mut portal = connection.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
            connection.registered.active(portal.prepared.statement.as_ref().map_or("", |statement| statement.text.as_str()));
            // One that nothing follows before Sync is a transaction of its own: what it would begin ends with it.
            if let Some(statement) = portal.prepared.statement.as_ref()
                && (connection.transaction != Transaction::Idle || !connection.reader.syncs())
            {
                implicit::begin_piped(connection, statement).await?;
            }
            Box::pin(answer::portal(connection, &mut portal, limit)).await?;
            connection.portals.insert(name, portal);
            Ok(())
        }
        Request::Close(message) => {
            let name = message.name.unwrap_or_default();
            match message.target_type {
                b'S' => drop(connection.prepared.remove(&name)),
                b'P' => drop(connection.portals.remove(&name)),
                other => return Err(invalid("CLOSE", other).into()),
            }
            connection.writer.put(Message::CloseComplete(CloseComplete::new()))
        }
        _ => Err(Ended::Fatal(Error::Protocol("unexpected message".into()))),
    }
}

async fn parse(connection: &mut Connection, message: Parse) -> Result<(), Ended> {
    let name = message.name.unwrap_or_default();
    if !name.is_empty() && connection.prepared.contains_key(&name) {
        return Err(Error::Duplicate { kind: "prepared statement", name }.into());
    }
    if let Some(prepared) = connection.recent.find(&connection.session, &message.query, &message.type_oids) {
        connection.transaction.check()?;
        connection.prepared.insert(name, prepared);
        return connection.writer.put(Message::ParseComplete(ParseComplete::new()));
    }
    let mut statements = cursor::parse(&connection.session, &message.query)?;
    let prepared = match (statements.pop(), statements.is_empty()) {
        (None, _) => Prepared::empty(),
        (Some(_), false) => {
            let message = "cannot insert multiple commands into a prepared statement".to_owned();
            return Err(Error::Syntax { message, hint: None }.into());
        }
        (Some(statement), true) => {
            let own = own::read(&statement)?;
            if !matches!(own, Some(Own::Transaction(_))) {
                connection.transaction.check()?;
            }
            let Connection { reader, session, registered, .. } = connection;
            let timeout = session.variables().lock().statement_timeout_ms();
            let mut watch = registered.watch(reader, timeout);
            match own {
                None => watch.over(Prepared::plan(session, statement, &message.type_oids)).await??,
                Some(Own::Declare { statement: read, .. }) => {
                    let read = watch.over(Prepared::plan(session, read, &message.type_oids)).await??;
                    Prepared::declare(statement, read)
                }
                Some(_) => Prepared::own(statement),
            }
        }
    };
    let prepared = Arc::new(prepared);
    connection.recent.put(message.query, message.type_oids, &prepared);
    connection.prepared.insert(name, prepared);
    connection.writer.put(Message::ParseComplete(ParseComplete::new()))
}

fn bind(connection: &mut Connection, message: Bind) -> Result<(), Ended> {
    let name = message.portal_name.clone().unwrap_or_default();
    let prepared = statement(connection, &message.statement_name.clone().unwrap_or_default())?;
    check(connection, &prepared)?;
    if !name.is_empty() && connection.portals.contains_key(&name) {
        return Err(Error::Duplicate { kind: "cursor", name }.into());
    }
    // As many formats as columns; one for all, or none, always goes.
    if message.result_column_format_codes.len() > 1
        && let Some((schema, written)) = answers(connection, &prepared)?
    {
        columns::of(&schema, &written, &message.result_column_format_codes)?;
    }
    let values = parameters::read(&prepared.parameters, &message, connection.session.variables().lock().time_zone())?;
    connection.portals.insert(name, Portal::new(prepared, values, message.result_column_format_codes));
    connection.writer.put(Message::BindComplete(BindComplete::new()))
}

/// Errs (25P02) in a block that has failed, for every statement that does not end it.
fn check(connection: &Connection, prepared: &Prepared) -> Result<(), Error> {
    if connection.transaction == Transaction::Failed
        && let Some(statement) = prepared.statement.as_ref()
        && !matches!(own::read(statement)?, Some(Own::Transaction(_)))
    {
        connection.transaction.check()?;
    }
    Ok(())
}

fn describe(connection: &mut Connection, target: u8, name: &str) -> Result<(), Ended> {
    let (prepared, formats) = match target {
        b'S' => {
            let prepared = statement(connection, name)?;
            check(connection, &prepared)?;
            let types = prepared.parameters.iter().map(|parameter| parameter.data_type.oid()).collect();
            connection.writer.put(Message::ParameterDescription(ParameterDescription::new(types)))?;
            (prepared, Vec::new())
        }
        b'P' => {
            let portal = connection.portals.get(name).ok_or_else(|| no_portal(name))?;
            let (prepared, formats) = (Arc::clone(&portal.prepared), portal.formats.clone());
            check(connection, &prepared)?;
            (prepared, formats)
        }
        other => return Err(invalid("DESCRIBE", other).into()),
    };
    let described = match answers(connection, &prepared)? {
        Some((schema, written)) => Message::RowDescription(columns::description(&columns::of(&schema, &written, &formats)?)),
        None => Message::NoData(NoData::new()),
    };
    connection.writer.put(described)
}

/// The columns of a statement's answer: FETCH has those of its cursor, EXECUTE those of its statement.
fn answers(connection: &Connection, prepared: &Prepared) -> Result<Option<(SchemaRef, Written)>> {
    let columns = |prepared: &Prepared| prepared.columns.clone().map(|schema| (schema, prepared.written.clone()));
    let own = prepared.statement.as_ref().map(own::read).transpose()?.flatten();
    Ok(match own {
        None => columns(prepared),
        Some(Own::Fetch { name, .. }) => connection.portals.get(&name).and_then(|cursor| columns(&cursor.prepared)),
        Some(Own::Explain { .. }) => Some((own::explained(), Written::default())),
        Some(Own::Execute { name, .. }) => connection.prepared.get(&name).and_then(|prepared| columns(prepared)),
        Some(_) => None,
    })
}

fn statement(connection: &Connection, name: &str) -> Result<Arc<Prepared>> {
    connection.prepared.get(name).map(Arc::clone).ok_or_else(|| prepared::missing(name))
}

fn no_portal(name: &str) -> Error {
    Error::NotFound { kind: "portal", name: name.to_owned() }
}

fn invalid(message: &str, target: u8) -> Error {
    Error::Protocol(format!("invalid {message} message subtype {target}"))
}
