//! The simple protocol: a script of statements, answered one after another until one fails; several are one transaction, unless they say otherwise.

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::EmptyQueryResponse;

use super::answer;
use super::block::{self, Block};
use super::connection::Connection;
use super::cursor;
use super::errors::Ended;
use super::transaction::{Modes, Transaction};
use crate::plan::parse::Statement;

/// Answers a Query message, all but ReadyForQuery.
pub(super) async fn query(connection: &mut Connection, sql: &str) -> Result<(), Ended> {
    let statements = cursor::parse(&connection.session, sql)?;
    if statements.is_empty() {
        return connection.writer.put(Message::EmptyQueryResponse(EmptyQueryResponse::new()));
    }
    let (mut from, mut n_left, several) = (0, statements.len(), statements.len() > 1);
    for statement in statements {
        // Where it stands, for who is told where it is wrong.
        from += sql.get(from..).and_then(|rest| rest.find(&statement.text)).unwrap_or(0);
        if let Some((_, begins)) = &mut connection.asked {
            *begins = from;
        }
        from += statement.text.len();
        n_left -= 1;
        if several {
            begin(connection, &statement, n_left == 0).await?;
        }
        Box::pin(answer::simple(connection, statement)).await?;
    }
    if connection.transaction == Transaction::Implicit {
        commit(connection).await?;
    }
    connection.writer.tell_tag()
}

/// Goes on with the transaction of the message, or begins it. What reads on and on is in none: it reads what is committed, so what came before is.
async fn begin(connection: &mut Connection, statement: &Statement, last: bool) -> Result<(), Ended> {
    let mut outlives = cursor::of(statement).is_none() && connection.session.outlives_block(statement).await;
    if outlives && connection.transaction == Transaction::Implicit {
        commit(connection).await?;
        // A view reads what is committed now, and is made with what comes behind it.
        outlives = connection.session.outlives_block(statement).await;
    }
    if !outlives && connection.transaction == Transaction::Idle {
        connection.block = Block::begin(&connection.session, Modes::default())?;
        connection.transaction = Transaction::Implicit;
    }
    if last && connection.transaction == Transaction::Implicit {
        // It is done when it is committed.
        connection.writer.keep_tag();
    }
    Ok(())
}

async fn commit(connection: &mut Connection) -> Result<(), Ended> {
    connection.transaction = Transaction::Idle;
    Ok(block::commit(connection).await?)
}
