//! Aggregates as Postgres has them, where DataFusion's are others or none.

pub(super) mod argument_names;
mod intervals;
mod max_by;
mod mean;
mod min_max;
pub mod moving;
pub(super) mod ordered_sets;
pub(super) mod sum;
pub(super) mod zero_sign;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    ordered_sets::functions().into_iter()
}

/// The aggregates of this room, one line a file.
pub(super) fn aggregates() -> impl Iterator<Item = Arc<AggregateUDF>> {
    max_by::functions().into_iter().chain(min_max::functions()).chain([sum::function(), mean::function()])
}
