//! COPY FROM STDIN: the client sends the rows in messages of its own, until it says that they are all or that it failed.

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::PgWireFrontendMessage as Request;
use pgwire::messages::copy::CopyInResponse;

use super::binary_rows::BinaryRows;
use crate::engine::statement::CopyInto;
use crate::error::{Error, Result};
use crate::plan::parse::Statement;
use crate::plan::parse::copy::{CopyFormat, CopyIn};
use crate::wire::connection::Connection;
use crate::wire::errors::Ended;

/// Receives the rows and keeps them, all or none; gives their number.
pub(in crate::wire) async fn receive(connection: &mut Connection, statement: &Statement, copy: &CopyIn) -> Result<usize, Ended> {
    let mut into = connection.session.copy_in(statement, copy).await?;
    let columns = into.columns();
    let (n_columns, format) = (columns.len(), i8::from(copy.form.format == CopyFormat::Binary));
    let response = CopyInResponse::new(format, i16::try_from(n_columns).unwrap_or(i16::MAX), vec![format.into(); n_columns]);
    connection.writer.put(Message::CopyInResponse(response))?;
    let mut binary = (copy.form.format == CopyFormat::Binary).then(|| BinaryRows::new(columns));
    connection.writer.flush().await?;
    let mut failed: Option<Error> = None;
    loop {
        match connection.reader.next().await? {
            None => return Err(Ended::Gone),
            Some(Request::CopyData(data)) => {
                // After an error the rest is read and left, so that the next statement is found behind it.
                if failed.is_none() {
                    failed = push(&mut into, binary.as_mut(), &data.data).err();
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
    if let Some(error) = failed.or_else(|| binary.and_then(|binary| binary.finish().err())) {
        return Err(error.into());
    }
    let Connection { reader, session, registered, .. } = connection;
    let timeout = session.variables().lock().statement_timeout_ms();
    let mut watch = registered.watch(reader, timeout);
    Ok(watch.over(into.finish()).await??)
}

fn push(into: &mut CopyInto, binary: Option<&mut BinaryRows>, bytes: &[u8]) -> Result<()> {
    match binary {
        None => into.push(bytes),
        Some(binary) => {
            // Counted as bytes, kept as rows.
            into.count(bytes.len())?;
            binary.push(bytes)?.into_iter().for_each(|row| into.push_row(row));
            Ok(())
        }
    }
}
