//! COPY FROM STDIN: the client sends the rows in messages of its own, until it says that they are all or that it failed.

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::PgWireFrontendMessage as Request;
use pgwire::messages::copy::CopyInResponse;

use super::connection::Connection;
use super::errors::Ended;
use crate::error::{Error, Result};
use crate::plan::parse::{CopyIn, Statement};

/// Receives the rows and keeps them, all or none; gives their number.
pub(super) async fn receive(connection: &mut Connection, statement: &Statement, copy: &CopyIn) -> Result<usize, Ended> {
    let mut into = connection.session.copy_in(statement, copy).await?;
    let n_columns = i16::try_from(into.n_columns()).unwrap_or(i16::MAX);
    connection.writer.put(Message::CopyInResponse(CopyInResponse::new(0, n_columns, vec![0; into.n_columns()])))?;
    connection.writer.flush().await?;
    let mut failed: Option<Error> = None;
    loop {
        match connection.reader.next().await? {
            None => return Err(Ended::Gone),
            Some(Request::CopyData(data)) => {
                // After an error the rest is read and left, so that the next statement is found behind it.
                if failed.is_none() {
                    failed = into.push(&data.data).err();
                }
            }
            Some(Request::CopyDone(_)) => break,
            Some(Request::CopyFail(fail)) => {
                return Err(
                    Error::Data { code: "57014", message: format!("COPY from stdin failed: {}", fail.message), detail: None }.into()
                );
            }
            // Clients of the extended protocol send them before they know that rows are wanted.
            Some(Request::Flush(_) | Request::Sync(_)) => {}
            Some(_) => return Err(Ended::Fatal(Error::Protocol("unexpected message during COPY from stdin".into()))),
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    let Connection { reader, session, registered, .. } = connection;
    let timeout = session.variables().lock().statement_timeout_ms();
    let mut watch = registered.watch(reader, timeout);
    Ok(watch.over(into.finish()).await??)
}
