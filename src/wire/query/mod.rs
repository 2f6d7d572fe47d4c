//! Queries as Postgres clients write them, rewritten by their structure, and never by their text, to what the planner reads.

mod arrays;
mod distinct;
pub(super) mod empty;
pub(super) mod empty_types;
pub(super) mod forms;
mod json_forms;
pub(super) mod look_ups;
mod order;
mod patterns;
mod quantified;
pub(super) mod rewrite;
mod system_columns;
