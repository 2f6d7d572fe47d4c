//! One statement from its start to its command tag, whichever way the client has sent it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::extendedquery::PortalSuspended;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};

use super::connection::Connection;
use super::errors::{self, Ended};
use super::rows::{Patience, Rows};
use super::session::block::{self, Block};
use super::session::cancel::Watch;
use super::session::own::{self, Own};
use super::session::portal::{Portal, State};
use super::session::prepared::{self, Prepared};
use super::session::transaction::{Control, Controlled, Transaction};
use super::socket::halves::Writer;
use super::value::written::Written;
use super::value::{columns, copy, copy_in};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, Statement};

/// How the client wants the rows of an answer.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// The simple protocol: described by the answer itself, as text, all at once.
    Simple,
    /// The extended protocol: described before, in these formats, at most so many at once.
    Extended {
        /// As in Bind.
        formats: &'a [i16],
        /// None is all.
        limit: Option<usize>,
    },
}

impl Way<'_> {
    fn formats(&self) -> &[i16] {
        match self {
            Way::Simple => &[],
            Way::Extended { formats, .. } => formats,
        }
    }

    fn limit(&self) -> Option<usize> {
        match self {
            Way::Simple => None,
            Way::Extended { limit, .. } => *limit,
        }
    }
}

/// Runs a statement of the simple protocol.
pub(super) async fn simple(connection: &mut Connection, statement: Statement) -> Result<(), Ended> {
    let own = own::read(&statement)?;
    if !matches!(own, Some(Own::Transaction(_))) {
        connection.transaction.check()?;
    }
    if let Some(own) = own {
        return Box::pin(run_own(connection, own, Way::Simple)).await;
    }
    let written = Written::of_statement(&statement);
    let prepared = Prepared { written, ..Prepared::own(statement) };
    let mut portal = Portal::new(Arc::new(prepared), Vec::new(), Vec::new());
    run(connection, &mut portal, Way::Simple).await
}

/// Runs a portal until its end, or its limit.
pub(super) async fn portal(connection: &mut Connection, portal: &mut Portal, limit: Option<usize>) -> Result<(), Ended> {
    let Some(statement) = &portal.prepared.statement else {
        return connection.writer.put(Message::EmptyQueryResponse(EmptyQueryResponse::new()));
    };
    let own = own::read(statement)?;
    if !matches!(own, Some(Own::Transaction(_))) {
        connection.transaction.check()?;
    }
    let formats = portal.formats.clone();
    let way = Way::Extended { formats: &formats, limit };
    match own {
        Some(_) if !matches!(portal.state, State::Bound) => Err(already_run().into()),
        Some(own) => {
            portal.state = State::Done;
            if let (Own::Declare { name, hold, .. }, Some(read)) = (&own, &portal.prepared.read) {
                let cursor = Portal { hold: *hold, ..Portal::new(Arc::clone(read), portal.parameters.clone(), Vec::new()) };
                return declare(connection, name, cursor).await;
            }
            // A statement like EXECUTE may run another portal, which may not be one like itself: boxed, this needs no room of its own size.
            Box::pin(run_own(connection, own, way)).await
        }
        None => run(connection, portal, way).await,
    }
}

fn already_run() -> Error {
    Error::State { message: "portal cannot be run again".into(), hint: None }
}

/// Runs what a portal holds, or goes on with it.
async fn run(connection: &mut Connection, portal: &mut Portal, way: Way<'_>) -> Result<(), Ended> {
    connection.current.take(&connection.session);
    advance(connection, portal, way).await?;
    Ok(connection.current.give(&connection.session)?)
}

