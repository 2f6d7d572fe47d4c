//! Values between Arrow and the client: their types, their texts and binary forms, parameters and COPY.

pub(super) mod binary;
mod binary_rows;
pub(super) mod column_types;
pub(super) mod columns;
pub(super) mod copy;
pub(super) mod copy_in;
pub(super) mod inferred;
pub(super) mod parameters;
pub(super) mod typed;
pub(super) mod written;
