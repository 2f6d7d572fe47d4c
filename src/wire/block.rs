//! What a transaction block has done, so that its end can do what was put off, and undo what can be undone and say what cannot.

use super::connection::Connection;
use super::errors::{self, Ended};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, Kind, Statement};
use crate::settings::Variables;

/// One block, from BEGIN on. Outside a block it is empty.
#[derive(Default)]
pub(super) struct Block {
    /// The settings as they were at BEGIN.
    before: Variables,
    /// Settings that go back at COMMIT too.
    local: Vec<String>,
    /// Objects made in the block, in order.
    created: Vec<(Kind, String)>,
    /// Statements that nothing undoes, by their command tags.
    lasting: Vec<String>,
    /// What is put off until COMMIT.
    later: Vec<Later>,
}

/// LISTEN, UNLISTEN and NOTIFY, which take effect when the block is committed.
#[derive(Debug)]
pub(super) enum Later {
    /// LISTEN.
    Listen(String),
    /// UNLISTEN; None is all channels.
    Unlisten(Option<String>),
    /// NOTIFY with its payload.
    Notify(String, String),
}

impl Block {
    /// The block that BEGIN opens.
    pub(super) fn begin(session: &Session) -> Block {
        Block { before: session.variables().lock().clone(), ..Block::default() }
    }

    /// The object that the statement would make anew: what ROLLBACK takes back, if it is made.
    pub(super) fn creates(session: &Session, statement: Option<&Statement>) -> Option<(Kind, String)> {
        let (kind, name) = match &statement?.body {
            Body::CreateSource { name, .. } => (Kind::Source, name),
            Body::CreateView { name, materialized: true, .. } => (Kind::MaterializedView, name),
            Body::CreateView { name, .. } => (Kind::View, name),
            Body::CreateFigure(create) => (create.kind, &create.name),
            _ => return None,
        };
        let there = session.engine().catalog().object(name).is_some();
        (!there).then(|| (kind, name.clone()))
    }

    /// A statement has been done in the block.
    pub(super) fn done(&mut self, statement: Option<&Statement>, created: Option<(Kind, String)>, tag: &str) {
        match (created, statement.map(|statement| &statement.body)) {
            (Some(created), _) => self.created.push(created),
            (None, Some(Body::SetVariable { name, .. })) if local(statement) => self.local.push(name.clone()),
            (None, Some(Body::SetVariable { .. } | Body::Flush) | None) => {}
            (None, Some(_)) => self.lasting.push(tag.to_owned()),
        }
    }

    /// Puts something off until COMMIT.
    pub(super) fn later(&mut self, later: Later) {
        self.later.push(later);
    }

    /// Whether ROLLBACK TO SAVEPOINT would leave something as it is that Postgres would undo.
    pub(super) fn stays(&self) -> bool {
        !self.created.is_empty() || !self.lasting.is_empty() || !self.later.is_empty()
    }
}

/// Whether a statement is SET LOCAL.
pub(super) fn local(statement: Option<&Statement>) -> bool {
    let words = |statement: &Statement| statement.text.split_whitespace().nth(1).is_some_and(|word| word.eq_ignore_ascii_case("local"));
    statement.is_some_and(|statement| matches!(statement.body, Body::SetVariable { .. }) && words(statement))
}

/// COMMIT: what was put off is done, and what was for the block only goes.
pub(super) fn commit(connection: &mut Connection) -> Result<()> {
    let block = std::mem::take(&mut connection.block);
    let mut variables = connection.session.variables().lock();
    for name in &block.local {
        let value = block.before.show(name)?;
        variables.set(name, Some(&value))?;
    }
    drop(variables);
    block.later.into_iter().for_each(|later| do_now(connection, later));
    Ok(())
}

/// ROLLBACK: the objects that were made go, the newest first, the settings go back; what stays is said.
pub(super) async fn roll_back(connection: &mut Connection) -> Result<(), Ended> {
    let block = std::mem::take(&mut connection.block);
    *connection.session.variables().lock() = block.before;
    for (kind, name) in block.created.into_iter().rev() {
        let sql = format!("DROP {} IF EXISTS \"{}\" CASCADE", kind.word().to_uppercase(), name.replace('"', "\"\""));
        for statement in connection.session.parse(&sql)? {
            connection.session.execute(&statement, Vec::new()).await?;
        }
    }
    // That objects are gone is what the client has asked for.
    connection.session.take_notices();
    if !block.lasting.is_empty() {
        let text = format!("what {} did is not undone by ROLLBACK", block.lasting.join(", "));
        connection.writer.put(errors::warning("01000", &text))?;
    }
    Ok(())
}

/// Does what waits for no transaction.
pub(super) fn do_now(connection: &Connection, later: Later) {
    match later {
        Later::Listen(channel) => connection.ear.listen(channel),
        Later::Unlisten(channel) => connection.ear.unlisten(channel.as_deref()),
        Later::Notify(channel, payload) => connection.ear.say(channel, payload),
    }
}

/// What Postgres says of SET LOCAL outside a block, where it changes nothing.
pub(super) fn local_outside() -> Error {
    Error::OutsideTransaction { statement: "SET LOCAL".into() }
}
