//! Rows paced by the clock: each has its turn when as much time has passed as lies between its event time and the first one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use parking_lot::{Condvar, Mutex};

use super::row_reader::time_at;
use crate::clock::Stopwatch;

/// The clock of one source, which runs from its creation; all its readers play by it.
#[derive(Debug)]
pub(super) struct Pace {
    since: Stopwatch,
    stopped: Mutex<bool>,
    wake: Condvar,
    ended: AtomicBool,
}

/// A reader that is waiting looks so often whether anybody still listens to it.
const LOOK: Duration = Duration::from_millis(500);

impl Pace {
    pub(super) fn start() -> Pace {
        Pace { since: Stopwatch::start(), stopped: Mutex::new(false), wake: Condvar::new(), ended: AtomicBool::new(false) }
    }

    /// Time since it was started, µs.
    pub(super) fn elapsed_us(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Waits until then, but not longer than it takes to look around. True if the time has not come yet.
    pub(super) fn sleep(&self, until_us: i64) -> bool {
        let left_us = until_us.saturating_sub(self.elapsed_us());
        let mut stopped = self.stopped.lock();
        if left_us > 0 && !*stopped {
            self.wake.wait_for(&mut stopped, LOOK.min(Duration::from_micros(left_us.unsigned_abs())));
        }
        self.elapsed_us() < until_us
    }

    /// Ends all waiting: the source is dropped.
    pub(super) fn stop(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_all();
    }

    /// Whether the source is dropped.
    pub(super) fn stopped(&self) -> bool {
        *self.stopped.lock()
    }

    /// A reader has played the last row.
    pub(super) fn end_reached(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether nothing more comes.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.stopped()
    }
}

/// Whose turn it is: a row that is out of order has the turn of the newest row before it, one without a time as well.
#[derive(Debug)]
pub(super) struct Turn {
    column: Option<usize>,
    start_us: Option<i64>,
    newest_us: i64,
}

impl Turn {
    /// `start_us` is the time at which the clock begins; None is that of the first row.
    pub(super) fn new(column: Option<usize>, start_us: Option<i64>) -> Turn {
        Turn { column, start_us, newest_us: i64::MIN }
    }

    /// How many of the first rows have their turn until then, and when the next row has, µs since the start.
    pub(super) fn leading(&self, rows: &RecordBatch, until_us: i64) -> (usize, i64) {
        let (mut start_us, mut newest_us) = (self.start_us, self.newest_us);
        for at in 0..rows.num_rows() {
            if let Some(us) = time_at(rows, self.column, at) {
                newest_us = newest_us.max(us);
                let turn_us = newest_us.saturating_sub(*start_us.get_or_insert(us));
                if turn_us > until_us {
                    return (at, turn_us);
                }
            }
        }
        (rows.num_rows(), until_us)
    }

    /// These rows have been played.
    pub(super) fn take(&mut self, rows: &RecordBatch) {
        for us in (0..rows.num_rows()).filter_map(|at| time_at(rows, self.column, at)) {
            self.newest_us = self.newest_us.max(us);
            self.start_us.get_or_insert(us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, TimestampMicrosecondArray};
    use std::sync::Arc;

    #[test]
    fn a_row_has_its_turn_by_its_time_and_one_out_of_order_with_the_row_before() {
        let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(100), None, Some(150), Some(120), Some(200)]));
        let rows = RecordBatch::try_from_iter([("ts", column)]).unwrap();
        let mut turn = Turn::new(Some(0), None);
        assert_eq!(turn.leading(&rows, 0), (2, 50));
        turn.take(&rows.slice(0, 2));
        assert_eq!(turn.leading(&rows.slice(2, 3), 99), (2, 100));
    }
}
