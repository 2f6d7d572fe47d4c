//! SQL to a plan: what must happen.

mod bin;
mod checked;
pub mod column_names;
pub mod event_time;
pub mod grouping;
pub mod infer;
mod length;
mod max_by;
mod named;
pub mod parse;
mod pixels;
pub mod postgres_types;
pub mod query;
pub mod rewrite;
pub mod table;
pub mod unnest;
pub mod window;
mod window_function;
