//! Results kept: materialized views, and those who follow them.

pub mod change;
pub mod materialized;
mod net;
mod updating;
