//! What is read for EMIT EVERY, cut where event time passes a multiple of the interval, with the watermark in between: so that what is told is what came
//! before that moment, whatever the size of batches.

use datafusion::arrow::array::{Array, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::{StreamExt, stream};

use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, TimeColumn};

/// Where the event time is among the columns that are read, and which of them are wanted.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    time: usize,
    lag_us: i64,
    /// How many columns are wanted: the time may be one more behind them.
    n_wanted: usize,
}

impl Columns {
    /// Adds the event time to the columns that are read of a source, if it is not among them. None if the source has none.
    pub(super) fn add_to(projection: &mut Vec<usize>, times: &[TimeColumn]) -> Option<Columns> {
        let n_wanted = projection.len();
        let of = times.iter().min_by_key(|time| (time.lag_us, !projection.contains(&time.index)))?;
        let time = projection.iter().position(|at| *at == of.index).unwrap_or_else(|| {
            projection.push(of.index);
            n_wanted
        });
        Some(Columns { time, lag_us: of.lag_us, n_wanted })
    }
}

/// The events of a source with more watermarks among its rows.
pub(super) fn cut(events: EventStream, columns: Columns, every_us: i64) -> EventStream {
    let cutter = Cutter { columns, every_us, newest_us: i64::MIN, sent_us: i64::MIN, held: None };
    // The watermark behind a batch says how far the source stays behind its newest row, so a batch is held until the next event is known.
    let events = events.map(Some).chain(stream::iter([None]));
    let parts = events.scan(cutter, |cutter, event| {
        let parts = match event {
            Some(Ok(event)) => cutter.take(event).unwrap_or_else(|e| vec![Err(e)]),
            Some(Err(e)) => cutter.held(None).unwrap_or_default().into_iter().chain([Err(e)]).collect(),
            None => cutter.held(None).unwrap_or_else(|e| vec![Err(e)]),
        };
        futures::future::ready(Some(stream::iter(parts)))
    });
    Box::pin(parts.flatten())
}

struct Cutter {
    columns: Columns,
    every_us: i64,
    /// The newest row's time, as a watermark: with the lag of its column, µs.
    newest_us: i64,
    sent_us: i64,
    held: Option<RecordBatch>,
}

type Parts = Vec<Result<Event>>;

impl Cutter {
    fn take(&mut self, event: Event) -> Result<Parts> {
        let mut parts = match &event {
            Event::Watermark(us) => self.held(Some(*us).filter(|us| *us < END_OF_TIME_US))?,
            _ => self.held(None)?,
        };
        match event {
            Event::Rows(rows) => self.held = Some(rows),
            Event::Changes { gone, come } => parts.push(Ok(Event::Changes { gone: self.wanted(&gone)?, come: self.wanted(&come)? })),
            Event::Watermark(us) => {
                self.sent_us = self.sent_us.max(us);
                parts.push(Ok(Event::Watermark(us)));
            }
            other => parts.push(Ok(other)),
        }
        Ok(parts)
    }

    fn wanted(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if rows.num_columns() <= self.columns.n_wanted {
            return Ok(rows.clone());
        }
        Ok(rows.project(&(0..self.columns.n_wanted).collect::<Vec<_>>())?)
    }

    /// The batch that was held, cut if that watermark came behind it.
    fn held(&mut self, behind_us: Option<i64>) -> Result<Parts> {
        let Some(rows) = self.held.take() else { return Ok(Vec::new()) };
        let wanted = self.wanted(&rows)?;
        let times = rows.columns().get(self.columns.time).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times else { return Ok(vec![Ok(Event::Rows(wanted))]) };
        let mut parts = Vec::new();
        let mut from = 0;
        for (at, us) in self.moments(times, behind_us) {
            if at > from {
                parts.push(Ok(Event::Rows(wanted.slice(from, at - from))));
                from = at;
            }
            parts.push(Ok(Event::Watermark(us)));
        }
        parts.push(Ok(Event::Rows(wanted.slice(from, wanted.num_rows() - from))));
        Ok(parts)
    }

