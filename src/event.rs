//! What flows between operators: rows, and the marks of time and of order that travel among them.

use datafusion::arrow::record_batch::RecordBatch;

/// The watermark that a source sends when it ends: every window fires.
pub const END_OF_TIME_US: i64 = i64::MAX;

/// One item of an operator's input or output, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// Rows, in the order of their source.
    Rows(RecordBatch),
    /// Rows that are taken back and rows that come, in one step: who reads sees both or neither. Only queries that update their
    /// answer (EMIT CHANGES) have it; `gone` holds rows that came before, `come` those that are valid from now on.
    Changes {
        /// The rows taken back, one for each time it came.
        gone: RecordBatch,
        /// The rows that come.
        come: RecordBatch,
    },
    /// No more rows with an event time below this one are expected (µs); never goes back.
    Watermark(i64),
    /// Everything before it belongs to this epoch's checkpoint.
    Barrier(u64),
    /// A live source has waited its idle_timeout for input: it holds nobody's watermark back until its next row.
    Idle,
    /// The input has ended, after a watermark at the end of time.
    End,
}
