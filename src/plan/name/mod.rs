//! Names as Postgres lets them be, and finds them: of columns, of fields and of arguments.

pub(super) mod arguments;
pub(super) mod columns;
pub(super) mod first_of_each;
pub(super) mod listing;
pub(super) mod named_windows;
pub(super) mod outer;
mod relations;
pub(super) mod selection;
pub(super) mod sorted;
pub(super) mod sorted_inside;
pub(super) mod stars;
pub(super) mod using;
pub(super) mod whole_row;
