//! The order of rows by event time, for operators that look at the rows before.

use datafusion::logical_expr::LogicalPlan;
use serde::{Deserialize, Serialize};

use super::event_time;
use crate::error::Error;

/// A key of ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    /// The column.
    pub column: usize,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

/// The error for rows ordered by a column that no watermark is of; it names those of `table` that would do.
pub fn refusal(what: &str, table: &LogicalPlan) -> Error {
    let names: Vec<String> = event_time::columns_of(table)
        .into_iter()
        .filter_map(|(at, _)| table.schema().fields().get(at).map(|field| field.name().clone()))
        .collect();
    let hint = if names.is_empty() {
        "No column of this query carries event time: it is a source's ts passed on unchanged.".to_owned()
    } else {
        format!("Use an event time column: {}.", names.join(", "))
    };
    Error::refused(format!("{what} in a continuous query is ordered by event time, ascending"), hint)
}
