//! What a view holds, as a checkpoint keeps it and a restored view takes it up.

use datafusion::arrow::record_batch::RecordBatch;

/// What a view holds, as a checkpoint keeps it.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The number of the first row; rows of a view that takes rows back have none.
    pub first_row: u64,
    /// The rows.
    pub rows: Vec<RecordBatch>,
    /// The number of the row behind the last.
    pub next_row: u64,
    /// Up to where it is complete, µs.
    pub watermark_us: Option<i64>,
}
