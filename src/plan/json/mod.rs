//! json and jsonb as in Postgres: their operators, what makes them, changes them and reads them.

pub(super) mod aggregates;
mod build;
mod edit;
pub(super) mod operators;
pub(super) mod subscripts;
mod text;
pub(super) mod tree;
pub mod values;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    operators::functions().chain(build::functions()).chain(edit::functions()).chain(aggregates::functions())
}
