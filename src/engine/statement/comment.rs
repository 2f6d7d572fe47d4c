//! COMMENT ON: what is said of an object, a column or a role, kept with the catalogue.

use super::table_rows::quoted;
use crate::engine::block::Undo;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::plan::parse::{Commented, Kind};

/// Keeps the comment, or takes it away.
pub(super) fn run(session: &Session, on: &Commented, text: Option<&str>) -> Result<Outcome> {
    check(session, on)?;
    session.keep(vec![match text {
        Some(text) => Change::Add(kept(on), statement(on, text)),
        None => Change::Remove(vec![kept(on)]),
    }])?;
    let before = session.engine().comments.put(on, text.map(str::to_owned));
    session.did(Undo::Comment(on.clone(), before));
    Ok(Outcome::Done { tag: "COMMENT".into() })
}

/// Errs if there is no such thing, or another kind of thing has the name.
fn check(session: &Session, on: &Commented) -> Result<()> {
    let engine = session.engine();
    match on {
        Commented::Relation(kind, name) => match engine.catalog.find(name) {
            None => Err(Error::NotFound { kind: "relation", name: name.clone() }),
            // What clients are told is a table, may be called one.
            Some(object) if object.kind() == *kind || *kind == Kind::Table && matches!(object.kind(), Kind::Source | Kind::Gallery) => {
                Ok(())
            }
            Some(object) => {
                let (expected, found) = (kind.word(), object.kind().word());
                Err(Error::WrongKind { statement: Some("COMMENT ON"), name: name.clone(), expected, found })
            }
        },
        Commented::Column { relation, column } => match engine.catalog.find(relation) {
            None => Err(Error::NotFound { kind: "relation", name: relation.clone() }),
            Some(object) if object.schema().index_of(column).is_err() => Err(Error::Data {
                code: "42703",
                message: format!("column \"{column}\" of relation \"{relation}\" does not exist"),
                detail: None,
            }),
            Some(_) => Ok(()),
        },
        Commented::Role(name) if engine.roles.known(name).is_none() => Err(Error::NotFound { kind: "role", name: name.clone() }),
        Commented::Role(_) => Ok(()),
    }
}

/// Under which name the catalogue on disk keeps a comment: it ends with the object's.
pub(in crate::engine) fn kept(on: &Commented) -> String {
    match on {
        Commented::Relation(_, name) => format!(" comment {name}"),
        Commented::Column { relation, column } => format!(" comment column {column} {relation}"),
        Commented::Role(name) => format!(" comment role {name}"),
    }
}

fn statement(on: &Commented, text: &str) -> String {
    let on = match on {
        Commented::Relation(kind, name) => format!("{} {}", kind.word().to_uppercase(), quoted(name)),
        Commented::Column { relation, column } => format!("COLUMN {}.{}", quoted(relation), quoted(column)),
        Commented::Role(name) => format!("ROLE {}", quoted(name)),
    };
    format!("COMMENT ON {on} IS '{}'", text.replace('\'', "''"))
}
