//! The simple protocol: a script of statements, answered one after another until one fails; several are one transaction, unless they say otherwise.

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::EmptyQueryResponse;

use super::answer;
use super::connection::Connection;
use super::errors::Ended;
use super::session::transaction::Transaction;
use super::session::{cursor, implicit};

/// Answers a Query message, all but ReadyForQuery.
pub(super) async fn query(connection: &mut Connection, sql: &str) -> Result<(), Ended> {
    let statements = cursor::parse(&connection.session, sql)?;
    if statements.is_empty() {
        connection.writer.put(Message::EmptyQueryResponse(EmptyQueryResponse::new()))?;
        return implicit::commit(connection).await;
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
        // What the extended protocol has begun and not ended with Sync goes on.
        if several || connection.transaction == Transaction::Implicit {
            implicit::begin(connection, &statement).await?;
        }
        if n_left == 0 && connection.transaction == Transaction::Implicit {
            // It is done when it is committed.
            connection.writer.keep_tag();
        }
        Box::pin(answer::simple(connection, statement)).await?;
    }
    implicit::commit(connection).await?;
    connection.writer.tell_tag()
}
