//! Puts rows into time windows: one row a window that it belongs to, with window_start, window_end and window_time.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::Run;
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use crate::event::END_OF_TIME_US;
use crate::metrics::JobCounters;
use crate::plan::window::{TIME_BEFORE_END_US, Windows};

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assign {
    /// The time column, as an index of the input.
    pub time: usize,
    /// The windows.
    pub windows: Windows,
    /// How far behind the watermark the time may still come, µs (a window's start comes when the window is over).
    pub lag_us: i64,
    /// Whether a row comes once, with the pane it is in, as the aggregate above puts the windows together.
    pub panes: bool,
    /// Whether the end of the last window is said before the end of time, so that what fills windows knows where to stop.
    pub fill: bool,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The input's columns and the three of the window.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Assign {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let panes = if self.panes && self.windows.overlap() { ", by pane" } else { "" };
        format!("time={}, {}{panes}", self.schema.field(self.time).name(), self.windows)
    }

    pub(super) fn build(&self, run: &Run) -> AssignOperator {
        AssignOperator {
            description: self.clone(),
            continuous: run.continuous,
            watermark_us: i64::MIN,
            last_end_us: i64::MIN,
            counters: Arc::clone(&run.counters),
        }
    }
}

pub(super) struct AssignOperator {
    description: Assign,
    /// A SELECT sees all rows before it answers: none is late.
    continuous: bool,
    watermark_us: i64,
    /// The end of the last window with a row.
    last_end_us: i64,
    counters: Arc<JobCounters>,
}

/// The windows that rows are put into, and which rows.
#[derive(Default)]
struct Placed {
    /// Rows of the batch; empty while it is each row once.
    parents: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    late: Vec<u32>,
}

impl AssignOperator {
    /// Each row once, by pane or in the one window that holds it.
    fn once(&self, times: &TimestampMicrosecondArray, placed: &mut Placed) -> bool {
        let windows = &self.description.windows;
        let watermark_us = if self.continuous { self.watermark_us } else { i64::MIN };
        let mut whole = true;
        // Rows that follow one another are most often of one pane.
        let (mut start_us, mut end_us, mut last_us) = (0, i64::MIN, i64::MIN);
        let mut n_partly_late = 0;
        for (row, time) in times.iter().enumerate() {
            let on_time = time.is_some_and(|time| {
                if time < start_us || time >= end_us {
                    start_us = windows.pane(time);
                    end_us = start_us.saturating_add(windows.slide_us);
                    last_us = windows.last_end(start_us);
                }
                last_us > watermark_us
            });
            if !on_time {
                if whole {
                    placed.parents.extend(0..row as u32);
                    whole = false;
                }
                if time.is_some() {
                    placed.late.push(row as u32);
                }
                continue;
            }
            n_partly_late += u64::from(end_us <= watermark_us);
            if !whole {
                placed.parents.push(row as u32);
            }
            placed.starts.push(start_us);
            placed.ends.push(end_us);
        }
        self.counters.n_partly_late.add(n_partly_late);
        whole
    }

    /// Each row once a window.
    fn by_window(&self, times: &TimestampMicrosecondArray, placed: &mut Placed) {
        let windows = &self.description.windows;
        let watermark_us = if self.continuous { self.watermark_us } else { i64::MIN };
        for (row, time) in times.iter().enumerate() {
            let Some(time) = time else { continue };
            let pane = windows.pane(time);
            let (mut end_us, last_us) = (pane.saturating_add(windows.slide_us), windows.last_end(pane));
            if last_us <= watermark_us {
                placed.late.push(row as u32);
                continue;
            }
            self.counters.n_partly_late.add(u64::from(end_us <= watermark_us));
            loop {
                // A window that has fired is left out.
                if end_us > watermark_us {
                    placed.parents.push(row as u32);
                    placed.starts.push(windows.start_of(end_us));
                    placed.ends.push(end_us);
                }
                if end_us >= last_us {
                    break;
                }
                end_us = end_us.saturating_add(windows.slide_us);
            }
        }
    }
}

impl Operator for AssignOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let d = &self.description;
        let times = rows.column(d.time).as_primitive::<TimestampMicrosecondType>();
        self.counters.rows_in.add(rows.num_rows() as u64);
        // A row without a time is in no window.
        self.counters.n_null_time.add(times.null_count() as u64);
        let mut placed = Placed::default();
        let whole = if d.panes || !d.windows.overlap() {
            placed.starts.reserve(rows.num_rows());
            placed.ends.reserve(rows.num_rows());
            self.once(times, &mut placed)
        } else {
            self.by_window(times, &mut placed);
            false
        };
        if !placed.late.is_empty() {
            late_rows(&self.counters, &d.sources, "AssignWindow", times, self.watermark_us, &rows, placed.late)?;
        }
        if d.fill
            && let Some(last) = times.iter().flatten().max()
        {
            self.last_end_us = self.last_end_us.max(d.windows.last_end(d.windows.pane(last)));
        }
        let mut columns = if whole {
            rows.columns().to_vec()
        } else {
            let parents = UInt32Array::from(placed.parents);
            rows.columns().iter().map(|c| take(c, &parents, None)).collect::<Result<Vec<ArrayRef>, _>>()?
        };
        columns.extend(window_columns(placed.starts, placed.ends));
        out.rows(RecordBatch::try_new(Arc::clone(&d.schema), columns)?);
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let us = if us == END_OF_TIME_US { us } else { us.saturating_sub(self.description.lag_us) };
        let d = &self.description;
        if us == END_OF_TIME_US && self.last_end_us > self.watermark_us {
            out.watermark(self.last_end_us);
        } else if d.fill && us > i64::MIN && us != END_OF_TIME_US {
            // What a filter below leaves out says that time goes on, as what one above does: windows are filled as time passes, and at the end as far.
            self.last_end_us = self.last_end_us.max(d.windows.last_end(d.windows.pane(us)));
        }
        self.watermark_us = us;
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let numbers = [("watermark_us".to_owned(), self.watermark_us), ("last_end_us".to_owned(), self.last_end_us)];
        Ok(State { numbers: numbers.into(), ..State::default() })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watermark_us = state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN);
        self.last_end_us = state.numbers.get("last_end_us").copied().unwrap_or(i64::MIN);
        Ok(())
    }
}

/// window_start, window_end and window_time.
pub(super) fn window_columns(starts: Vec<i64>, ends: Vec<i64>) -> [ArrayRef; 3] {
    let window_times = ends.iter().map(|end| end.saturating_sub(TIME_BEFORE_END_US)).collect();
    [starts, ends, window_times].map(|us: Vec<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(us).with_timezone("UTC")) })
}
