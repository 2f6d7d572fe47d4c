//! Numbers as Postgres reckons with them: exactly, or with an error.

mod absolute;
pub(super) mod beside_floats;
pub mod checked;
pub(super) mod decimal_places;
mod div;
pub(super) mod formula_call;
pub(super) mod literals;
mod logarithms;
pub(super) mod numerics;
pub(super) mod round;
mod template;
pub(super) mod to_hex;
mod whole;
mod width_bucket;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    absolute::functions()
        .into_iter()
        .chain(div::functions())
        .chain(to_hex::functions())
        .chain(logarithms::functions())
        .chain(round::functions())
        .chain(template::functions())
        .chain(whole::functions())
        .chain(width_bucket::functions())
}
