//! SQL to a plan: what must happen.

pub mod asof;
pub mod changelog;
mod checked;
pub mod column_names;
pub mod event_time;
pub mod infer;
pub mod join;
mod length;
mod named;
pub mod parse;
mod pixels;
pub mod postgres_types;
pub mod query;
pub mod rewrite;
pub mod system_time;
pub mod table;
pub mod topn_updating;
pub mod unnest;
pub mod window;
