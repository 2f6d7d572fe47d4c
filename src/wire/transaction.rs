//! Transaction blocks: the states that Postgres has, and which statement leads from one to the next.

use datafusion::sql::sqlparser::ast;
use pgwire::messages::response::TransactionStatus;

use crate::error::{Error, Result};
use crate::plan::parse::{Body, Statement};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transaction {
    /// Each statement for itself.
    #[default]
    Idle,
    /// After BEGIN.
    Open,
    /// After an error in a block: only its end, or a way back to a savepoint, is heard.
    Failed,
}

/// A statement that begins, ends or marks a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Begin(&'static str),
    Commit,
    Rollback,
    RollbackToSavepoint,
    Savepoint,
    Release,
}

/// What a control statement answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Controlled {
    /// The command tag.
    pub(super) tag: &'static str,
    /// SQLSTATE and text of a warning.
    pub(super) warning: Option<(&'static str, &'static str)>,
}

/// Whether the statement is one of transaction control.
pub(super) fn control(statement: &Statement) -> Option<Control> {
    let Body::Other(statement) = &statement.body else { return None };
    match statement.as_ref() {
        ast::Statement::StartTransaction { begin, .. } => Some(Control::Begin(if *begin { "BEGIN" } else { "START TRANSACTION" })),
        ast::Statement::Commit { .. } => Some(Control::Commit),
        ast::Statement::Rollback { savepoint: Some(_), .. } => Some(Control::RollbackToSavepoint),
        ast::Statement::Rollback { .. } => Some(Control::Rollback),
        ast::Statement::Savepoint { .. } => Some(Control::Savepoint),
        ast::Statement::ReleaseSavepoint { .. } => Some(Control::Release),
        _ => None,
    }
}

impl Transaction {
    /// The byte of ReadyForQuery.
    pub(super) fn status(self) -> TransactionStatus {
        match self {
            Transaction::Idle => TransactionStatus::Idle,
            Transaction::Open => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        }
    }

    /// Whether a block is open, failed or not.
    pub(super) fn open(self) -> bool {
        self != Transaction::Idle
    }

    /// A statement has failed.
    pub(super) fn failed(&mut self) {
        if self.open() {
            *self = Transaction::Failed;
        }
    }

    /// Errs with 25P02 if the block has failed: for every statement that does not end it.
    pub(super) fn check(self) -> Result<()> {
        if self == Transaction::Failed { Err(Error::FailedTransaction) } else { Ok(()) }
    }

    /// Runs a control statement.
    pub(super) fn run(&mut self, control: Control) -> Result<Controlled> {
        const NONE: Option<(&str, &str)> = Some(("25P01", "there is no transaction in progress"));
        let (next, tag, warning) = match (control, *self) {
            (Control::Begin(tag), Transaction::Idle) => (Transaction::Open, tag, None),
            (Control::Begin(tag), Transaction::Open) => {
                (Transaction::Open, tag, Some(("25001", "there is already a transaction in progress")))
            }
            (Control::Commit, Transaction::Open) => (Transaction::Idle, "COMMIT", None),
            (Control::Commit, Transaction::Failed) => (Transaction::Idle, "ROLLBACK", None),
            (Control::Commit, Transaction::Idle) => (Transaction::Idle, "COMMIT", NONE),
            (Control::Rollback, Transaction::Idle) => (Transaction::Idle, "ROLLBACK", NONE),
            (Control::Rollback, _) => (Transaction::Idle, "ROLLBACK", None),
            (Control::RollbackToSavepoint, Transaction::Open | Transaction::Failed) => (Transaction::Open, "ROLLBACK", None),
            (Control::Savepoint, Transaction::Open) => (Transaction::Open, "SAVEPOINT", None),
            (Control::Release, Transaction::Open) => (Transaction::Open, "RELEASE", None),
            (Control::RollbackToSavepoint, Transaction::Idle) => return Err(outside("ROLLBACK TO SAVEPOINT")),
            (Control::Savepoint, Transaction::Idle) => return Err(outside("SAVEPOINT")),
            (Control::Release, Transaction::Idle) => return Err(outside("RELEASE SAVEPOINT")),
            (Control::Begin(_) | Control::Savepoint | Control::Release, Transaction::Failed) => return Err(Error::FailedTransaction),
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
            assert_eq!(transaction.run(control).unwrap().tag, tag);
        }
        transaction.failed();
        assert!(transaction.check().is_err());
        let end = control(&parse("end").unwrap()[0]).unwrap();
        assert_eq!(transaction.run(end).unwrap(), Controlled { tag: "ROLLBACK", warning: None });
        assert_eq!(transaction.run(end).unwrap().warning.unwrap().0, "25P01");
    }
}
