//! Reads a source: its rows pass unchanged and in order, and their number is the place from which a restored scan goes on.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::StreamExt;
use futures::stream;

use super::operator::{Operator, Output, State};
use super::{Checkpoint, Run};
use crate::event::Event;
use crate::frame::source::{EventStream, Request, Source};

/// The description: what is read and which of it.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What is read.
    pub source: Arc<dyn Source>,
    /// Which columns, which rows.
    pub request: Request,
    /// The columns read.
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

    pub(super) fn build(&self) -> ScanOperator {
        ScanOperator { n_rows: 0 }
    }

    /// Opens the source, after the rows that a restored scan had taken, with a barrier where the checkpoint asks for one.
    pub(super) fn open(&self, run: &Run, skip_rows: u64) -> Result<EventStream> {
        let request = Request {
            continuous: run.continuous,
            skip_rows,
            batch_rows: run.batch_rows.or(self.request.batch_rows),
            ..self.request.clone()
        };
        let events = self.source.open(&request)?;
        Ok(match barrier_at(&run.checkpoint) {
            None => events,
            Some(at) => with_barrier(events, at),
        })
    }
}

fn barrier_at(checkpoint: &Checkpoint) -> Option<u64> {
    checkpoint.barrier_after_rows
}

/// Cuts the batch in which the barrier falls. A source that has fewer rows sends it at its end, so that what an ended source has given is
/// in the snapshot too.
fn with_barrier(events: EventStream, at: u64) -> EventStream {
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

/// Counts the rows that passed.
pub(super) struct ScanOperator {
    n_rows: u64,
}

impl Operator for ScanOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        self.n_rows += rows.num_rows() as u64;
        out.rows(rows);
        Ok(())
    }

    fn changes(&mut self, _input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        out.changes(gone, come);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        Ok(State { numbers: [("n_rows".to_owned(), self.n_rows as i64)].into(), ..State::default() })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.n_rows = state.numbers.get("n_rows").map_or(0, |n| *n as u64);
        Ok(())
    }
}
