//! All integration tests in one binary, as each binary links DataFusion once more: the rooms, the SQL, the generated pages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod answers;
mod changes;
mod counts;
mod docs;
mod driving;
mod examples;
mod ffmpeg;
mod files;
mod idle;
mod joins;
mod media;
mod model_calls;
mod nexmark;
mod oracle;
mod patterns;
mod random;
mod replace;
mod replay;
mod restart;
mod rooms;
mod row_files;
mod rows;
mod sql;
mod streams;
mod tables;
mod windows;
mod zones;
