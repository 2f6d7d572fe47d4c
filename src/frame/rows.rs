//! Files of rows, or generated ones, as a source: its own columns, perhaps an event time, and the thread that reads it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use tokio::sync::mpsc;

use super::range;
use super::row_pace::{Pace, Turn};
use super::row_reader::{RowMedia, RowReader, RowsWanted};
use super::source::{Again, EventStream, Request, Source, TimeColumn, until_end};
use super::watermark::Watermarks;
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::metrics::SourceCounters;
use crate::priority;

/// Events between the reading thread and its reader: with them one batch is made while the other is used.
const EVENTS_AHEAD: usize = 4;

/// How CREATE SOURCE said that rows are read.
#[derive(Clone, Debug)]
pub struct RowPlaying {
    /// By the clock, as their event times say, or as fast as its readers go.
    pub realtime: bool,
    /// A live source that has waited so long is idle, µs.
    pub idle_timeout_us: i64,
    /// What the watermark stays behind the newest row, µs; None fires everything at the end.
    pub watermark_delay_us: Option<i64>,
}

/// A source of rows of the catalogue.
#[derive(Debug)]
pub struct RowSource {
    name: Arc<str>,
    media: Arc<RowMedia>,
    playing: RowPlaying,
    counters: Arc<SourceCounters>,
    batch_rows: usize,
    pace: Option<Arc<Pace>>,
}

impl RowSource {
    /// Makes the source; one that is paced by the clock begins to be played now.
    pub fn start(name: &str, media: RowMedia, playing: RowPlaying, batch_rows: usize) -> RowSource {
        let pace = playing.realtime.then(|| Arc::new(Pace::start()));
        RowSource { name: name.into(), media: Arc::new(media), playing, counters: Arc::default(), batch_rows, pace }
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }

    /// What it reads.
    pub fn media(&self) -> &Arc<RowMedia> {
        &self.media
    }

    /// How it is read.
    pub fn playing(&self) -> &RowPlaying {
        &self.playing
    }

    /// Ends a live source before its end: its readers are told so.
    pub fn stop(&self) {
        if let Some(pace) = &self.pace {
            pace.stop();
        }
    }

    /// What one reader needs on its thread.
    fn reading(&self, request: &Request, sender: mpsc::Sender<Result<Event>>) -> Reading {
        let time = self.media.time();
        let mut projection = request.projection.clone();
        // The watermark and the pace need the time though the query may not.
        let column = time.filter(|_| request.continuous || self.pace.is_some()).map(|time| {
            projection.iter().position(|at| *at == time).unwrap_or_else(|| {
                projection.push(time);
                projection.len() - 1
            })
        });
        let (mut low, mut high) = time.map_or((i64::MIN, i64::MAX), |at| range::times(&request.filters, self.schema().field(at).name()));
        if request.continuous {
            // A row that is left out for being too new would have moved the watermark, and made others late.
            high = i64::MAX;
        }
        if self.pace.is_some() {
            // The clock counts from the first row.
            low = i64::MIN;
        }
        let batch_rows = request.batch_rows.unwrap_or(self.batch_rows).max(1);
        let wanted = RowsWanted { projection, ts_us: (low, high), batch_rows, from_row: 0 };
        let delay_us = self.playing.watermark_delay_us;
        let watermarks = match (column, delay_us) {
            (Some(column), Some(delay_us)) if request.continuous => Some(Watermarks::new(column, delay_us)),
            _ => None,
        };
        Reading {
            sender,
            counters: Arc::clone(&self.counters),
            n_columns: request.projection.len(),
            column,
            watermarks,
            skip: request.skip_rows,
            left: request.limit.unwrap_or(usize::MAX),
            wanted,
        }
    }
}

impl Source for RowSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(self.media.schema())
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        self.media.time().map(|index| TimeColumn { index, lag_us: 0 }).into_iter().collect()
    }

    fn live(&self) -> bool {
        self.pace.is_some()
    }

    fn ended(&self) -> bool {
        self.pace.as_ref().is_none_or(|pace| pace.ended())
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn again(&self) -> Again {
        if self.pace.is_some() { Again::Anew } else { Again::Same }
    }

    fn may_skip_by(&self, filter: &Expr) -> bool {
        let time = self.media.time().and_then(|at| self.media.schema().fields().get(at));
        time.is_some_and(|field| range::times(std::slice::from_ref(filter), field.name()) != (i64::MIN, i64::MAX))
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        let (sender, receiver) = mpsc::channel::<Result<Event>>(EVENTS_AHEAD);
        let mut reading = self.reading(request, sender);
        let (media, pace, name) = (Arc::clone(&self.media), self.pace.clone(), Arc::clone(&self.name));
        let (continuous, idle_timeout_us) = (request.continuous, self.playing.idle_timeout_us);
        let run = move || {
            priority::lower();
            // Foreign bytes are read here: what panics is an error of this reader, and of nobody else.
            let read = catch_unwind(AssertUnwindSafe(|| match &pace {
                None => reading.all(&media),
                Some(pace) => reading.played(&media, pace, &name, continuous, idle_timeout_us),
            }));
            let failed = match read {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => error,
                Err(_) => Error::Internal(format!("the reader of source \"{name}\" panicked")),
            };
            // The reader may be gone: then there is nobody to tell.
            let _ = reading.sender.blocking_send(Err(failed.into()));
        };
        thread::Builder::new().name(format!("read {}", self.name)).spawn(run).map_err(|e| Error::io("could not start a thread", e))?;
        Ok(until_end(receiver))
    }
}