async fn advance(connection: &mut Connection, portal: &mut Portal, way: Way<'_>) -> Result<(), Ended> {
    if let Some(statement @ Statement { body: Body::CopyIn(copy), .. }) = &portal.prepared.statement {
        if !matches!(portal.state, State::Bound) {
            return Err(already_run().into());
        }
        portal.state = State::Done;
        let n_rows = copy_in::receive(connection, statement, copy).await?;
        let tag = format!("COPY {n_rows}");
        if n_rows > 0 && connection.transaction.open() {
            connection.block.done(portal.prepared.statement.as_ref(), &tag);
        }
        return complete(&mut connection.writer, &tag);
    }
    let Connection { reader, writer, session, registered, transaction, block: done, .. } = connection;
    let timeout = session.variables().lock().statement_timeout_ms();
    let mut watch = registered.watch(reader, timeout);
    let written = portal.prepared.written.clone();
    let statement = portal.prepared.statement.as_ref();
    if let Some(words) = block::for_block(statement).filter(|_| !transaction.open()) {
        // As in Postgres: said, and nothing changed.
        writer.put(errors::warning("25P01", &block::outside(words).to_string()))?;
        return complete(writer, "SET");
    }
    if let Some(outcome) = start(&mut watch, session, portal).await? {
        notices(session, writer)?;
        match outcome {
            Outcome::Copy { stream, form } => {
                let zone = session.variables().lock().time_zone();
                let n_rows = copy::send(&mut watch, writer, &mut Rows::new(stream, zone), &written, &form).await?;
                complete(writer, &format!("COPY {n_rows}"))?;
            }
            Outcome::Done { tag } => {
                if transaction.open() {
                    done.done(portal.prepared.statement.as_ref(), &tag);
                }
                complete(writer, &tag)?;
            }
            Outcome::Rows { .. } => return Err(Error::Internal("rows were not opened".into()).into()),
        }
        return notices(session, writer);
    }
    notices(session, writer)?;
    let subscribe_as = session.variables().lock().show("subscribe_as")?;
    let copied = portal.prepared.statement.as_ref().and_then(|statement| own::copied(statement, &subscribe_as));
    let State::Running { rows, tag } = &mut portal.state else { return Err(already_run().into()) };
    if let (Way::Simple, Some(form)) = (way, copied) {
        let n_rows = copy::send(&mut watch, writer, rows, &written, &form).await?;
        complete(writer, &format!("COPY {n_rows}"))?;
    } else {
        send_rows(&mut watch, writer, rows, portal.prepared.columns.as_ref(), &written, tag, way).await?;
    }
    notices(session, writer)
}

/// Starts a portal that has not run yet. What answers without rows is handed back and the portal is done.
async fn start(watch: &mut Watch<'_>, session: &Session, portal: &mut Portal) -> Result<Option<Outcome>, Ended> {
    match portal.state {
        State::Running { .. } => return Ok(None),
        State::Done => return Err(already_run().into()),
        State::Bound => {}
    }
    let Some(statement) = &portal.prepared.statement else { return Ok(Some(Outcome::Done { tag: String::new() })) };
    let planned = portal.prepared.planned.as_deref();
    let outcome = watch.over(session.execute_planned(statement, planned, portal.parameters.clone())).await??;
    match outcome {
        Outcome::Rows { stream, tag } => {
            let zone = session.variables().lock().time_zone();
            portal.state = State::Running { rows: Rows::new(stream, zone), tag };
            Ok(None)
        }
        other => {
            portal.state = State::Done;
            Ok(Some(other))
        }
    }
}

async fn send_rows(
    watch: &mut Watch<'_>,
    writer: &mut Writer,
    rows: &mut Rows,
    described: Option<&SchemaRef>,
    written: &Written,
    tag: &str,
    way: Way<'_>,
) -> Result<(), Ended> {
    let schema = rows.schema();
    let mut columns = columns::of(&schema, written, way.formats())?;
    match (way, described) {
        (Way::Simple, _) => writer.put(Message::RowDescription(columns::description(&columns)))?,
        // The client has been told these: a statement that has come to mean something else since then would be misread.
        (Way::Extended { .. }, Some(described)) => columns::keep(&mut columns, &columns::of(described, written, &[])?)?,
        (Way::Extended { .. }, None) => {}
    }
    let sent = rows.send(watch, writer, &columns, way.limit(), Patience::All).await?;
    if !sent.ended {
        return writer.put(Message::PortalSuspended(PortalSuspended::new()));
    }
    match tag {
        "SELECT" | "FETCH" | "INSERT 0" | "UPDATE" | "DELETE" => complete(writer, &format!("{tag} {}", sent.n_rows)),
        tag => complete(writer, tag),
    }
}

fn complete(writer: &mut Writer, tag: &str) -> Result<(), Ended> {
    writer.put_tag(Message::CommandComplete(CommandComplete::new(tag.to_owned())))
}

fn notices(session: &Session, writer: &mut Writer) -> Result<(), Ended> {
    session.take_notices().into_iter().try_for_each(|notice| writer.put(errors::notice(notice)))
}

