//! Reads a source: its rows pass unchanged and in order, and their number is the place from which a restored scan goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::StreamExt;
use futures::stream;
use serde::{Deserialize, Serialize};

use super::Run;
use super::every::{self, Columns};
use super::operator::{Operator, Output, State};
use crate::event::Event;
use crate::frame::source::{Again, EventStream, Request, Source};

/// The description: what is read and which of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// What is read.
    #[serde(with = "super::written")]
    pub source: Arc<dyn Source>,
    /// Which columns, which rows.
    #[serde(with = "super::written")]
    pub request: Request,
    /// The columns read.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Scan {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let columns: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        let mut text = format!("source={}, columns=[{}]", self.source.name(), columns.join(", "));
        if !self.request.filters.is_empty() {
            let filters: Vec<String> = self.request.filters.iter().map(|f| f.to_string()).collect();
            text.push_str(&format!(", may skip by [{}]", filters.join(", ")));
        }
        text
    }

    /// Opens the source, after the rows that a restored scan had taken if they come again, with a barrier where the checkpoint asks for one;
    /// and what counts them.
    pub(super) fn open(&self, run: &Run, restored: Option<&State>) -> Result<(ScanOperator, EventStream)> {
        let skip_rows = restored.filter(|_| self.source.again() == Again::Same).map_or(0, n_rows_of);
        let operator = ScanOperator::counting_from(skip_rows);
        let mut request = Request {
            continuous: run.continuous,
            skip_rows,
            position: Some(Arc::clone(&operator.position)),
            claim: run.claim(),
            batch_rows: run.batch_rows.or(self.request.batch_rows),
            ..self.request.clone()
        };
        let every = run.pace.every_us.filter(|_| run.continuous);
        let every = every.and_then(|us| Some((Columns::add_to(&mut request.projection, &self.source.time_columns())?, us)));
        let events = self.source.open(&request)?;
        let events = match every {
            Some((columns, every_us)) => every::cut(events, columns, every_us, restored.is_some()),
            None => events,
        };
        let events = run.checkpoint.with_barriers(events, self.source.again() == Again::Later);
        let events = match run.checkpoint.barrier_after_rows {
            None => events,
            Some(at) => with_barrier(events, at),
        };
        Ok((operator, events))
    }
}

/// How many rows a scan had taken.
pub(super) fn n_rows_of(state: &State) -> u64 {
    state.numbers.get(N_ROWS).map_or(0, |n| n.cast_unsigned())
}

/// Cuts the batch in which the barrier falls. A source that has fewer rows sends it at its end, so that what an ended source has given is
/// in the snapshot too.
pub(super) fn with_barrier(events: EventStream, at: u64) -> EventStream {
    let parts = events.scan((0_u64, false), move |(seen, sent), event| {
        let mut parts: Vec<Result<Event>> = Vec::new();
        match event {
            Ok(Event::Rows(rows)) => {
                let (before, n) = (*seen, rows.num_rows() as u64);
                *seen += n;
                if !*sent && at <= *seen {
                    *sent = true;
                    let head = (at - before) as usize;
                    if head > 0 {
                        parts.push(Ok(Event::Rows(rows.slice(0, head))));
                    }
                    parts.push(Ok(Event::Barrier(1)));
                    if head < rows.num_rows() {
                        parts.push(Ok(Event::Rows(rows.slice(head, rows.num_rows() - head))));
                    }
                } else {
                    parts.push(Ok(Event::Rows(rows)));
                }
            }
            Ok(Event::End) => {
                if !*sent {
                    parts.push(Ok(Event::Barrier(1)));
                }
                parts.push(Ok(Event::End));
            }
            other => parts.push(other),
        }
        futures::future::ready(Some(stream::iter(parts)))
    });
    Box::pin(parts.flatten())
}

/// Under which name the number of rows is kept.
const N_ROWS: &str = "n_rows";
/// The position of a source that does not tell it.
const NOT_TOLD: u64 = u64::MAX;

/// Counts the rows that passed.
pub(super) struct ScanOperator {
    /// Those before a restore, and those that have passed since.
    restored: u64,
    passed: u64,
    /// What a source whose rows have numbers says is to be added to those that have passed.
    position: Arc<AtomicU64>,
}

impl ScanOperator {
    /// One whose rows are counted from that number on.
    pub(super) fn counting_from(n_rows: u64) -> ScanOperator {
        ScanOperator { restored: n_rows, passed: 0, position: Arc::new(AtomicU64::new(NOT_TOLD)) }
    }
}

impl Operator for ScanOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        self.passed += rows.num_rows() as u64;
        out.rows(rows);
        Ok(())
    }

    fn changes(&mut self, _input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        out.changes(gone, come);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let n_rows = match self.position.load(Ordering::Acquire) {
            NOT_TOLD => self.restored,
            position => position,
        } + self.passed;
        Ok(State { numbers: [(N_ROWS.to_owned(), n_rows.cast_signed())].into(), ..State::default() })
    }
}
