//! The trait that sources, tables and views implement, so that `run` reads rows and names none of them.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use futures::{Stream, stream};
use tokio::sync::mpsc;

use super::range::Range;
use crate::error::Error;
use crate::event::Event;

/// The events of one reader, in order; dropping it ends the reader's thread.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Event>> + Send>>;

/// What a reader asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The columns wanted, as indices of the source's schema, in the order wanted.
    pub projection: Vec<usize>,
    /// Predicates that a row must pass; a source may use them to read less, the plan applies them again.
    pub filters: Vec<Expr>,
    /// Whether the reader goes on with what comes (a job), or reads what is there and ends (a SELECT).
    pub continuous: bool,
    /// Rows already taken before a restore: the first so many are left out. Of a view's it is the number of the first that is wanted.
    pub skip_rows: u64,
    /// Where a view says what is to be added to the number of rows that it has given, to be the number of its next row: retention drops some that a reader
    /// has never had.
    pub position: Option<Arc<AtomicU64>>,
    /// At most so many rows in a batch, fewer where they carry pixels; None is the engine's setting.
    pub batch_rows: Option<usize>,
    /// No more rows than this are needed.
    pub limit: Option<usize>,
    /// Whether the row before each that the filters let through is wanted too, of those that a source may skip: it is compared with.
    pub one_before: bool,
    /// What a view does for a reader that is slower than its rows are dropped.
    pub claim: Claim,
}

/// What a view's retention leaves to a reader that has not had all of its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: a client that falls behind gets an error, and holds up nobody.
    #[default]
    None,
    /// The rows, up to a bound: a job that reads several inputs may wait for another of them, and so is not waited for.
    Rows,
    /// The rows, and the view's writer waits where they get many: a job that reads nothing else.
    RowsAndWriter,
}

/// What a source gives after the program was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same rows from the first on: a reader goes on behind those that it had.
    Same,
    /// Other rows, at later times: a reader goes on with them.
    Later,
    /// Its first rows at the clock's pace once more, or what it holds: a reader begins anew.
    Anew,
}

/// A column that carries event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeColumn {
    /// Its index in the source's schema.
    pub index: usize,
    /// How far behind the watermark its values may still come, µs: 0 for `ts`, a window's size for its start.
    pub lag_us: i64,
}

/// Something that rows can be read from.
pub trait Source: Debug + Send + Sync {
    /// Its name in SQL.
    fn name(&self) -> &str;
    /// Its columns.
    fn schema(&self) -> SchemaRef;
    /// The indices of the columns of which no two of its rows have the same values, nor NULLs; empty where that is not kept.
    fn primary_key(&self) -> &[usize] {
        &[]
    }
    /// The columns that carry event time.
    fn time_columns(&self) -> Vec<TimeColumn>;
    /// Whether it does not end, or is paced by the clock.
    fn live(&self) -> bool;
    /// Whether all its rows have come, or come as fast as they are read.
    fn ended(&self) -> bool;
    /// Whether its frames come with their pixels, or are references only.
    fn has_pixels(&self) -> bool;
    /// Whether rows come to it in the order of time, so that a continuous query can follow it; a table is only looked into.
    fn flows(&self) -> bool {
        true
    }
    /// Whether a reader can use the filter to read less.
    fn may_skip_by(&self, filter: &Expr) -> bool {
        Range::understands(filter)
    }
    /// Whether it holds its rows, for those who look values up in it, and does not only flow.
    fn holds(&self) -> bool {
        false
    }
    /// The rows that it holds at this moment, whole; None for one that holds none, or where they cannot be read.
    fn now(&self) -> Option<Vec<RecordBatch>> {
        None
    }
    /// Why its rows are not all that there should be.
    fn failed(&self) -> Option<Error> {
        None
    }
    /// Whether rows that it gives may be taken back by later ones (a view that updates its answer).
    fn takes_back(&self) -> bool {
        false
    }
    /// What it gives when it is read after a restart of the program.
    fn again(&self) -> Again {
        Again::Same
    }
    /// Starts reading. Errs when the medium has gone.
    fn open(&self, request: &Request) -> Result<EventStream>;
}

/// What a thread sends, up to its end or its error. A thread that goes without either has panicked, which is an error and no end.
pub fn until_end(receiver: mpsc::Receiver<Result<Event>>) -> EventStream {
    Box::pin(stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(event) => {
                let last = matches!(event, Err(_) | Ok(Event::End));
                Some((event, (!last).then_some(receiver)))
            }
            None => Some((Err(Error::Internal("a thread that reads frames has stopped".into()).into()), None)),
        }
    }))
}
