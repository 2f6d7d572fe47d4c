//! SET and RESET: a setting of this session.

use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::Result;

/// Changes it; None restores the default, of all settings for "all".
pub(super) fn run(session: &Session, name: &str, value: Option<&str>) -> Result<Outcome> {
    let mut variables = session.variables().lock();
    match (name, value) {
        ("all", None) => variables.clear(),
        (name, value) => variables.set(name, value)?,
    }
    Ok(Outcome::Done { tag: if value.is_some() { "SET".to_owned() } else { "RESET".to_owned() } })
}
