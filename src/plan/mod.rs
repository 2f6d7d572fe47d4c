//! SQL to a plan: what must happen.

pub mod asof;
pub mod changelog;
mod checked;
pub mod column_names;
pub mod column_type;
pub mod event_time;
mod frame_text;
pub mod infer;
pub mod join;
mod length;
mod named;
pub mod order;
pub mod over;
pub mod parse;
pub mod pattern;
mod pixels;
pub mod postgres_types;
pub mod query;
pub mod rewrite;
pub mod system_time;
pub mod table;
pub mod topn_updating;
pub mod unnest;
pub mod window;
