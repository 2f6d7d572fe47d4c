//! What SUBSCRIBE gives: rows with the watermark up to which they are complete, and +1 for a row that comes.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, TimestampMicrosecondArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{FutureExt, StreamExt, stream};

use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::batch::ts_type;
use crate::frame::source::EventStream;

/// If more rows wait for a watermark, they are committed without it.
const WAITING_ROWS: usize = 65_536;

/// The columns of a changelog: watermark, diff, with progress also progressed, and then those of the rows.
pub fn schema(rows: &SchemaRef, progress: bool) -> SchemaRef {
    let mut fields = vec![Arc::new(Field::new("watermark", ts_type(), true)), Arc::new(Field::new("diff", DataType::Int32, true))];
    if progress {
        fields.push(Arc::new(Field::new("progressed", DataType::Boolean, false)));
    }
    // A progress row has no columns of its own.
    fields.extend(rows.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(progress || f.is_nullable()))));
    Arc::new(Schema::new(fields))
}

/// Rows that wait for the watermark with which they are committed.
#[derive(Debug, Default)]
pub struct Waiting {
    batches: Vec<RecordBatch>,
    n_rows: usize,
}

impl Waiting {
    /// Adds rows, and gives those before them back if no more may wait. What comes in one batch is never divided.
    pub fn add(&mut self, rows: RecordBatch) -> Vec<RecordBatch> {
        let full = if self.n_rows >= WAITING_ROWS { self.take() } else { Vec::new() };
        self.n_rows += rows.num_rows();
        self.batches.push(rows);
        full
    }

    /// The rows, which wait no longer.
    pub fn take(&mut self) -> Vec<RecordBatch> {
        self.n_rows = 0;
        std::mem::take(&mut self.batches)
    }
}

/// When the rows of a changelog are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// With the watermark that follows them.
    Complete,
    /// With the watermark that is known if the next is not there yet: they wait for nobody.
    AtOnce,
    /// As a view has committed them, however many: they are kept there anyway.
    Committed,
}

/// The changelog of events: the rows of one commit share the watermark that follows them, or else the one that is known, NULL before the first.
pub fn changes(rows: &SchemaRef, events: EventStream, progress: bool, told: Told) -> SendableRecordBatchStream {
    let schema = schema(rows, progress);
    let writer = Writer { schema: Arc::clone(&schema), progress, told, waiting: Waiting::default(), known_us: None, shown_us: None };
    let batches = stream::unfold((events, writer, false), move |(mut events, mut writer, ended)| async move {
        if ended {
            return None;
        }
        let event = match events.next().now_or_never() {
            Some(event) => event,
            None if told != Told::Complete && writer.waiting.n_rows > 0 => {
                let rows = writer.waiting.take();
                return Some((stream::iter(writer.known(&rows)), (events, writer, false)));
            }
            None => events.next().await,
        };
        let ended = !matches!(&event, Some(Ok(_))) || matches!(&event, Some(Ok(Event::End)));
        let batches = match event {
            Some(Ok(event)) => writer.take(event),
            Some(Err(e)) => vec![Err(e)],
            None => Vec::new(),
        };
        Some((stream::iter(batches), (events, writer, ended)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches.flatten()))
}

struct Writer {
    schema: SchemaRef,
    progress: bool,
    told: Told,
    waiting: Waiting,
    /// The watermark up to now.
    known_us: Option<i64>,
    shown_us: Option<i64>,
}

impl Writer {
    fn take(&mut self, event: Event) -> Vec<Result<RecordBatch>> {
        match event {
            Event::Rows(rows) if self.told == Told::Committed => {
                self.waiting.n_rows += rows.num_rows();
                self.waiting.batches.push(rows);
                Vec::new()
            }
            Event::Rows(rows) => {
                let full = self.waiting.add(rows);
                self.known(&full)
            }
            Event::Changes { .. } => vec![Err(Error::Internal("changes in a query that only grows".into()).into())],
            Event::Watermark(us) => {
                self.known_us = Some(us);
                self.commit(us)
            }
            // Rows without a watermark after them: their input has ended.
            Event::End if self.waiting.n_rows > 0 => self.commit(END_OF_TIME_US),
            Event::End => Vec::new(),
            Event::Barrier(_) | Event::Idle => Vec::new(),
        }
    }

    /// Rows with the watermark up to now.
    fn known(&self, rows: &[RecordBatch]) -> Vec<Result<RecordBatch>> {
        rows.iter().map(|rows| self.rows(rows, self.known_us)).collect()
    }

    fn commit(&mut self, us: i64) -> Vec<Result<RecordBatch>> {
        let mut batches: Vec<Result<RecordBatch>> = self.waiting.take().iter().map(|rows| self.rows(rows, Some(us))).collect();
        if self.progress && self.shown_us.is_none_or(|shown| us > shown) {
            self.shown_us = Some(us);
            batches.push(self.progressed(us));
        }
        batches
    }

    fn rows(&self, rows: &RecordBatch, watermark_us: Option<i64>) -> Result<RecordBatch> {
        let n = rows.num_rows();
        let mut columns: Vec<ArrayRef> = vec![watermark(watermark_us, n), Arc::new(Int32Array::from_value(1, n))];
        if self.progress {
            columns.push(Arc::new(BooleanArray::from(vec![false; n])));
        }
        columns.extend(rows.columns().iter().cloned());
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn progressed(&self, us: i64) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> =
            vec![watermark(Some(us), 1), new_null_array(&DataType::Int32, 1), Arc::new(BooleanArray::from(vec![true]))];
        columns.extend(self.schema.fields().iter().skip(3).map(|f| new_null_array(f.data_type(), 1)));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// The end of time has no number in SQL: it reads as infinity, which is what the largest one prints as. None is NULL.
fn watermark(us: Option<i64>, n: usize) -> ArrayRef {
    Arc::new(std::iter::repeat_n(us, n).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}
