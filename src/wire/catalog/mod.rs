//! The catalogue that Postgres clients look into: pg_catalog and information_schema, their relations and their functions.

mod brought;
mod builtins;
pub(super) mod defaults;
mod describe;
mod empty;
mod fill;
pub(super) mod functions;
mod information;
pub(super) mod keys;
mod modifiers;
mod privileges;
pub(super) mod procedures;
pub(super) mod relations;
pub(super) mod schema;
pub(super) mod server;
pub(super) mod setting;
mod shapes;
pub(super) mod shared;
mod sleep;
mod table_functions;
mod timezones;
mod type_of;
