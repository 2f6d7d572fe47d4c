//! What is read for EMIT EVERY, cut where event time passes a multiple of the interval, with the watermark in between: so that what is told is what came
//! before that moment, whatever the size of batches.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::{StreamExt, stream};

use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, TimeColumn};

/// Where the event times are among the columns that are read, and which of them are wanted.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Each with how far behind the watermark its values may come, µs.
    times: Vec<(usize, i64)>,
    /// How many columns are wanted: times may stand behind them.
    n_wanted: usize,
}

impl Columns {
    /// Adds the event times to the columns that are read of a source, if they are not among them: a watermark is a promise about all of them. None if
    /// the source has none.
    pub(super) fn add_to(projection: &mut Vec<usize>, times: &[TimeColumn]) -> Option<Columns> {
        let n_wanted = projection.len();
        let mut place = |index: usize| {
            projection.iter().position(|at| *at == index).unwrap_or_else(|| {
                projection.push(index);
                projection.len() - 1
            })
        };
        let times: Vec<(usize, i64)> = times.iter().map(|time| (place(time.index), time.lag_us)).collect();
        (!times.is_empty()).then_some(Columns { times, n_wanted })
    }

    /// The least of the times of each row, as watermarks; None of a row that has none.
    fn of(&self, rows: &RecordBatch) -> Vec<Option<i64>> {
        let mut least: Vec<Option<i64>> = vec![None; rows.num_rows()];
        for (at, lag_us) in &self.times {
            let Some(times) = rows.columns().get(*at).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()) else { continue };
            for (slot, us) in least.iter_mut().zip(times) {
                let us = us.map(|us| us.saturating_add(*lag_us));
                *slot = slot.map_or(us, |least| us.map_or(Some(least), |us| Some(us.min(least))));
            }
        }
        least
    }
}

/// The events of a source with more watermarks among its rows.
///
/// Where the rows begin in the midst of a source, `resumed`, the first watermark is the source's own: it knows the rows before.
pub(super) fn cut(events: EventStream, columns: Columns, every_us: i64, resumed: bool) -> EventStream {
    let cutter = Cutter { columns, every_us, resumed, newest_us: i64::MIN, sent_us: i64::MIN, held: None };
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
    resumed: bool,
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
        let times = self.columns.of(&rows);
        let mut parts = Vec::new();
        let mut from = 0;
        for (at, us) in self.moments(&times, behind_us) {
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
    fn moments(&mut self, times: &[Option<i64>], behind_us: Option<i64>) -> Vec<(usize, i64)> {
        let before_us = self.newest_us;
        self.newest_us = times.iter().flatten().copied().fold(before_us, i64::max);
        let Some(behind_us) = behind_us.filter(|_| !self.resumed || self.sent_us != i64::MIN) else { return Vec::new() };
        // No row of a batch is promised away: rows of a view come in any order. Those that are late already do not count.
        let mut least_us = vec![behind_us; times.len()];
        let mut least = behind_us;
        for (time, slot) in times.iter().zip(least_us.iter_mut()).rev() {
            least = time.filter(|us| *us >= self.sent_us).map_or(least, |us| us.min(least));
            *slot = least;
        }
        let delay_us = self.newest_us.saturating_sub(behind_us).max(0);
        let (mut newest_us, mut moments) = (before_us, Vec::new());
        for (at, (time, least_us)) in times.iter().zip(least_us).enumerate() {
            let Some(us) = *time else { continue };
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

    use datafusion::arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

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
        let cut = cut(Box::pin(stream::iter(events)), columns, 10, false);
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
