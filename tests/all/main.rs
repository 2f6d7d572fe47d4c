//! All integration tests in one binary, as each binary links DataFusion once more: the rooms, the SQL, the generated pages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod answers;
mod counts;
mod docs;
mod files;
mod media;
mod oracle;
mod random;
mod replay;
mod rooms;
mod rows;
mod sql;
mod streams;
mod windows;
