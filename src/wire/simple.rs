//! The simple protocol: a script of statements, answered one after another until one fails.

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::EmptyQueryResponse;

use super::answer;
use super::connection::Connection;
use super::cursor;
use super::errors::Ended;

/// Answers a Query message, all but ReadyForQuery.
pub(super) async fn query(connection: &mut Connection, sql: &str) -> Result<(), Ended> {
    let statements = cursor::parse(&connection.session, sql)?;
    if statements.is_empty() {
        return connection.writer.put(Message::EmptyQueryResponse(EmptyQueryResponse::new()));
    }
    let mut from = 0;
    for statement in statements {
        // Where it stands, for who is told where it is wrong.
        from += sql.get(from..).and_then(|rest| rest.find(&statement.text)).unwrap_or(0);
        if let Some((_, begins)) = &mut connection.asked {
            *begins = from;
        }
        from += statement.text.len();
        answer::simple(connection, statement).await?;
    }
    Ok(())
}
