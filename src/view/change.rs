//! What SUBSCRIBE gives: rows with the watermark up to which they are complete, +1 for a row that comes and -1 for one that is taken back.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, TimestampMicrosecondArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{FutureExt, StreamExt, stream};

use super::net::Net;
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::batch::ts_type;
use crate::frame::source::EventStream;

/// What stands for no watermark yet: it reads as -infinity.
const BEFORE_TIME_US: i64 = i64::MIN;
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
    /// Those rows.
    pub fn of(batches: Vec<RecordBatch>) -> Waiting {
        Waiting { n_rows: batches.iter().map(RecordBatch::num_rows).sum(), batches }
    }

    /// Adds rows, and gives those before them back if no more may wait. What comes in one batch is never divided.
    pub fn add(&mut self, rows: RecordBatch) -> Vec<RecordBatch> {
        let full = if self.n_rows >= WAITING_ROWS { self.take() } else { Vec::new() };
        self.n_rows += rows.num_rows();
        self.batches.push(rows);
        full
    }

    /// The rows, which go on waiting.
    pub fn rows(&self) -> &[RecordBatch] {
        &self.batches
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

/// The changelog of events: the rows of one commit share the watermark that follows them, or else the one that is known, -infinity before the
/// first.
pub fn changes(rows: &SchemaRef, events: EventStream, progress: bool, told: Told) -> SendableRecordBatchStream {
    let schema = schema(rows, progress);
    let writer = Writer {
        schema: Arc::clone(&schema),
        net: Net::try_new(rows),
        progress,
        told,
        waiting: Vec::new(),
        n_waiting: 0,
        watermark_us: BEFORE_TIME_US,
        shown_us: None,
    };
    let batches = stream::unfold((events, writer, false), move |(mut events, mut writer, ended)| async move {
        if ended {
            return None;
        }
        let event = match events.next().now_or_never() {
            Some(event) => event,
            None if told != Told::Complete && !writer.waiting.is_empty() => {
                return Some((stream::iter(writer.commit_known()), (events, writer, false)));
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
    net: Result<Net>,
    /// The rows of the commit at hand, with their diff.
    waiting: Vec<(RecordBatch, i32)>,
    n_waiting: usize,
    watermark_us: i64,
    shown_us: Option<i64>,
}

impl Writer {
    fn take(&mut self, event: Event) -> Vec<Result<RecordBatch>> {
        match event {
            Event::Rows(rows) => {
                // What comes in one batch is never divided, and what a view has committed is one commit, however large: it is kept there anyway.
                let full = self.told != Told::Committed && self.n_waiting >= WAITING_ROWS;
                let before = if full { self.commit_known() } else { Vec::new() };
                self.n_waiting += rows.num_rows();
                self.waiting.push((rows, 1));
                before
            }
            Event::Changes { gone, come } => {
                // A commit whose watermark did not move (another input holds it back) is shown with the one before, and does not wait.
                let before = if self.waiting.is_empty() { Vec::new() } else { self.commit_known() };
                let net = match &self.net {
                    Ok(net) => net.of(&gone, &come),
                    Err(e) => Err(Error::Internal(e.to_string()).into()),
                };
                match net {
                    Ok((gone, come)) => self.waiting.extend([(gone, -1), (come, 1)].into_iter().filter(|(rows, _)| rows.num_rows() > 0)),
                    Err(e) => return vec![Err(e)],
                }
                before
            }
            Event::Watermark(us) => self.commit(Some(us)),
            // Rows without a watermark after them: their input has ended.
            Event::End => {
                if self.waiting.is_empty() {
                    Vec::new()
                } else {
                    self.commit(None)
                }
            }
            Event::Barrier(_) | Event::Idle => Vec::new(),
        }
    }

    /// What waits, with the watermark that is known.
    fn commit_known(&mut self) -> Vec<Result<RecordBatch>> {
        self.n_waiting = 0;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().map(|(rows, diff)| self.rows(rows, *diff, Some(self.watermark_us))).collect()
    }

    fn commit(&mut self, watermark_us: Option<i64>) -> Vec<Result<RecordBatch>> {
        self.watermark_us = watermark_us.unwrap_or(self.watermark_us);
        self.n_waiting = 0;
        let mut batches: Vec<Result<RecordBatch>> =
            std::mem::take(&mut self.waiting).iter().map(|(rows, diff)| self.rows(rows, *diff, watermark_us)).collect();
        if let Some(us) = watermark_us.filter(|us| self.progress && *us > BEFORE_TIME_US && self.shown_us.is_none_or(|shown| *us > shown)) {
            self.shown_us = Some(us);
            batches.push(self.progressed(us));
        }
        batches
    }

    fn rows(&self, rows: &RecordBatch, diff: i32, watermark_us: Option<i64>) -> Result<RecordBatch> {
        let n = rows.num_rows();
        let mut columns: Vec<ArrayRef> = vec![watermark(watermark_us, n), Arc::new(Int32Array::from_value(diff, n))];
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

/// The end of time has no number in SQL: it reads as infinity, which is what the largest one prints as.
fn watermark(us: Option<i64>, n: usize) -> ArrayRef {
    let us = us.unwrap_or(END_OF_TIME_US);
    Arc::new(TimestampMicrosecondArray::from_value(us, n).with_timezone("UTC"))
}
