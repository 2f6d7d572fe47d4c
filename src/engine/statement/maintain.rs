//! ANALYZE, VACUUM and REFRESH MATERIALIZED VIEW: nothing is to be done, but for what is not there.

use crate::engine::catalog::Body;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// Tables are kept in order as they are written, and plans need no counts.
pub(super) fn run(session: &Session, vacuum: bool, tables: &[String]) -> Result<Outcome> {
    if vacuum {
        session.check_no_block("VACUUM")?;
    }
    let catalog = session.engine().catalog();
    for name in tables {
        if catalog.find(name).is_none() {
            return Err(Error::NotFound { kind: "relation", name: name.clone() });
        }
    }
    if !session.superuser() {
        let all: Vec<String> = if tables.is_empty() {
            catalog.all().into_iter().filter(|object| matches!(object.body, Body::Table(_))).map(|object| object.name).collect()
        } else {
            tables.to_vec()
        };
        let verb = if vacuum { "vacuum" } else { "analyze" };
        all.iter().for_each(|name| session.warns(format!("skipping \"{name}\" --- only table or database owner can {verb} it")));
    }
    Ok(Outcome::Done { tag: if vacuum { "VACUUM" } else { "ANALYZE" }.to_owned() })
}

/// A view is up to date as it is.
pub(super) fn refresh(session: &Session, name: &str) -> Result<Outcome> {
    match session.engine().catalog().find(name).map(|object| object.body) {
        Some(Body::Materialized(_)) => Ok(Outcome::Done { tag: "REFRESH MATERIALIZED VIEW".to_owned() }),
        Some(_) => Err(Error::Data { code: "0A000", message: format!("\"{name}\" is not a materialized view"), detail: None }),
        None => Err(Error::NotFound { kind: "relation", name: name.to_owned() }),
    }
}
