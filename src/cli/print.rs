//! The only writer of standard output and standard error: results to the one, errors and notices as psql words them to the other.

use std::io::Write;

use crate::engine::outcome::Notice;
use crate::error::{Error, Result};

/// Writes text to standard output and flushes it, so that a row is seen when it comes. Errs (58030) if the reader has gone.
pub(super) fn out(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Error::io("could not write to standard output", e))
}

/// Writes a line to standard output.
pub(super) fn line(text: &str) -> Result<()> {
    out(&format!("{text}\n"))
}

/// `ERROR:  message`, then DETAIL and HINT where there are any.
pub(super) fn error(error: &Error) {
    let mut text = format!("ERROR:  {error}\n");
    if let Some(detail) = error.detail() {
        text.push_str(&format!("DETAIL:  {detail}\n"));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("HINT:  {hint}\n"));
    }
    aside(&text);
}

/// `NOTICE:  message`, then HINT where there is one.
pub(super) fn notice(notice: &Notice) {
    let mut text = format!("NOTICE:  {}\n", notice.message);
    if let Some(hint) = &notice.hint {
        text.push_str(&format!("HINT:  {hint}\n"));
    }
    aside(&text);
}

/// Writes text to standard error. Nobody can be told that nobody listens, so a failure is ignored.
pub(super) fn aside(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