    /// Before which rows a watermark is sent, and which. Takes note of the newest row.
    fn moments(&mut self, times: &TimestampMicrosecondArray, behind_us: Option<i64>) -> Vec<(usize, i64)> {
        let lag_us = self.columns.lag_us;
        let time = |at: usize| times.is_valid(at).then(|| times.value(at).saturating_add(lag_us));
        let before_us = self.newest_us;
        self.newest_us = (0..times.len()).filter_map(time).fold(before_us, i64::max);
        let Some(behind_us) = behind_us else { return Vec::new() };
        // No row of a batch is promised away: rows of a view come in any order. Those that are late already do not count.
        let mut least_us = vec![behind_us; times.len()];
        let mut least = behind_us;
        for (at, slot) in least_us.iter_mut().enumerate().rev() {
            least = time(at).filter(|us| *us >= self.sent_us).map_or(least, |us| us.min(least));
            *slot = least;
        }
        let delay_us = self.newest_us.saturating_sub(behind_us).max(0);
        let (mut newest_us, mut moments) = (before_us, Vec::new());
        for (at, least_us) in least_us.into_iter().enumerate() {
            let Some(us) = time(at) else { continue };
            newest_us = newest_us.max(us);
            let now_us = newest_us.saturating_sub(delay_us).min(least_us);
            // The first watermark is where time begins: no multiple has passed.
            let us = if self.sent_us == i64::MIN { now_us } else { now_us.div_euclid(self.every_us).saturating_mul(self.every_us) };
            if us > self.sent_us && (self.sent_us == i64::MIN || us.div_euclid(self.every_us) > self.sent_us.div_euclid(self.every_us)) {
                self.sent_us = us;
                moments.push((at, us));
            }
        }
        moments
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    /// What is said of rows at these times, in batches of a size, by a source that stays so far behind its newest row.
    fn said(times: &[Option<i64>], size: usize, delay_us: i64) -> String {
        let mut newest_us = i64::MIN;
        let mut events: Vec<Result<Event>> = Vec::new();
        for chunk in times.chunks(size) {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..chunk.len() as i64));
            let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(chunk.to_vec()));
            events.push(Ok(Event::Rows(RecordBatch::try_from_iter([("n", numbers), ("ts", column)]).unwrap())));
            newest_us = chunk.iter().flatten().copied().fold(newest_us, i64::max);
            events.push(Ok(Event::Watermark(newest_us - delay_us)));
        }
        events.push(Ok(Event::End));
        let mut projection = vec![7];
        let columns = Columns::add_to(&mut projection, &[TimeColumn { index: 3, lag_us: 0 }]).unwrap();
        assert_eq!(projection, [7, 3]);
        let cut = cut(Box::pin(stream::iter(events)), columns, 10);
        let events: Vec<_> = futures::executor::block_on(cut.collect());
        // How many rows there are when a multiple has passed.
        let (mut n_rows, mut told, mut last) = (0, String::new(), i64::MIN);
        for event in events {
            match event.unwrap() {
                Event::Rows(rows) => {
                    assert_eq!(rows.num_columns(), 1);
                    n_rows += rows.num_rows();
                }
                Event::Watermark(us) => {
                    if last > i64::MIN && us.div_euclid(10) > last.div_euclid(10) {
                        told.push_str(&format!("{us}:{n_rows} "));
                    }
                    last = us;
                }
                _ => {}
            }
        }
        format!("{told}{n_rows}")
    }

    #[test]
    fn what_came_before_a_multiple_is_told_there_whatever_the_size_of_batches() {
        let times = [Some(1), Some(5), Some(9), Some(10), None, Some(19), Some(45), Some(45), Some(51)];
        for size in [1, 2, 3, 4, 100] {
            assert_eq!(said(&times, size, 0), "10:3 40:6 50:8 9");
        }
        let disordered = [Some(4), Some(12), Some(9), Some(15), Some(13), Some(31), Some(26)];
        for size in [1, 2, 3, 100] {
            assert_eq!(said(&disordered, size, 5), "0:1 10:3 20:5 7");
        }
    }
}