async fn run_own(connection: &mut Connection, own: Own, way: Way<'_>) -> Result<(), Ended> {
    let tag = match own {
        Own::Transaction(control) => {
            let controlled = control_block(connection, &control).await?;
            if let Some((code, text)) = controlled.warning {
                connection.writer.put(errors::warning(code, text))?;
            }
            controlled.tag
        }
        Own::Prepare { name, types, mut statement } => {
            if connection.prepared.contains_key(&name) {
                return Err(Error::Duplicate { kind: "prepared statement", name }.into());
            }
            prepared::cast_parameters(&mut statement, &types.into_iter().map(Some).collect::<Vec<_>>());
            let prepared = planned(connection, statement).await?;
            connection.prepared.insert(name, Arc::new(prepared));
            "PREPARE"
        }
        Own::Execute { name, parameters } => {
            let prepared = connection.prepared.get(&name).map(Arc::clone).ok_or_else(|| prepared::missing(&name))?;
            let values = evaluate(connection, &prepared, &name, parameters).await?;
            return run(connection, &mut Portal::new(prepared, values, Vec::new()), way).await;
        }
        Own::Explain { analyze, name, parameters } => {
            let prepared = connection.prepared.get(&name).map(Arc::clone).ok_or_else(|| prepared::missing(&name))?;
            let values = evaluate(connection, &prepared, &name, parameters).await?;
            let Some(inner) = prepared.statement.clone() else { return Err(prepared::missing(&name).into()) };
            let statement = Statement { text: inner.text.clone(), body: Body::Explain { analyze, statement: Box::new(inner) } };
            let explained = Prepared { columns: Some(own::explained()), ..Prepared::own(statement) };
            return run(connection, &mut Portal::new(Arc::new(explained), values, Vec::new()), way).await;
        }
        Own::Deallocate(Some(name)) => {
            connection.prepared.remove(&name).ok_or_else(|| prepared::missing(&name))?;
            "DEALLOCATE"
        }
        Own::Deallocate(None) => {
            connection.prepared.clear();
            "DEALLOCATE ALL"
        }
        Own::Declare { name, hold, statement } => {
            let prepared = planned(connection, statement).await?;
            let cursor = Portal { hold, ..Portal::new(Arc::new(prepared), Vec::new(), Vec::new()) };
            return declare(connection, &name, cursor).await;
        }
        Own::Fetch { name, limit, patience } => return fetch(connection, &name, limit, Some((way, patience))).await,
        Own::Move { name, limit } => return fetch(connection, &name, limit, None).await,
        Own::Close(Some(name)) => {
            connection.portals.remove(&name).ok_or(Error::NotFound { kind: "cursor", name })?;
            "CLOSE CURSOR"
        }
        Own::Close(None) => {
            connection.portals.clear();
            "CLOSE CURSOR ALL"
        }
        Own::Discard(what) => return discard(connection, &what),
        Own::Channel(later, tag) => {
            if connection.transaction.open() {
                connection.block.later(later)
            } else {
                block::do_now(connection, later)
            }
            tag
        }
    };
    complete(&mut connection.writer, tag)
}

/// Plans a statement, unless it must end before.
async fn planned(connection: &mut Connection, statement: Statement) -> Result<Prepared, Ended> {
    let Connection { reader, session, registered, .. } = connection;
    let timeout = session.variables().lock().statement_timeout_ms();
    Ok(registered.watch(reader, timeout).over(Prepared::plan(session, statement, &[])).await??)
}

/// Begins, ends and marks the transaction block.
async fn control_block(connection: &mut Connection, control: &Control) -> Result<Controlled, Ended> {
    let before = connection.transaction;
    let open = before.open();
    let controlled = connection.transaction.run(control)?;
    match control {
        Control::Begin(_, modes) if !open => connection.block = Block::begin(&connection.session, *modes)?,
        Control::Begin(_, modes) => {
            if let Err(error) = connection.block.begin_again(&connection.session, *modes).await {
                // What came before BEGIN in its message ends with it.
                connection.transaction = before;
                return Err(error.into());
            }
        }
        Control::Commit(chain) | Control::Rollback(chain) if open => {
            let modes = connection.block.modes();
            if controlled.tag == "COMMIT" {
                if let Err(error) = block::commit(connection).await {
                    connection.transaction = Transaction::Idle;
                    return Err(error.into());
                }
            } else {
                block::roll_back(connection).await?;
            }
            if *chain {
                connection.block = Block::begin(&connection.session, modes)?;
            }
        }
        Control::Savepoint(name) => block::savepoint(connection, name),
        Control::Release(name) => block::release(connection, name)?,
        Control::RollbackToSavepoint(name) => block::roll_back_to(connection, name).await?,
        // Of statements that began none: their portals end.
        Control::Commit(_) | Control::Rollback(_) => connection.portals.retain(|_, portal| portal.hold),
    }
    Ok(controlled)
}

/// The values of EXECUTE's parameters.
async fn evaluate(
    connection: &mut Connection,
    prepared: &Prepared,
    name: &str,
    parameters: Vec<ast::Expr>,
) -> Result<Vec<ScalarValue>, Ended> {
    let (expected, found) = (prepared.parameters.len(), parameters.len());
    if expected != found {
        let message = format!("wrong number of parameters for prepared statement \"{name}\"");
        return Err(Error::Syntax { message, hint: Some(format!("Expected {expected} parameters but got {found}.")) }.into());
    }
    let Connection { reader, session, registered, .. } = connection;
    let timeout = session.variables().lock().statement_timeout_ms();
    // They may be calls that take their time.
    registered.watch(reader, timeout).over(values_of(session, prepared, parameters)).await?.map_err(Ended::from)
}

