//! SQL to a plan: what must happen.

mod checked;
pub mod column_names;
pub mod event_time;
mod frame_text;
pub mod infer;
mod length;
mod named;
pub mod parse;
mod pixels;
pub mod postgres_types;
pub mod query;
pub mod rewrite;
pub mod table;
pub mod unnest;
pub mod window;
