//! An error as the client reads it: severity, SQLSTATE, message, detail, hint, and which constraint of which table.

use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireBackendMessage;

use crate::engine::outcome::Notice;
use crate::error::Error;

/// Why a statement, or a connection, came to its end early.
#[derive(Debug)]
pub(super) enum Ended {
    /// The statement failed; the connection goes on.
    Failed(Error),
    /// The client is told and the connection ends.
    Fatal(Error),
    /// The client has gone: nobody is left to be told.
    Gone,
}

impl From<Error> for Ended {
    fn from(e: Error) -> Ended {
        Ended::Failed(e)
    }
}

impl From<PgWireError> for Ended {
    fn from(e: PgWireError) -> Ended {
        match e {
            PgWireError::IoError(_) => Ended::Gone,
            PgWireError::UserError(info) => Ended::Failed(Error::Encode { code: state_of(&info.code), message: info.message }),
            e => Ended::Failed(Error::Encode { code: "XX000", message: e.to_string() }),
        }
    }
}

/// The codes that the row encoder gives.
fn state_of(code: &str) -> &'static str {
    match code {
        "22003" => "22003",
        _ => "XX000",
    }
}

/// ErrorResponse, after which the connection goes on (`ERROR`) or ends (`FATAL`). The position is that of a character of the query, from 1.
pub(super) fn response(severity: &str, error: &Error, position: Option<usize>) -> PgWireBackendMessage {
    let mut info = ErrorInfo::new(severity.to_owned(), error.sqlstate().to_owned(), error.to_string());
    info.severity_nonlocalized = Some(severity.to_owned());
    info.detail = error.detail();
    info.hint = error.hint();
    info.position = position.map(|position| position.to_string());
    if let Error::Constraint { violated, .. } = error {
        info.schema = Some("public".to_owned());
        info.table = Some(violated.table.clone());
        info.column.clone_from(&violated.column);
        info.constraint.clone_from(&violated.constraint);
    }
    PgWireBackendMessage::ErrorResponse(info.into())
}

/// NoticeResponse.
pub(super) fn notice(notice: Notice) -> PgWireBackendMessage {
    let severity = if notice.code.starts_with("01") { "WARNING" } else { "NOTICE" };
    message(severity, notice.code, notice.message, notice.hint)
}

/// A WARNING with a code.
pub(super) fn warning(code: &str, text: &str) -> PgWireBackendMessage {
    message("WARNING", code, text.to_owned(), None)
}

fn message(severity: &str, code: &str, text: String, hint: Option<String>) -> PgWireBackendMessage {
    let mut info = ErrorInfo::new(severity.to_owned(), code.to_owned(), text);
    info.severity_nonlocalized = Some(severity.to_owned());
    info.hint = hint;
    PgWireBackendMessage::NoticeResponse(info.into())
}
