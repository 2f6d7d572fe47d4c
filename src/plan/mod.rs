//! SQL to a plan: what must happen.

pub mod checked;
pub mod column_names;
mod common_expressions;
pub mod event_time;
pub mod infer;
mod length;
mod named;
pub mod parse;
mod pixels;
pub mod postgres_types;
pub mod query;
pub mod rewrite;
mod selection;
mod sum;
pub mod table;
pub mod unnest;
pub mod window;
mod window_of_window;
