//! Transaction blocks: the states that Postgres has, and which statement leads from one to the next.

use datafusion::sql::sqlparser::ast;
use pgwire::messages::response::TransactionStatus;

use crate::error::{Error, Result};
use crate::plan::parse::{Body, Statement};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::wire) enum Transaction {
    /// Each statement for itself.
    #[default]
    Idle,
    /// Within a message of several statements, or before Sync: they are one transaction unless they say otherwise.
    Implicit,
    /// After BEGIN.
    Open,
    /// After an error in a block: only its end, or a way back to a savepoint, is heard.
    Failed,
}

/// How a transaction reads, and whether it writes, where it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::wire) struct Modes {
    /// ISOLATION LEVEL, lower case.
    pub(in crate::wire) isolation: Option<&'static str>,
    /// READ ONLY, or READ WRITE.
    pub(in crate::wire) read_only: Option<bool>,
}

/// A statement that begins, ends or marks a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Control {
    /// BEGIN, with its command tag.
    Begin(&'static str, Modes),
    /// COMMIT; true if another block follows at once.
    Commit(bool),
    /// ROLLBACK; true if another block follows at once.
    Rollback(bool),
    /// ROLLBACK TO SAVEPOINT.
    RollbackToSavepoint(String),
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE SAVEPOINT.
    Release(String),
}

/// What a control statement answers.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::wire) struct Controlled {
    /// The command tag.
    pub(in crate::wire) tag: &'static str,
    /// SQLSTATE and text of a warning.
    pub(in crate::wire) warning: Option<(&'static str, &'static str)>,
}

/// Whether the statement is one of transaction control.
pub(in crate::wire) fn control(statement: &Statement) -> Option<Control> {
    let Body::Other(statement) = &statement.body else { return None };
    let folded = |name: &ast::Ident| if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    match statement.as_ref() {
        ast::Statement::StartTransaction { begin, modes, .. } => {
            Some(Control::Begin(if *begin { "BEGIN" } else { "START TRANSACTION" }, modes_of(modes)))
        }
        ast::Statement::Commit { chain, .. } => Some(Control::Commit(*chain)),
        ast::Statement::Rollback { savepoint: Some(name), .. } => Some(Control::RollbackToSavepoint(folded(name))),
        ast::Statement::Rollback { chain, .. } => Some(Control::Rollback(*chain)),
        ast::Statement::Savepoint { name } => Some(Control::Savepoint(folded(name))),
        ast::Statement::ReleaseSavepoint { name } => Some(Control::Release(folded(name))),
        _ => None,
    }
}

fn modes_of(said: &[ast::TransactionMode]) -> Modes {
    let mut modes = Modes::default();
    for mode in said {
        match mode {
            ast::TransactionMode::AccessMode(mode) => modes.read_only = Some(*mode == ast::TransactionAccessMode::ReadOnly),
            ast::TransactionMode::IsolationLevel(level) => {
                modes.isolation = Some(match level {
                    ast::TransactionIsolationLevel::ReadUncommitted => "read uncommitted",
                    ast::TransactionIsolationLevel::ReadCommitted => "read committed",
                    ast::TransactionIsolationLevel::RepeatableRead => "repeatable read",
                    ast::TransactionIsolationLevel::Serializable | ast::TransactionIsolationLevel::Snapshot => "serializable",
                });
            }
        }
    }
    modes
}

impl Transaction {
    /// The byte of ReadyForQuery.
    pub(in crate::wire) fn status(self) -> TransactionStatus {
        match self {
            Transaction::Idle => TransactionStatus::Idle,
            Transaction::Implicit | Transaction::Open => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        }
    }

