//! What a transaction block has done, so that its end can do what was put off, and undo what can be undone and say what cannot.

use super::transaction::Modes;
use crate::engine::session::Session;
use crate::engine::statement::undoable;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, Statement};
use crate::settings::Variables;
use crate::wire::connection::Connection;
use crate::wire::errors::{self, Ended};

/// The settings that a transaction has for itself.
const OWN: [&str; 2] = ["transaction_isolation", "transaction_read_only"];

/// One block, from BEGIN on. Outside a block it is empty. What objects and rows it has changed is the session's business.
#[derive(Default)]
pub(in crate::wire) struct Block {
    /// The settings as they were at BEGIN.
    before: Variables,
    /// What was said at BEGIN.
    modes: Modes,
    /// Settings that go back at COMMIT too.
    local: Vec<String>,
    /// Statements that nothing undoes, by their command tags.
    lasting: Vec<String>,
    /// What is put off until COMMIT.
    later: Vec<Later>,
    savepoints: Vec<Savepoint>,
}

/// What a block was at a savepoint.
struct Savepoint {
    name: String,
    settings: Variables,
    n_local: usize,
    n_lasting: usize,
    n_later: usize,
}

/// LISTEN, UNLISTEN and NOTIFY, which take effect when the block is committed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::wire) enum Later {
    /// LISTEN.
    Listen(String),
    /// UNLISTEN; None is all channels.
    Unlisten(Option<String>),
    /// NOTIFY with its payload.
    Notify(String, String),
}

impl Block {
    /// The block that BEGIN opens.
    pub(in crate::wire) fn begin(session: &Session, modes: Modes) -> Result<Block> {
        session.begin();
        let mut variables = session.variables().lock();
        let before = variables.clone();
        for (name, said) in OWN.into_iter().zip([modes.isolation, modes.read_only.map(|only| if only { "on" } else { "off" })]) {
            let value = match said {
                Some(said) => said.to_owned(),
                None => variables.show(&format!("default_{name}"))?,
            };
            variables.set(name, Some(&value))?;
        }
        Ok(Block { before, modes, ..Block::default() })
    }

    /// BEGIN in a block, or behind other statements of its message: it goes on, as BEGIN says. Errs (25001) if that is too late.
    pub(in crate::wire) async fn begin_again(&mut self, session: &Session, modes: Modes) -> Result<()> {
        if modes != Modes::default() {
            let (isolation, read_only) = (modes.isolation, modes.read_only);
            let body = Body::SetTransaction { session: false, isolation, read_only };
            session.execute(&Statement { text: "SET TRANSACTION".to_owned(), body }, Vec::new()).await?;
        }
        self.modes = Modes { isolation: modes.isolation.or(self.modes.isolation), read_only: modes.read_only.or(self.modes.read_only) };
        Ok(())
    }

    /// A statement has been done in the block.
    pub(in crate::wire) fn done(&mut self, statement: Option<&Statement>, tag: &str) {
        let Some(statement) = statement else { return };
        match &statement.body {
            Body::SetVariable { name, .. } if local(Some(statement)) => self.local.push(name.clone()),
            _ if undoable(statement) => {}
            _ => self.lasting.push(tag.to_owned()),
        }
    }

    /// Puts something off until COMMIT.
    pub(in crate::wire) fn later(&mut self, later: Later) {
        // What is said twice is told once.
        if !(matches!(later, Later::Notify(..)) && self.later.contains(&later)) {
            self.later.push(later);
        }
    }

    /// What was said at BEGIN.
    pub(in crate::wire) fn modes(&self) -> Modes {
        self.modes
    }
}

/// SAVEPOINT.
pub(in crate::wire) fn savepoint(connection: &mut Connection, name: &str) {
    connection.session.savepoint(name);
    let settings = connection.session.variables().lock().clone();
    let block = &mut connection.block;
    let (n_local, n_lasting, n_later) = (block.local.len(), block.lasting.len(), block.later.len());
    block.savepoints.push(Savepoint { name: name.to_owned(), settings, n_local, n_lasting, n_later });
}

