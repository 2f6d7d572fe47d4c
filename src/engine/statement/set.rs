//! SET and RESET: a setting of this session.

use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// Says how the transaction, or with `session` those to come, read and whether they write.
pub(super) fn transaction(session: &Session, later: bool, isolation: Option<&str>, read_only: Option<bool>) -> Result<Outcome> {
    if !later {
        check_before_queries(session, isolation, read_only)?;
    }
    let prefix = if later { "default_" } else { "" };
    let mut variables = session.variables().lock();
    if let Some(isolation) = isolation {
        variables.set(&format!("{prefix}transaction_isolation"), Some(isolation))?;
    }
    if let Some(read_only) = read_only {
        variables.set(&format!("{prefix}transaction_read_only"), Some(if read_only { "on" } else { "off" }))?;
    }
    Ok(Outcome::Done { tag: "SET".to_owned() })
}

/// Errs (25001) if the transaction would read otherwise, or begin to write, after a query of it.
fn check_before_queries(session: &Session, isolation: Option<&str>, read_only: Option<bool>) -> Result<()> {
    if !session.queried() {
        return Ok(());
    }
    let variables = session.variables().lock();
    let (now, only_reads) = (variables.show("transaction_isolation")?, variables.show("transaction_read_only")? == "on");
    let message = if isolation.is_some_and(|isolation| !isolation.eq_ignore_ascii_case(&now)) {
        "SET TRANSACTION ISOLATION LEVEL must be called before any query"
    } else if read_only == Some(false) && only_reads {
        "transaction read-write mode must be set before any query"
    } else {
        return Ok(());
    };
    Err(Error::Data { code: "25001", message: message.to_owned(), detail: None })
}

/// Changes it; None restores the default, of all settings for "all".
pub(super) fn run(session: &Session, name: &str, value: Option<&str>, reset: bool) -> Result<Outcome> {
    if name == "transaction_isolation" {
        check_before_queries(session, value, None)?;
    }
    let mut variables = session.variables().lock();
    match (name, value) {
        ("all", None) => variables.clear(),
        (name, value) => variables.set(name, value)?,
    }
    Ok(Outcome::Done { tag: if reset { "RESET".to_owned() } else { "SET".to_owned() } })
}
