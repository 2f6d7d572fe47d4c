//! ALTER MATERIALIZED VIEW: who is told of its changes.

use std::sync::Arc;

use super::table_rows::quoted;
use crate::engine::block::Undo;
use crate::engine::catalog::Body;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::plan::parse::Kind;

/// The option that names a channel.
pub(super) const NOTIFY: &str = "notify";
/// Bytes of the longest name of a channel, as in Postgres.
const MAX_CHANNEL_BYTES: usize = 63;

/// Sets or resets options.
pub(super) fn run(session: &Session, name: &str, options: &[(String, Option<String>)]) -> Result<Outcome> {
    let engine = session.engine();
    let object = engine.catalog.find(name).ok_or_else(|| Error::NotFound { kind: "relation", name: name.to_owned() })?;
    let Body::Materialized(view) = &object.body else {
        let (expected, found) = (Kind::MaterializedView.word(), object.kind().word());
        return Err(Error::WrongKind { statement: None, name: name.to_owned(), expected, found });
    };
    for (option, value) in options {
        if option != NOTIFY {
            return Err(Error::Option {
                message: format!("option \"{option}\" of a materialized view cannot be changed"),
                hint: Some("notify can; CREATE OR REPLACE MATERIALIZED VIEW … WITH (…) changes the others.".into()),
            });
        }
        if let Some(channel) = value {
            check_channel(channel)?;
        }
    }
    for (_, channel) in options {
        session.keep(vec![Change::Add(kept(name), statement(name, channel.as_deref()))])?;
        let before = engine.announcer.channel(name);
        engine.announcer.set(&engine.jobs, name, view, channel.as_deref());
        session.did(Undo::Told(name.to_owned(), Arc::clone(view), before));
    }
    Ok(Outcome::Done { tag: "ALTER MATERIALIZED VIEW".into() })
}

/// Errs (22023) for the name of a channel that nobody could LISTEN to.
pub(super) fn check_channel(channel: &str) -> Result<()> {
    if (1..=MAX_CHANNEL_BYTES).contains(&channel.len()) {
        return Ok(());
    }
    Err(Error::Option {
        message: format!("option \"{NOTIFY}\" is the name of a channel of 1 to {MAX_CHANNEL_BYTES} bytes, not \"{channel}\""),
        hint: Some("Clients LISTEN to it.".into()),
    })
}

/// Under which name the catalogue on disk keeps it: it ends with the view's.
pub(in crate::engine) fn kept(name: &str) -> String {
    format!(" notify {name}")
}

fn statement(name: &str, channel: Option<&str>) -> String {
    match channel {
        Some(channel) => format!("ALTER MATERIALIZED VIEW {} SET ({NOTIFY} = '{}')", quoted(name), channel.replace('\'', "''")),
        None => format!("ALTER MATERIALIZED VIEW {} RESET ({NOTIFY})", quoted(name)),
    }
}
