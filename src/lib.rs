//! framesql: a SQL streaming query engine for video. The rooms below stand in the order of the data; each uses only those above it.

/// Every error a user may read.
pub mod error;
/// Every setting.
pub mod settings;
/// Every counter.
pub mod metrics;
/// The only reader of the wall clock.
pub mod clock;
/// Which threads come first.
pub mod priority;
/// What flows between operators.
pub mod event;
/// Packets in: one file a container or camera.
pub mod capture;
/// Packets to pictures: one file a format.
pub mod decode;
/// Pictures to batches of rows, and what the rest reads rows from.
pub mod frame;
/// SQL to a plan: what must happen.
pub mod plan;
/// A plan to results: how it happens.
pub mod run;
/// Results pushed out: one file a sink.
pub mod sink;
/// Results kept: materialized views and subscriptions.
pub mod view;
/// The hall: catalogue, jobs, statements.
pub mod engine;
/// Results asked for: the only room that knows Postgres.
pub mod wire;
/// One file a subcommand.
pub mod cli;
