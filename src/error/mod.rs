//! Every error a user may read: its message, its hint and its SQLSTATE, on one page.

mod known;
mod reported;
mod type_names;
mod wrong_types;

use std::fmt;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use framesql_udfs::model::error::ModelError;

/// The result of everything that is not an expression or a plan.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the words of Postgres: lower case, no full stop, the object named with its kind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not SQL that framesql reads (42601).
    #[error("{message}")]
    Syntax {
        /// What was expected, and where.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// A named object is missing: 42P01 for relations, 42704 for others.
    #[error("{kind} \"{name}\" does not exist")]
    NotFound {
        /// The kind of object, in SQL's words: "source", "materialized view".
        kind: &'static str,
        /// The name as the user wrote it.
        name: String,
    },
    /// A name is taken: 42P07 for relations, see the code.
    #[error("{kind} \"{name}\" already exists")]
    Duplicate {
        /// The kind of the object that has the name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// No function has that name and those arguments (42883).
    #[error("{message}")]
    NoFunction {
        /// The call, as Postgres says it.
        message: String,
        /// What it takes.
        hint: String,
    },
    /// A value has no field of that name, or none for queries (42703).
    #[error("column \"{field}\" not found in data type {of}")]
    NoField {
        /// The field.
        field: String,
        /// The type.
        of: &'static str,
        /// The fields that there are.
        hint: &'static str,
    },
    /// A table or view would have two columns of one name (42701).
    #[error("column \"{name}\" specified more than once")]
    DuplicateColumn {
        /// The column.
        name: String,
    },
    /// A statement about another kind of object (42809).
    #[error("\"{name}\" is not a {expected}")]
    WrongKind {
        /// What stands before the kind in the statement that is right for the object, if there is one.
        statement: Option<&'static str>,
        /// The object named.
        name: String,
        /// The kind that the statement is about.
        expected: &'static str,
        /// The kind that it is.
        found: &'static str,
    },
    /// An option of a WITH list, or a setting, is not known or has a value it cannot take (22023).
    #[error("{message}")]
    Option {
        /// Which option, and why not.
        message: String,
        /// What it may be.
        hint: Option<String>,
    },
    /// A statement or clause that Postgres or Flink may know and framesql does not (0A000).
    #[error("{what} is not supported")]
    Unsupported {
        /// The clause, as the user would name it.
        what: String,
        /// The way out.
        hint: Option<String>,
    },
    /// A query that can be read but would never answer, or not what it says (42P20 as for windows, else 42601).
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// The way out.
        hint: String,
    },
    /// Other objects are built on the one to be dropped (2BP01).
    #[error("cannot drop {kind} {name} because other objects depend on it")]
    Dependents {
        /// The kind of the object to be dropped.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What depends on it, named with its kind.
        dependents: Vec<String>,
    },
    /// A file or camera cannot be read as a source (08001 unreachable, 58030 I/O, 0A000 codec): see the code.
    #[error("{message}")]
    Media {
        /// The SQLSTATE, as it depends on the cause.
        code: &'static str,
        /// What was opened, and what was found.
        message: String,
        /// What would help.
        hint: Option<String>,
    },
    /// A file outside the directories that `serve --files` names (42501).
    #[error("permission denied for file {path}")]
    Fenced {
        /// The path as resolved.
        path: String,
    },
    /// The user may not do this (42501).
    #[error("{message}")]
    Denied {
        /// What is denied.
        message: String,
        /// Who may.
        hint: Option<String>,
    },
    /// A client is not let in: 28P01 for a wrong password, 28000 for all else.
    #[error("{message}")]
    Login {
        /// The SQLSTATE, as it depends on the cause.
        code: &'static str,
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// An object is in use, or not in the state that the statement needs (55000).
    #[error("{message}")]
    State {
        /// What, and why not now.
        message: String,
        /// What to do first.
        hint: Option<String>,
    },
    /// The user, a client that vanished, or DROP ended the query (57014).
    #[error("canceling statement due to {reason}")]
    Cancelled {
        /// "user request", "statement timeout".
        reason: &'static str,
    },
    /// The operating system refused (58030).
    #[error("{message}: {source}")]
    Io {
        /// What was being done.
        message: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The client sent what the protocol does not allow there (08P01).
    #[error("{0}")]
    Protocol(String),
    /// A value that its column cannot hold, or a row that its table cannot: see the code (23505, 23502, 22001, 22P02, 22P04).
    #[error("{message}")]
    Data {
        /// The SQLSTATE, as it depends on the cause.
        code: &'static str,
        /// What, as Postgres says it.
        message: String,
        /// Which row or key, or where in a COPY.
        detail: Option<String>,
    },
    /// A row that a constraint of its table does not allow: see the code (23505, 23502).
    #[error("{message}")]
    Constraint {
        /// The SQLSTATE, as it depends on the constraint.
        code: &'static str,
        /// What, as Postgres says it.
        message: String,
        /// Which row or key.
        detail: Option<String>,
        /// Whose constraint.
        violated: Box<Violated>,
    },
    /// A statement inside a transaction block that has failed (25P02).
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    FailedTransaction,
    /// A statement that is only for a transaction block (25P01).
    #[error("{statement} can only be used in transaction blocks")]
    OutsideTransaction {
        /// The statement, in upper case.
        statement: String,
    },
    /// The server is full (53300).
    #[error("sorry, too many clients already")]
    TooManyClients,
    /// The server stops (57P01).
    #[error("terminating connection due to administrator command")]
    ShuttingDown,
    /// A value that its Postgres type has no room for (22003), or that has none (XX000): see the code.
    #[error("{message}")]
    Encode {
        /// The SQLSTATE, as it depends on the cause.
        code: &'static str,
        /// What could not be written.
        message: String,
    },
    /// The job of a view failed: whoever reads the view is told why.
    #[error("materialized view \"{name}\" has stopped: {message}")]
    Failed {
        /// The view.
        name: String,
        /// The SQLSTATE of what failed.
        code: &'static str,
        /// What failed.
        message: String,
    },
    /// A model is missing, cannot be loaded, or fails: see its code.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A thread or channel of ours ended when it should not (XX000).
    #[error("internal error: {0}")]
    Internal(String),
    /// What DataFusion or Arrow reported; the code depends on its root.
    #[error("{}", reported::text(.0))]
    Engine(#[source] Box<DataFusionError>),
}

/// What a constraint is of; a program asks for these by name.
#[derive(Debug)]
pub struct Violated {
    /// The table.
    pub table: String,
    /// The column, of a constraint of one.
    pub column: Option<String>,
    /// The constraint, if it has a name.
    pub constraint: Option<String>,
}

/// What Arrow and DataFusion call types and values, in a message of ours, in the words of SQL.
pub fn in_sql(shown: impl fmt::Display) -> String {
    type_names::in_sql(&shown.to_string())
}

impl Error {
    /// The SQLSTATE that Postgres gives for the same mistake.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::Syntax { .. } => "42601",
            Error::NotFound { kind: "source" | "table" | "view" | "materialized view" | "gallery" | "relation", .. } => "42P01",
            Error::NotFound { kind: "prepared statement", .. } => "26000",
            Error::NotFound { kind: "cursor" | "portal", .. } => "34000",
            Error::NotFound { kind: "column", .. } | Error::NoField { .. } => "42703",
            Error::NotFound { kind: "schema", .. } => "3F000",
            Error::NotFound { .. } => "42704",
            Error::Duplicate { kind: "role" | "model", .. } => "42710",
            Error::Duplicate { kind: "prepared statement", .. } => "42P05",
            Error::Duplicate { kind: "cursor", .. } => "42P03",
            Error::Duplicate { .. } => "42P07",
            Error::NoFunction { .. } => "42883",
            Error::DuplicateColumn { .. } => "42701",
            Error::WrongKind { .. } => "42809",
            Error::Option { .. } => "22023",
            Error::Unsupported { .. } => "0A000",
            Error::Refused { .. } => "42P20",
            Error::Dependents { .. } => "2BP01",
            Error::Media { code, .. } => code,
            Error::Fenced { .. } | Error::Denied { .. } => "42501",
            Error::Login { code, .. } => code,
            Error::State { .. } => "55000",
            Error::Cancelled { .. } => "57014",
            Error::Io { .. } => "58030",
            Error::Protocol(_) => "08P01",
            Error::FailedTransaction => "25P02",
            Error::OutsideTransaction { .. } => "25P01",
            Error::TooManyClients => "53300",
            Error::ShuttingDown => "57P01",
            Error::Encode { code, .. } | Error::Failed { code, .. } | Error::Data { code, .. } | Error::Constraint { code, .. } => code,
            Error::Model(e) => e.sqlstate(),
            Error::Internal(_) => "XX000",
            Error::Engine(e) => reported::sqlstate(e),
        }
    }

    /// One sentence that says what to do, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Syntax { hint, .. }
            | Error::Option { hint, .. }
            | Error::Unsupported { hint, .. }
            | Error::Media { hint, .. }
            | Error::Denied { hint, .. }
            | Error::Login { hint, .. }
            | Error::State { hint, .. } => hint.clone(),
            Error::Refused { hint, .. } | Error::NoFunction { hint, .. } => Some(hint.clone()),
            Error::NoField { hint, .. } => Some((*hint).to_owned()),
            Error::Model(e) => e.hint(),
            Error::WrongKind { statement: Some(statement), found, name, .. } => {
                Some(format!("Use {statement} {} {name}.", found.to_uppercase()))
            }
            Error::DuplicateColumn { .. } => Some("Give it another name with AS.".into()),
            Error::Dependents { .. } => Some("Use DROP ... CASCADE to drop the dependent objects too.".into()),
            Error::Failed { name, .. } => Some(format!("Mend the cause, then DROP MATERIALIZED VIEW {name} and create it again.")),
            Error::Fenced { .. } => Some("Start framesql with --files naming a directory above it.".into()),
            Error::Engine(e) => reported::hint(e),
            _ => None,
        }
    }

    /// More than the message has room for: the list of dependents.
    pub fn detail(&self) -> Option<String> {
        match self {
            Error::Dependents { kind, name, dependents } => {
                Some(dependents.iter().map(|d| format!("{d} depends on {kind} {name}")).collect::<Vec<_>>().join("\n"))
            }
            Error::Data { detail, .. } | Error::Constraint { detail, .. } => detail.clone(),
            _ => None,
        }
    }

    /// A clause that is not supported, with the way out.
    pub fn unsupported(what: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Unsupported { what: what.into(), hint: Some(hint.into()) }
    }

    /// A query that is refused for a reason, with the way out.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Refused { message: message.into(), hint: hint.into() }
    }

    /// A failed call of the operating system, with what was being done.
    pub fn io(message: impl Into<String>, source: std::io::Error) -> Error {
        Error::Io { message: message.into(), source }
    }
}

/// Ours travels through DataFusion as External and comes back as itself.
impl From<DataFusionError> for Error {
    fn from(e: DataFusionError) -> Error {
        match e {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(inner) => match inner.downcast::<ModelError>() {
                    Ok(model) => Error::Model(*model),
                    Err(inner) => Error::Engine(Box::new(DataFusionError::External(inner))),
                },
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Error::from(*inner),
            DataFusionError::ArrowError(e, backtrace) => match *e {
                ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                    Ok(ours) => *ours,
                    Err(inner) => Error::Engine(Box::new(DataFusionError::External(inner))),
                },
                e => Error::Engine(Box::new(DataFusionError::ArrowError(Box::new(e), backtrace))),
            },
            DataFusionError::Collection(mut all) if !all.is_empty() => Error::from(all.swap_remove(0)),
            e => Error::Engine(Box::new(e)),
        }
    }
}

impl From<ArrowError> for Error {
    fn from(e: ArrowError) -> Error {
        Error::from(DataFusionError::from(e))
    }
}

impl From<Error> for DataFusionError {
    fn from(e: Error) -> DataFusionError {
        match e {
            Error::Engine(e) => *e,
            e => DataFusionError::External(Box::new(e)),
        }
    }
}
