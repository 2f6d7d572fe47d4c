//! Late rows: dropped, counted, and the last of them kept to be looked at, whoever drops them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::frame::{is_frame, without_pixels};

use crate::metrics::{JobCounters, LateRow};

/// Counts the rows of a batch that an operator drops, and keeps them, without their pixels. `times` are the rows' event times.
pub(super) fn late_rows(
    counters: &JobCounters,
    sources: &str,
    operator: &'static str,
    times: &TimestampMicrosecondArray,
    watermark_us: i64,
    rows: &RecordBatch,
    mut late_at: Vec<u32>,
) -> Result<()> {
    if late_at.is_empty() {
        return Ok(());
    }
    counters.n_late.add(late_at.len() as u64);
    // Older ones would be pushed out at once.
    late_at.drain(..late_at.len().saturating_sub(LateRow::MOST));
    let columns = rows
        .columns()
        .iter()
        .map(|c| -> ArrayRef {
            if is_frame(c.data_type()) { Arc::new(without_pixels(c.as_struct())) } else { Arc::clone(c) }
        })
        .collect();
    let dropped = take_record_batch(&RecordBatch::try_new(rows.schema(), columns)?, &UInt32Array::from(late_at.clone()))?;
    let kept = late_at.iter().enumerate().map(|(row, at)| LateRow {
        source: sources.to_owned(),
        ts_us: times.is_valid(*at as usize).then(|| times.value(*at as usize)),
        watermark_us,
        operator,
        row: dropped.slice(row, 1),
    });
    counters.late_rows.lock().keep(kept);
    Ok(())
}