/// One reader at work.
struct Reading {
    sender: mpsc::Sender<Result<Event>>,
    counters: Arc<SourceCounters>,
    /// Columns that the reader asked for; those behind them are for the watermark.
    n_columns: usize,
    /// The event time among the columns read.
    column: Option<usize>,
    watermarks: Option<Watermarks>,
    skip: u64,
    left: usize,
    wanted: RowsWanted,
}

/// Whether the reader still listens.
type Listens = crate::error::Result<bool>;

impl Reading {
    /// Sends; false if the reader wants no more.
    fn send(&self, event: Event) -> bool {
        self.sender.blocking_send(Ok(event)).is_ok()
    }

    /// Gives rows that were not given before a restore, up to the limit, cut at the watermarks. False if no more are wanted.
    fn give(&mut self, rows: RecordBatch) -> Listens {
        let n_skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rows.num_rows());
        self.skip -= n_skipped as u64;
        if let Some(watermarks) = self.watermarks.as_mut().filter(|_| n_skipped > 0) {
            watermarks.skip(&rows.slice(0, n_skipped));
        }
        let n = (rows.num_rows() - n_skipped).min(self.left);
        if n == 0 {
            return Ok(self.left > 0);
        }
        self.left -= n;
        self.counters.rows.add(n as u64);
        let rows = rows.slice(n_skipped, n);
        let events = match &mut self.watermarks {
            Some(watermarks) => watermarks.cut(rows),
            None => vec![Event::Rows(rows)],
        };
        for event in events {
            let event = match event {
                Event::Rows(rows) => Event::Rows(self.asked(&rows)?),
                other => other,
            };
            if !self.send(event) {
                return Ok(false);
            }
        }
        Ok(self.left > 0)
    }

    /// Without the column that only the watermark needs.
    fn asked(&self, rows: &RecordBatch) -> crate::error::Result<RecordBatch> {
        if rows.num_columns() == self.n_columns {
            return Ok(rows.clone());
        }
        Ok(rows.project(&(0..self.n_columns).collect::<Vec<_>>())?)
    }

    fn end(&self) -> Listens {
        Ok(self.send(Event::Watermark(END_OF_TIME_US)) && self.send(Event::End))
    }

    /// As fast as the reader goes.
    fn all(&mut self, media: &Arc<RowMedia>) -> Listens {
        let mut reader = media.read(self.wanted.clone(), Arc::clone(&self.counters));
        while self.left > 0 {
            let Some(rows) = reader.next()? else { break };
            if !self.give(rows)? && self.left > 0 {
                return Ok(false);
            }
        }
        self.end()
    }

    /// By the clock: a SELECT reads what has been played, a continuous query joins at the next row.
    fn played(&mut self, media: &Arc<RowMedia>, pace: &Pace, name: &str, continuous: bool, idle_timeout_us: i64) -> Listens {
        let joined_us = pace.elapsed_us();
        let mut turn = Turn::new(self.column, media.start_us());
        if continuous {
            // What is played is not played again for a query that goes on after a restore.
            self.skip = 0;
            self.wanted.from_row = media.n_due(joined_us).unwrap_or(0);
        }
        let mut joining = continuous;
        let mut reader: RowReader = media.read(self.wanted.clone(), Arc::clone(&self.counters));
        while let Some(mut rows) = reader.next()? {
            if joining {
                let (n_played, _) = turn.leading(&rows, joined_us);
                let played = rows.slice(0, n_played);
                turn.take(&played);
                if let Some(watermarks) = &mut self.watermarks {
                    watermarks.skip(&played);
                }
                rows = rows.slice(n_played, rows.num_rows() - n_played);
                joining = rows.num_rows() == 0;
            }
            while rows.num_rows() > 0 {
                let (n_due, next_us) = turn.leading(&rows, if continuous { pace.elapsed_us() } else { joined_us });
                let due = rows.slice(0, n_due);
                turn.take(&due);
                if n_due > 0 && !self.give(due)? {
                    return if self.left == 0 { self.end() } else { Ok(false) };
                }
                rows = rows.slice(n_due, rows.num_rows() - n_due);
                if rows.num_rows() > 0 && !continuous {
                    return self.end();
                }
                if rows.num_rows() > 0 && !self.wait(pace, next_us, idle_timeout_us) {
                    if pace.stopped() {
                        return Err(Error::State { message: format!("source \"{name}\" has been dropped"), hint: None });
                    }
                    return Ok(false);
                }
            }
        }
        pace.end_reached();
        self.end()
    }

    /// Waits for the next row's turn; a long wait is idle. False if the source is dropped or the reader wants no more.
    fn wait(&mut self, pace: &Pace, next_us: i64, idle_timeout_us: i64) -> bool {
        let idle_at_us = pace.elapsed_us().saturating_add(idle_timeout_us);
        if next_us > idle_at_us {
            if !self.sleep(pace, idle_at_us) {
                return false;
            }
            // Time passes all the same, so that windows of a silent source close.
            if let Some(watermark) = self.watermarks.as_mut().and_then(|w| w.pass(idle_timeout_us))
                && !self.send(watermark)
            {
                return false;
            }
            if !self.send(Event::Idle) {
                return false;
            }
        }
        self.sleep(pace, next_us)
    }

    fn sleep(&self, pace: &Pace, until_us: i64) -> bool {
        while !pace.stopped() && !self.sender.is_closed() {
            if !pace.sleep(until_us) {
                return !pace.stopped();
            }
        }
        false
    }
}