async fn values_of(session: &Session, prepared: &Prepared, parameters: Vec<ast::Expr>) -> Result<Vec<ScalarValue>> {
    let mut values = Vec::with_capacity(parameters.len());
    for (parameter, expr) in prepared.parameters.iter().zip(parameters) {
        let statements = session.parse(&format!("SELECT {expr}"))?;
        let Some(statement) = statements.first() else { continue };
        let Outcome::Rows { mut stream, .. } = session.execute(statement, Vec::new()).await? else { continue };
        let batch = stream.next().await.transpose()?;
        let value = batch.as_ref().and_then(|batch| batch.columns().first()).filter(|column| !column.is_empty());
        let value = ScalarValue::try_from_array(value.ok_or_else(|| Error::Internal("a parameter has no value".into()))?.as_ref(), 0)?;
        values.push(match &parameter.needed {
            Some(needed) => value.cast_to(needed)?,
            None => value,
        });
    }
    Ok(values)
}

/// Opens a cursor.
async fn declare(connection: &mut Connection, name: &str, mut cursor: Portal) -> Result<(), Ended> {
    let open = connection.transaction.open();
    if !cursor.hold && !open {
        return Err(Error::OutsideTransaction { statement: "DECLARE CURSOR".into() }.into());
    }
    if connection.portals.contains_key(name) {
        return Err(Error::Duplicate { kind: "cursor", name: name.to_owned() }.into());
    }
    cursor.uncommitted = open;
    let Connection { reader, writer, session, registered, portals, .. } = connection;
    let timeout = session.variables().lock().statement_timeout_ms();
    // It starts here, so that it reads what is there now, however late it is fetched from.
    if start(&mut registered.watch(reader, timeout), session, &mut cursor).await?.is_some() {
        return Err(Error::State { message: format!("cursor \"{name}\" has no rows to fetch"), hint: None }.into());
    }
    notices(session, writer)?;
    portals.insert(name.to_owned(), cursor);
    complete(writer, "DECLARE CURSOR")
}

/// Goes on with a cursor; `shown` is how its rows are sent, None to pass over them.
async fn fetch(connection: &mut Connection, name: &str, limit: Option<usize>, shown: Option<(Way<'_>, Patience)>) -> Result<(), Ended> {
    let Connection { reader, writer, session, registered, portals, .. } = connection;
    // Taken out while it runs: a cursor that fails is gone.
    let mut cursor = portals.remove(name).ok_or_else(|| Error::NotFound { kind: "cursor", name: name.to_owned() })?;
    let timeout = session.variables().lock().statement_timeout_ms();
    let mut watch = registered.watch(reader, timeout);
    if start(&mut watch, session, &mut cursor).await?.is_some() {
        return Err(Error::State { message: format!("cursor \"{name}\" has no rows to fetch"), hint: None }.into());
    }
    notices(session, writer)?;
    let State::Running { rows, .. } = &mut cursor.state else { return Err(already_run().into()) };
    let tag = match shown {
        Some((way, patience)) => {
            let columns = columns::of(&rows.schema(), &cursor.prepared.written, way.formats())?;
            if matches!(way, Way::Simple) {
                writer.put(Message::RowDescription(columns::description(&columns)))?;
            }
            format!("FETCH {}", rows.send(&mut watch, writer, &columns, limit, patience).await?.n_rows)
        }
        None => format!("MOVE {}", rows.each(&mut watch, writer, limit, Patience::All, |_, _, _, _| Ok(())).await?.n_rows),
    };
    complete(writer, &tag)?;
    portals.insert(name.to_owned(), cursor);
    Ok(())
}

fn discard(connection: &mut Connection, what: &ast::DiscardObject) -> Result<(), Ended> {
    match what {
        ast::DiscardObject::ALL => {
            if connection.transaction.open() {
                let message = "DISCARD ALL cannot run inside a transaction block".to_owned();
                return Err(Error::Data { code: "25001", message, detail: None }.into());
            }
            connection.portals.clear();
            connection.prepared.clear();
            connection.ear.unlisten(None);
            connection.session.variables().lock().clear();
        }
        ast::DiscardObject::PLANS | ast::DiscardObject::SEQUENCES | ast::DiscardObject::TEMP => {}
    }
    complete(&mut connection.writer, &format!("DISCARD {what}"))
}
