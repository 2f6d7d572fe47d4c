//! Portals: a statement with its parameters, perhaps halfway through its rows. A cursor is one with a name in SQL.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::prepared::Prepared;
use crate::wire::rows::Rows;

/// A statement that is ready to run, or runs. Dropping it cancels what makes its rows.
pub(in crate::wire) struct Portal {
    /// What runs.
    pub(in crate::wire) prepared: Arc<Prepared>,
    /// The values of its parameters.
    pub(in crate::wire) parameters: Vec<ScalarValue>,
    /// The formats of its columns, as in Bind.
    pub(in crate::wire) formats: Vec<i16>,
    /// How far it is.
    pub(in crate::wire) state: State,
    /// Whether it stays open after its transaction.
    pub(in crate::wire) hold: bool,
    /// Whether the transaction block that opened it has not ended: if that is rolled back, it goes.
    pub(in crate::wire) uncommitted: bool,
}

/// How far a portal is.
pub(in crate::wire) enum State {
    /// It has not run.
    Bound,
    /// Its rows are being read.
    Running {
        /// The rows that are left.
        rows: Rows,
        /// The word of its command tag.
        tag: &'static str,
    },
    /// It has answered without rows.
    Done,
}

impl Portal {
    /// A portal that has not run.
    pub(in crate::wire) fn new(prepared: Arc<Prepared>, parameters: Vec<ScalarValue>, formats: Vec<i16>) -> Portal {
        Portal { prepared, parameters, formats, state: State::Bound, hold: false, uncommitted: false }
    }
}
