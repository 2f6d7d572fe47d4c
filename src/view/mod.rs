//! Results kept: materialized views, and those who follow them.

pub mod change;
mod commits;
pub mod constraint;
pub mod frozen;
pub mod held;
pub mod materialized;
mod net;
pub mod source;
pub mod table;
mod updating;
