//! Functions of texts and of bytes as in Postgres.

mod bytes;
mod chr;
mod format;
mod length;
mod lengths;
pub(super) mod regular_expression;
mod replacement;
pub(super) mod similar;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    bytes::functions()
        .into_iter()
        .chain(chr::functions())
        .chain(format::functions())
        .chain(length::functions())
        .chain(lengths::functions())
        .chain(regular_expression::functions())
        .chain(replacement::functions())
        .chain(similar::functions())
}
