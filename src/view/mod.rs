//! Results kept: materialized views, and those who follow them.

pub mod change;
mod claims;
mod commits;
pub mod constraint;
mod follower;
pub mod frozen;
pub mod held;
pub mod materialized;
mod net;
pub mod sealed;
pub mod source;
pub mod table;
mod updating;
