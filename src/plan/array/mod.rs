//! Arrays as in Postgres: how they are written, cut, numbered and compared with.

mod any_all;
pub(super) mod literals;
pub(super) mod order;
pub(super) mod ordinality;
pub(super) mod series;
pub(super) mod nulls;
pub(super) mod slices;
pub(super) mod subscripts;
pub mod text;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    any_all::functions()
        .into_iter()
        .chain(literals::functions())
        .chain(nulls::functions())
        .chain(order::functions())
        .chain(ordinality::functions())
        .chain(series::functions())
        .chain(slices::functions())
}
