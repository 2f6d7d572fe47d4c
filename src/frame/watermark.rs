//! The watermark of rows that come in any order: computed row by row and sent before the first row that is behind it, so that what is
//! late depends on the rows before it and never on the size of batches.

use datafusion::arrow::array::Array;
use datafusion::arrow::record_batch::RecordBatch;

use super::row_reader::times_of;
use crate::event::Event;

/// Follows the event times of one reader.
#[derive(Debug)]
pub(super) struct Watermarks {
    /// The column of the batches that carries event time.
    column: usize,
    /// What the watermark stays behind the newest row, µs.
    delay_us: i64,
    newest_us: i64,
    sent_us: i64,
}

impl Watermarks {
    pub(super) fn new(column: usize, delay_us: i64) -> Watermarks {
        Watermarks { column, delay_us, newest_us: i64::MIN, sent_us: i64::MIN }
    }

    /// Takes note of rows that are not given again.
    pub(super) fn skip(&mut self, rows: &RecordBatch) {
        let Some(times) = times_of(rows, self.column) else { return };
        self.newest_us = times.iter().flatten().fold(self.newest_us, i64::max);
    }

    /// Time has passed without a row, µs: the watermark goes on. None if no row has come yet.
    pub(super) fn pass(&mut self, us: i64) -> Option<Event> {
        (self.newest_us > i64::MIN).then_some(())?;
        let reached_us = self.now_us().max(self.sent_us).saturating_add(us);
        self.sent_us = reached_us;
        Some(Event::Watermark(reached_us))
    }

    /// What is promised after the rows seen so far; the lowest time before the first.
    fn now_us(&self) -> i64 {
        if self.newest_us == i64::MIN { i64::MIN } else { self.newest_us.saturating_sub(self.delay_us) }
    }

    /// The rows in as many batches as it takes, each behind the watermark that it must see, and the watermark after them.
    pub(super) fn cut(&mut self, rows: RecordBatch) -> Vec<Event> {
        let mut events = Vec::with_capacity(2);
        let mut from = 0;
        if let Some(times) = times_of(&rows, self.column) {
            for at in 0..times.len() {
                if times.is_null(at) {
                    continue;
                }
                let us = times.value(at);
                let now_us = self.now_us();
                if us < now_us && now_us > self.sent_us {
                    if at > from {
                        events.push(Event::Rows(rows.slice(from, at - from)));
                        from = at;
                    }
                    self.sent_us = now_us;
                    events.push(Event::Watermark(now_us));
                }
                self.newest_us = self.newest_us.max(us);
            }
        }
        let rest = if from == 0 { rows } else { rows.slice(from, rows.num_rows() - from) };
        if rest.num_rows() > 0 {
            events.push(Event::Rows(rest));
        }
        if self.now_us() > self.sent_us {
            self.sent_us = self.now_us();
            events.push(Event::Watermark(self.sent_us));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn said(times: &[Option<i64>], size: usize) -> Vec<String> {
        let mut watermarks = Watermarks::new(0, 10);
        let events = times.chunks(size).flat_map(|chunk| {
            let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(chunk.to_vec()));
            watermarks.cut(RecordBatch::try_from_iter([("ts", column)]).unwrap())
        });
        // What a row sees: the watermark before it.
        let (mut w, mut seen) = (i64::MIN, Vec::new());
        for event in events.collect::<Vec<_>>() {
            match event {
                Event::Watermark(us) => w = us,
                Event::Rows(rows) => {
                    for ts in times_of(&rows, 0).unwrap() {
                        seen.push(format!("{ts:?} {}", ts.is_some_and(|ts| ts < w)));
                    }
                }
                _ => {}
            }
        }
        seen
    }

    #[test]
    fn what_is_late_does_not_depend_on_the_size_of_batches() {
        let times = [Some(5), Some(100), Some(90), Some(89), None, Some(120), Some(95), Some(110), Some(109)];
        let late: Vec<bool> = said(&times, 100).iter().map(|s| s.ends_with("true")).collect();
        assert_eq!(late, [false, false, false, true, false, false, true, false, true]);
        for size in [1, 2, 3, 7] {
            assert_eq!(said(&times, size), said(&times, 100));
        }
    }
}
