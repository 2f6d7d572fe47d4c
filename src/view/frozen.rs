//! A view or table as it was at one moment, for a transaction that is to see nothing that came later.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use futures::stream;

use super::materialized::MaterializedView;
use super::source::ViewSource;
use super::table::Table;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, Request, Source, TimeColumn};

/// Its rows, and what it was.
#[derive(Debug)]
pub struct Frozen {
    name: String,
    schema: SchemaRef,
    time_columns: Vec<TimeColumn>,
    live: bool,
    takes_back: bool,
    flows: bool,
    rows: Vec<RecordBatch>,
}

impl Frozen {
    /// A view as it is now. Errs if its rows cannot be read.
    pub fn of_view(view: &Arc<MaterializedView>) -> Result<Frozen> {
        let rows = view.snapshot()?;
        let source = ViewSource(Arc::clone(view));
        Ok(Frozen { flows: true, ..Frozen::of_source(&source, rows) })
    }

    /// A table as it is now.
    pub fn of_table(table: &Arc<Table>) -> Frozen {
        Frozen { flows: false, ..Frozen::of_source(table.as_ref(), vec![table.rows()]) }
    }

    fn of_source(source: &dyn Source, rows: Vec<RecordBatch>) -> Frozen {
        Frozen {
            name: source.name().to_owned(),
            schema: source.schema(),
            time_columns: source.time_columns(),
            live: source.live(),
            takes_back: source.takes_back(),
            flows: source.flows(),
            rows,
        }
    }

    /// Whether it is what that source was: of its columns, and not with the places of its rows.
    pub fn of(&self, source: &dyn Source) -> bool {
        self.flows == source.flows() && self.schema == source.schema()
    }

    /// Whether a table has still the rows that it had.
    pub fn is_now(&self, table: &Table) -> bool {
        let now = table.rows();
        let same = |then: &RecordBatch| then.columns().iter().zip(now.columns()).all(|(a, b)| Arc::ptr_eq(a, b));
        self.rows.first().is_some_and(|then| then.num_rows() == now.num_rows() && same(then))
    }
}

impl Source for Frozen {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        self.time_columns.clone()
    }

    fn live(&self) -> bool {
        self.live
    }

    fn ended(&self) -> bool {
        true
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn flows(&self) -> bool {
        self.flows
    }

    fn may_skip_by(&self, _: &Expr) -> bool {
        false
    }

    fn holds(&self) -> bool {
        true
    }

    fn now(&self) -> Option<Vec<RecordBatch>> {
        Some(self.rows.clone())
    }

    fn takes_back(&self) -> bool {
        self.takes_back
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        let rows = self.rows.iter().map(|rows| Ok(Event::Rows(rows.project(&request.projection)?))).collect::<Vec<_>>();
        Ok(Box::pin(stream::iter(rows.into_iter().chain([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]))))
    }
}