    /// What pg_stat_activity says of a connection that waits for its next statement.
    pub(in crate::wire) fn waiting(self) -> &'static str {
        match self {
            Transaction::Idle => "idle",
            Transaction::Implicit | Transaction::Open => "idle in transaction",
            Transaction::Failed => "idle in transaction (aborted)",
        }
    }

    /// Whether a block is open, failed or not.
    pub(in crate::wire) fn open(self) -> bool {
        self != Transaction::Idle
    }

    /// A statement has failed.
    pub(in crate::wire) fn failed(&mut self) {
        if self.open() {
            *self = Transaction::Failed;
        }
    }

    /// Errs with 25P02 if the block has failed: for every statement that does not end it.
    pub(in crate::wire) fn check(self) -> Result<()> {
        if self == Transaction::Failed { Err(Error::FailedTransaction) } else { Ok(()) }
    }

    /// Runs a control statement.
    pub(in crate::wire) fn run(&mut self, control: &Control) -> Result<Controlled> {
        const NONE: Option<(&str, &str)> = Some(("25P01", "there is no transaction in progress"));
        let chained = |chain: &bool| if *chain { Transaction::Open } else { Transaction::Idle };
        let (next, tag, warning) = match (control, *self) {
            // What came before it in its message is part of the block.
            (Control::Begin(tag, _), Transaction::Idle | Transaction::Implicit) => (Transaction::Open, *tag, None),
            (Control::Begin(tag, _), Transaction::Open) => {
                (Transaction::Open, *tag, Some(("25001", "there is already a transaction in progress")))
            }
            (Control::Commit(true), Transaction::Idle | Transaction::Implicit) => return Err(outside("COMMIT AND CHAIN")),
            (Control::Rollback(true), Transaction::Idle | Transaction::Implicit) => return Err(outside("ROLLBACK AND CHAIN")),
            (Control::Commit(chain), Transaction::Open) => (chained(chain), "COMMIT", None),
            (Control::Commit(chain), Transaction::Failed) => (chained(chain), "ROLLBACK", None),
            (Control::Commit(_), Transaction::Idle | Transaction::Implicit) => (Transaction::Idle, "COMMIT", NONE),
            (Control::Rollback(_), Transaction::Idle | Transaction::Implicit) => (Transaction::Idle, "ROLLBACK", NONE),
            (Control::Rollback(chain), _) => (chained(chain), "ROLLBACK", None),
            (Control::RollbackToSavepoint(_), Transaction::Open | Transaction::Failed) => (Transaction::Open, "ROLLBACK", None),
            (Control::Savepoint(_), Transaction::Open) => (Transaction::Open, "SAVEPOINT", None),
            (Control::Release(_), Transaction::Open) => (Transaction::Open, "RELEASE", None),
            (Control::RollbackToSavepoint(_), Transaction::Idle | Transaction::Implicit) => return Err(outside("ROLLBACK TO SAVEPOINT")),
            (Control::Savepoint(_), Transaction::Idle | Transaction::Implicit) => return Err(outside("SAVEPOINT")),
            (Control::Release(_), Transaction::Idle | Transaction::Implicit) => return Err(outside("RELEASE SAVEPOINT")),
            (Control::Begin(..) | Control::Savepoint(_) | Control::Release(_), Transaction::Failed) => {
                return Err(Error::FailedTransaction);
            }
        };
        *self = next;
        Ok(Controlled { tag, warning })
    }
}

fn outside(statement: &str) -> Error {
    Error::OutsideTransaction { statement: statement.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse;

    #[test]
    fn a_failed_block_ends_with_rollback_whatever_is_said() {
        let mut transaction = Transaction::default();
        for (sql, tag) in [("start transaction", "START TRANSACTION"), ("savepoint a", "SAVEPOINT"), ("release a", "RELEASE")] {
            let control = control(&parse(sql).unwrap()[0]).unwrap();
            assert_eq!(transaction.run(&control).unwrap().tag, tag);
        }
        transaction.failed();
        assert!(transaction.check().is_err());
        let end = control(&parse("end").unwrap()[0]).unwrap();
        assert_eq!(transaction.run(&end).unwrap(), Controlled { tag: "ROLLBACK", warning: None });
        assert_eq!(transaction.run(&end).unwrap().warning.unwrap().0, "25P01");
    }
}
