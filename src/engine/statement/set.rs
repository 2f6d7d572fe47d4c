//! SET and RESET: a setting of this session.

use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::Result;

/// Says how the transaction, or with `session` those to come, read and whether they write.
pub(super) fn transaction(session: &Session, later: bool, isolation: Option<&str>, read_only: Option<bool>) -> Result<Outcome> {
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

/// Changes it; None restores the default, of all settings for "all".
pub(super) fn run(session: &Session, name: &str, value: Option<&str>) -> Result<Outcome> {
    let mut variables = session.variables().lock();
    match (name, value) {
        ("all", None) => variables.clear(),
        (name, value) => variables.set(name, value)?,
    }
    Ok(Outcome::Done { tag: if value.is_some() { "SET".to_owned() } else { "RESET".to_owned() } })
}
