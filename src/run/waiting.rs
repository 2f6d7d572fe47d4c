//! Rows that wait for the watermark, so that they go on in the order of event time: for operators that look at the rows before.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::kernels::boolean::not;
use datafusion::arrow::compute::{
    SortColumn, SortOptions, concat_batches, filter_record_batch, lexsort_to_indices, max, min, take_record_batch,
};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;

use super::Run;
use super::late::late_rows;
use super::operator::State;
use crate::event::END_OF_TIME_US;
use crate::metrics::JobCounters;
use crate::plan::order::Order;

/// Whose rows wait, for those who ask where a late row came from.
pub(super) struct Reader {
    /// Its word.
    pub(super) operator: &'static str,
    /// What is read.
    pub(super) sources: String,
    /// The names of the columns, where the rows have others than the query.
    pub(super) columns: Option<SchemaRef>,
}

/// Rows of a batch that waits, once small ones are put together.
const BATCH_ROWS: usize = 8192;
/// Batches that may wait beside full ones.
const SMALL_BATCHES: usize = 512;

/// Rows that came together, and the times between which they are, µs.
struct Batch {
    rows: RecordBatch,
    earliest_us: i64,
    latest_us: i64,
}

/// The rows, and how far the watermark is.
pub(super) struct Waiting {
    /// The event time, ascending, and what tells rows of one time apart.
    order: Vec<Order>,
    /// How far behind the watermark the time may still come, µs.
    lag_us: i64,
    schema: SchemaRef,
    /// A SELECT sees all rows before it answers: none is late, and none goes on before the end.
    continuous: bool,
    /// In the order in which they came.
    batches: Vec<Batch>,
    earliest_us: i64,
    watermark_us: i64,
    reader: Reader,
    counters: Arc<JobCounters>,
}

impl Waiting {
    pub(super) fn new(order: Vec<Order>, lag_us: i64, schema: SchemaRef, reader: Reader, run: &Run) -> Waiting {
        Waiting {
            order,
            lag_us,
            schema,
            continuous: run.continuous,
            batches: Vec::new(),
            earliest_us: i64::MAX,
            watermark_us: i64::MIN,
            reader,
            counters: Arc::clone(&run.counters),
        }
    }

    fn time(&self) -> usize {
        self.order.first().map_or(0, |o| o.column)
    }

    /// Takes rows. One that is earlier than the watermark is late, one without a time is in no order: they are dropped and counted.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<()> {
        self.counters.rows_in.add(rows.num_rows() as u64);
        let times = rows.column(self.time()).as_primitive::<TimestampMicrosecondType>();
        let late = |us: i64| self.continuous && us < self.watermark_us;
        let late_at: Vec<u32> = times.iter().enumerate().filter(|(_, us)| us.is_some_and(late)).map(|(row, _)| row as u32).collect();
        let all_in_time = late_at.is_empty() && times.null_count() == 0;
        self.counters.n_null_time.add(times.null_count() as u64);
        if !late_at.is_empty() {
            let named = match &self.reader.columns {
                Some(columns) => RecordBatch::try_new(Arc::clone(columns), rows.columns().to_vec())?,
                None => rows.clone(),
            };
            let Reader { operator, sources, .. } = &self.reader;
            late_rows(&self.counters, sources, operator, times, self.watermark_us, &named, late_at)?;
        }
        let rows = if !all_in_time {
            let kept: BooleanArray = times.iter().map(|us| Some(us.is_some_and(|us| !late(us)))).collect();
            filter_record_batch(&rows, &kept)?
        } else {
            rows
        };
        self.keep(rows);
        self.put_together()
    }

    fn keep(&mut self, rows: RecordBatch) {
        let times = rows.column(self.time()).as_primitive::<TimestampMicrosecondType>();
        if let (Some(earliest_us), Some(latest_us)) = (min(times), max(times)) {
            self.earliest_us = self.earliest_us.min(earliest_us);
            self.batches.push(Batch { rows, earliest_us, latest_us });
        }
    }

    /// Puts small neighbours together: a camera's rows come one by one, and all that wait are looked at when the watermark moves.
    fn put_together(&mut self) -> Result<()> {
        let n_rows: usize = self.batches.iter().map(|b| b.rows.num_rows()).sum();
        if self.batches.len() <= SMALL_BATCHES + 2 * (n_rows / BATCH_ROWS) {
            return Ok(());
        }
        let mut small: Vec<RecordBatch> = Vec::new();
        for Batch { rows, .. } in std::mem::take(&mut self.batches) {
            small.push(rows);
            if small.iter().map(RecordBatch::num_rows).sum::<usize>() >= BATCH_ROWS {
                self.keep(concat_batches(&self.schema, &std::mem::take(&mut small))?);
            }
        }
        self.keep(concat_batches(&self.schema, &small)?);
        Ok(())
    }

    /// The watermark as it is for these rows, and those that it has passed, sorted. None where nothing goes on yet.
    pub(super) fn pass(&mut self, us: i64) -> Result<Option<(i64, Option<RecordBatch>)>> {
        if !self.continuous && us != END_OF_TIME_US {
            return Ok(None);
        }
        let us = if us == END_OF_TIME_US { us } else { us.saturating_sub(self.lag_us) };
        self.watermark_us = us;
        if self.earliest_us >= us {
            return Ok(Some((us, None)));
        }
        self.earliest_us = i64::MAX;
        let mut passing = Vec::new();
        // What comes later as a whole, which is mostly all of it, is not looked at.
        for batch in std::mem::take(&mut self.batches) {
            if batch.earliest_us >= us {
                self.earliest_us = self.earliest_us.min(batch.earliest_us);
                self.batches.push(batch);
            } else if batch.latest_us < us {
                passing.push(batch.rows);
            } else {
                let times = batch.rows.column(self.time()).as_primitive::<TimestampMicrosecondType>();
                let passed: BooleanArray = times.iter().map(|t| Some(t.is_some_and(|t| t < us))).collect();
                passing.push(filter_record_batch(&batch.rows, &passed)?);
                self.keep(filter_record_batch(&batch.rows, &not(&passed)?)?);
            }
        }
        let rows = concat_batches(&self.schema, &passing)?;
        Ok(Some((us, Some(self.sort(rows)?))))
    }

    fn sort(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let column = |order: &Order| SortColumn {
            values: Arc::clone(rows.column(order.column)),
            options: Some(SortOptions { descending: order.descending, nulls_first: order.nulls_first }),
        };
        let mut columns: Vec<SortColumn> = self.order.iter().map(column).collect();
        // Rows that nothing tells apart stay as they came.
        let came: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..rows.num_rows() as u32));
        columns.push(SortColumn { values: came, options: None });
        Ok(take_record_batch(&rows, &lexsort_to_indices(&columns, None)?)?)
    }

    /// The watermark as it is for these rows, µs: the last that has passed.
    pub(super) fn watermark_us(&self) -> i64 {
        self.watermark_us
    }

    pub(super) fn snapshot(&mut self) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("watermark_us".into(), self.watermark_us);
        state.numbers.insert("earliest_us".into(), self.earliest_us);
        state.tables.insert("waiting".into(), self.batches.iter().map(|b| b.rows.clone()).collect());
        Ok(state)
    }

    pub(super) fn restore(&mut self, mut state: State) {
        let number = |name: &str, otherwise: i64| state.numbers.get(name).copied().unwrap_or(otherwise);
        self.watermark_us = number("watermark_us", i64::MIN);
        self.earliest_us = number("earliest_us", i64::MAX);
        state.tables.remove("waiting").unwrap_or_default().into_iter().for_each(|rows| self.keep(rows));
    }
}