/// RELEASE SAVEPOINT: what was done since stays done.
pub(in crate::wire) fn release(connection: &mut Connection, name: &str) -> Result<()> {
    connection.session.release(name)?;
    let savepoints = &mut connection.block.savepoints;
    let at = savepoints.iter().rposition(|savepoint| savepoint.name == name);
    savepoints.truncate(at.unwrap_or(savepoints.len()));
    Ok(())
}

/// ROLLBACK TO SAVEPOINT: what was done since is undone; what cannot be is said.
pub(in crate::wire) async fn roll_back_to(connection: &mut Connection, name: &str) -> Result<(), Ended> {
    connection.session.roll_back_to(name).await?;
    let block = &mut connection.block;
    let at = block.savepoints.iter().rposition(|savepoint| savepoint.name == name);
    block.savepoints.truncate(at.map_or(block.savepoints.len(), |at| at + 1));
    let Some(savepoint) = block.savepoints.last() else { return Ok(()) };
    *connection.session.variables().lock() = savepoint.settings.clone();
    block.local.truncate(savepoint.n_local);
    block.later.truncate(savepoint.n_later);
    let lasting = block.lasting.split_off(savepoint.n_lasting.min(block.lasting.len()));
    not_undone(connection, &lasting)
}

fn not_undone(connection: &mut Connection, lasting: &[String]) -> Result<(), Ended> {
    if lasting.is_empty() {
        return Ok(());
    }
    let text = format!("what {} did is not undone by ROLLBACK", lasting.join(", "));
    connection.writer.put(errors::warning("01000", &text))
}

/// Whether a statement is for a block only, and changes nothing outside of one.
pub(in crate::wire) fn for_block(statement: Option<&Statement>) -> Option<&'static str> {
    match statement.map(|statement| &statement.body) {
        Some(Body::SetTransaction { session: false, .. }) => Some("SET TRANSACTION"),
        _ if local(statement) => Some("SET LOCAL"),
        _ => None,
    }
}

/// Whether a statement is SET LOCAL.
fn local(statement: Option<&Statement>) -> bool {
    let words = |statement: &Statement| statement.text.split_whitespace().nth(1).is_some_and(|word| word.eq_ignore_ascii_case("local"));
    statement.is_some_and(|statement| matches!(statement.body, Body::SetVariable { .. }) && words(statement))
}

/// COMMIT: what was put off is done, and what was for the block only goes. Errs if it cannot be kept: then nothing was done.
pub(in crate::wire) async fn commit(connection: &mut Connection) -> Result<()> {
    let block = std::mem::take(&mut connection.block);
    let committed = connection.session.commit().await;
    if committed.is_err() {
        *connection.session.variables().lock() = block.before;
        connection.portals.retain(|_, portal| !portal.uncommitted);
        return committed;
    }
    connection.portals.retain(|_, portal| portal.hold);
    connection.portals.values_mut().for_each(|portal| portal.uncommitted = false);
    let mut variables = connection.session.variables().lock();
    for name in block.local.iter().map(String::as_str).chain(OWN) {
        // A name of the client's own may not have been there before.
        let value = block.before.show(name).ok();
        variables.set(name, value.as_deref())?;
    }
    drop(variables);
    block.later.into_iter().for_each(|later| do_now(connection, later));
    Ok(())
}

/// ROLLBACK: nothing was done, and the settings go back; what stays is said.
pub(in crate::wire) async fn roll_back(connection: &mut Connection) -> Result<(), Ended> {
    let block = std::mem::take(&mut connection.block);
    *connection.session.variables().lock() = block.before;
    connection.portals.retain(|_, portal| portal.hold && !portal.uncommitted);
    connection.session.roll_back().await;
    // That objects are gone is what the client has asked for.
    connection.session.take_notices();
    not_undone(connection, &block.lasting)
}

/// Does what waits for no transaction.
pub(in crate::wire) fn do_now(connection: &Connection, later: Later) {
    match later {
        Later::Listen(channel) => connection.ear.listen(channel),
        Later::Unlisten(channel) => connection.ear.unlisten(channel.as_deref()),
        Later::Notify(channel, payload) => connection.ear.say(channel, payload),
    }
}

/// What Postgres says of a statement for a block outside of one, where it changes nothing.
pub(in crate::wire) fn outside(statement: &str) -> Error {
    Error::OutsideTransaction { statement: statement.to_owned() }
}
