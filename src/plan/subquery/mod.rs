//! Subqueries, sets and rows of values, where DataFusion plans other things or none.

pub(super) mod below;
pub(super) mod beside;
pub(super) mod by_row;
pub mod elements;
pub(super) mod grouped;
pub(super) mod joined;
pub(super) mod list_value;
pub(super) mod lone_row;
pub(super) mod membership;
mod met;
pub(super) mod never_null;
pub(super) mod row_values;
pub(super) mod rowless;
pub(super) mod set_all;
pub(super) mod values;
pub(super) mod written_rows;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

/// The aggregates of this room.
pub(super) fn aggregates() -> [Arc<AggregateUDF>; 1] {
    [lone_row::function()]
}
