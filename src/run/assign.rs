//! Puts rows into time windows: one row a window that it belongs to, with window_start, window_end and window_time.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;

use super::Run;
use super::operator::{Operator, Output};
use crate::metrics::JobCounters;
use crate::plan::window::Windows;

/// The description.
#[derive(Clone, Debug)]
pub struct Assign {
    /// The time column, as an index of the input.
    pub time: usize,
    /// The windows.
    pub windows: Windows,
    /// The input's columns and the three of the window.
    pub schema: SchemaRef,
}

impl Assign {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        format!("time={}, {}", self.schema.field(self.time).name(), self.windows)
    }

    pub(super) fn build(&self, run: &Run) -> AssignOperator {
        AssignOperator { description: self.clone(), counters: Arc::clone(&run.counters) }
    }
}

pub(super) struct AssignOperator {
    description: Assign,
    counters: Arc<JobCounters>,
}

impl Operator for AssignOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let d = &self.description;
        let times = rows.column(d.time).as_primitive::<TimestampMicrosecondType>();
        // A row without a time is in no window.
        self.counters.n_null_time.add(times.null_count() as u64);
        let (mut parents, mut starts) = (Vec::with_capacity(rows.num_rows()), Vec::with_capacity(rows.num_rows()));
        for (row, time) in times.iter().enumerate() {
            let Some(time) = time else { continue };
            d.windows.starts(time, |start| {
                parents.push(row as u32);
                starts.push(start);
            });
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
        columns.push(column(&|s| s + size_us));
        // The last millisecond that is in the window, as in Flink.
        columns.push(column(&|s| s + size_us - 1_000));
        out.rows(RecordBatch::try_new(Arc::clone(&d.schema), columns)?);
        Ok(())
    }
}
