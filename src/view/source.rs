//! A materialized view as something to read from: what it holds at this moment, or what comes.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::{StreamExt, stream};

use super::materialized::{End, MaterializedView};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{Again, EventStream, Request, Source, TimeColumn};

/// A view as something to read from.
#[derive(Debug)]
pub struct ViewSource(pub Arc<MaterializedView>);

impl Source for ViewSource {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        self.0.shape.time_columns.clone()
    }

    fn live(&self) -> bool {
        self.0.shape.live
    }

    fn ended(&self) -> bool {
        self.0.ending().is_some()
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn holds(&self) -> bool {
        true
    }

    fn now(&self) -> Option<Vec<RecordBatch>> {
        // Rows that could be filtered when they were asked for before can be filtered again.
        self.0.snapshot().ok()
    }

    fn takes_back(&self) -> bool {
        self.0.shape.updating
    }

    fn failed(&self) -> Option<Error> {
        match self.0.ending() {
            Some(End::Failed { code, message }) => Some(Error::Failed { name: self.0.name.clone(), code, message }),
            _ => None,
        }
    }

    fn again(&self) -> Again {
        // The rows of one that takes rows back have no numbers: what is there now is read.
        if self.0.shape.updating { Again::Anew } else { Again::Same }
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        let projection = request.projection.clone();
        if request.continuous {
            self.0.check_holds(request.skip_rows)?;
            let events = self.0.follow_from(Some(request.skip_rows), request.claim, request.position.clone());
            return Ok(Box::pin(events.map(move |event| {
                Ok(match event? {
                    Event::Rows(batch) => Event::Rows(batch.project(&projection)?),
                    Event::Changes { gone, come } => Event::Changes { gone: gone.project(&projection)?, come: come.project(&projection)? },
                    other => other,
                })
            })));
        }
        if let Some(failed) = self.failed() {
            return Err(failed.into());
        }
        let rows = self.0.snapshot()?.into_iter().map(move |b| Ok(Event::Rows(b.project(&projection)?)));
        Ok(Box::pin(stream::iter(rows.chain([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]))))
    }
}
