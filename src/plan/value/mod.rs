//! Values and their types as Postgres knows them: their names, their texts, and casts between them.

pub mod casts;
mod coalesce;
pub mod column_type;
mod common_type;
pub(super) mod flag_text;
pub(super) mod frame_text;
pub(super) mod in_lists;
mod infinity;
mod numbers;
pub mod postgres_types;
pub mod read;
pub(super) mod row;
mod struct_field;
pub(super) mod text_literals;
pub mod text_type;
pub(super) mod untyped_texts;
pub(super) mod told_type;
pub(super) mod untyped;
pub(super) mod uuids;
pub mod write;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The scalar functions of this room, one line a file.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    casts::functions().into_iter().chain(common_type::functions()).chain([
        struct_field::function(),
        in_lists::function(),
        row::function(),
        uuids::function(),
    ])
}
