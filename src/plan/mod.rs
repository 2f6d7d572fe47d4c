//! SQL to a plan: what must happen.

pub mod parse;
