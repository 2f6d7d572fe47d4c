//! Pictures to batches of rows: the schema, the batch builder, the video source as something to read from.

pub mod batch;
mod decoder;
pub mod live;
mod order;
mod piped;
pub mod range;
pub mod reader;
mod row_pace;
pub mod row_reader;
pub mod rows;
pub mod source;
pub mod video;
mod watermark;
