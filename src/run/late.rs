//! Late rows: dropped, counted, and the last of them kept to be looked at.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::frame::{is_frame, without_pixels};

use crate::metrics::{JobCounters, LateRow};

/// Keeps those rows of a batch that an operator drops, without their pixels. `time` is the index of the event time.
pub(super) fn late_rows(
    counters: &JobCounters,
    sources: &str,
    operator: &'static str,
    time: usize,
    watermark_us: i64,
    rows: &RecordBatch,
    mut late: Vec<u32>,
) -> Result<()> {
    // Older ones would be pushed out at once.
    late.drain(..late.len().saturating_sub(LateRow::MOST));
    let columns = rows
        .columns()
        .iter()
        .map(|c| -> ArrayRef {
            if is_frame(c.data_type()) { Arc::new(without_pixels(c.as_struct())) } else { Arc::clone(c) }
        })
        .collect();
    let late = take_record_batch(&RecordBatch::try_new(rows.schema(), columns)?, &UInt32Array::from(late))?;
    let times = late.column(time).as_primitive::<TimestampMicrosecondType>();
    let kept = times.iter().enumerate().map(|(row, ts)| LateRow {
        source: sources.to_owned(),
        ts_us: ts,
        watermark_us,
        operator,
        row: late.slice(row, 1),
    });
    counters.late_rows.lock().keep(kept);
    Ok(())
}
