//! The trait that sources, tables and views implement, so that `run` reads rows and names none of them.

use std::fmt::Debug;
use std::pin::Pin;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use futures::Stream;

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
    /// Rows already taken before a restore: the first so many are left out.
    pub skip_rows: u64,
    /// At most so many rows in a batch, fewer where they carry pixels; None is the engine's setting.
    pub batch_rows: Option<usize>,
    /// No more rows than this are needed.
    pub limit: Option<usize>,
}

/// Something that rows can be read from.
pub trait Source: Debug + Send + Sync {
    /// Its name in SQL.
    fn name(&self) -> &str;
    /// Its columns.
    fn schema(&self) -> SchemaRef;
    /// The column that carries event time, as an index of the schema; None where rows have no time.
    fn event_time(&self) -> Option<usize>;
    /// Whether it does not end, or is paced by the clock.
    fn live(&self) -> bool;
    /// Starts reading. Errs when the medium has gone.
    fn open(&self, request: &Request) -> Result<EventStream>;
}
