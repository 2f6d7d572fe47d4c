//! Puts rows into time windows: one row a window that it belongs to, with window_start, window_end and window_time.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::Run;
use super::operator::{Operator, Output, State};
use crate::event::END_OF_TIME_US;
use crate::metrics::JobCounters;
use crate::plan::window::Windows;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assign {
    /// The time column, as an index of the input.
    pub time: usize,
    /// The windows.
    pub windows: Windows,
    /// How far behind the watermark the time may still come, µs (a window's start comes when the window is over).
    pub lag_us: i64,
    /// The input's columns and the three of the window.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Assign {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        format!("time={}, {}", self.schema.field(self.time).name(), self.windows)
    }

    pub(super) fn build(&self, run: &Run) -> AssignOperator {
        AssignOperator {
            description: self.clone(),
            continuous: run.continuous,
            watermark_us: i64::MIN,
            counters: Arc::clone(&run.counters),
        }
    }
}

pub(super) struct AssignOperator {
    description: Assign,
    /// A SELECT sees all rows before it answers: none is late.
    continuous: bool,
    watermark_us: i64,
    counters: Arc<JobCounters>,
}

impl Operator for AssignOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let d = &self.description;
        let times = rows.column(d.time).as_primitive::<TimestampMicrosecondType>();
        self.counters.rows_in.add(rows.num_rows() as u64);
        // A row without a time is in no window.
        self.counters.n_null_time.add(times.null_count() as u64);
        let (mut parents, mut starts) = (Vec::with_capacity(rows.num_rows()), Vec::with_capacity(rows.num_rows()));
        for (row, time) in times.iter().enumerate() {
            let Some(time) = time else { continue };
            let (mut n_late, mut n_kept) = (0, 0);
            d.windows.starts(time, |start| {
                if self.continuous && start.saturating_add(d.windows.size_us) <= self.watermark_us {
                    // The window has fired.
                    n_late += 1;
                    return;
                }
                n_kept += 1;
                parents.push(row as u32);
                starts.push(start);
            });
            match (n_late, n_kept) {
                (0, _) => {}
                (_, 0) => self.counters.n_late.add(1),
                _ => self.counters.n_partly_late.add(1),
            }
        }
        let same = parents.len() == rows.num_rows() && parents.iter().enumerate().all(|(i, p)| i == *p as usize);
        let parents = UInt32Array::from(parents);
        let mut columns = rows
            .columns()
            .iter()
            .map(|c| if same { Ok(Arc::clone(c)) } else { take(c, &parents, None) })
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        let column = |of: &dyn Fn(i64) -> i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(starts.iter().map(|s| of(*s))).with_timezone("UTC"))
        };
        let size_us = d.windows.size_us;
        columns.push(column(&|s| s));
        columns.push(column(&|s| s.saturating_add(size_us)));
        // The last millisecond that is in the window, as in Flink.
        columns.push(column(&|s| s.saturating_add(size_us - 1_000)));
        out.rows(RecordBatch::try_new(Arc::clone(&d.schema), columns)?);
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let us = if us == END_OF_TIME_US { us } else { us.saturating_sub(self.description.lag_us) };
        self.watermark_us = us;
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        Ok(State { numbers: [("watermark_us".to_owned(), self.watermark_us)].into(), ..State::default() })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watermark_us = state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN);
        Ok(())
    }
}
