//! Times as in Postgres: what texts say, what the clocks of a zone show, and what lies between two moments.

mod age;
mod bins;
pub(super) mod calendar_part;
pub mod clocks;
pub(super) mod duration_part;
mod epoch;
pub(super) mod fields;
pub(super) mod interval;
mod justify;
pub(super) mod microseconds;
pub(super) mod moment;
mod moment_fields;
pub(super) mod moments_named;
pub(super) mod overlaps;
pub(super) mod rounded;
pub(super) mod session_zone;
mod template;
mod time_zone;
mod truncate;
mod written;
pub(super) mod zoned;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    age::functions()
        .into_iter()
        .chain(bins::functions())
        .chain(calendar_part::functions())
        .chain(clocks::functions())
        .chain(duration_part::functions())
        .chain(epoch::functions())
        .chain(interval::functions())
        .chain(justify::functions())
        .chain(overlaps::functions())
        .chain(rounded::functions())
        .chain(time_zone::functions())
        .chain(truncate::functions())
        .chain(written::functions())
        .chain(zoned::functions())
}
