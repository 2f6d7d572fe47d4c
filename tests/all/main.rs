//! All integration tests in one binary, as each binary links DataFusion once more: the rooms, the SQL, the generated pages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod answers;
mod bytes;
mod catalogue;
mod changes;
mod client;
mod counts;
mod docs;
mod driving;
mod examples;
mod ffmpeg;
mod files;
mod function_page;
mod idle;
mod joins;
mod json;
mod limits;
mod media;
mod messages;
mod model_calls;
mod nexmark;
mod oracle;
mod patterns;
mod planning;
mod prepared;
mod random;
mod replace;
mod replay;
mod restart;
mod rooms;
mod row_files;
mod rows;
mod semantics;
mod sql;
mod statements;
mod streams;
mod tables;
mod tracks;
mod transactions;
mod value_forms;
mod windows;
mod zones;
