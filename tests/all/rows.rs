//! A source of chosen rows for tests: event times in any order, a watermark some way behind, as a source of rows keeps it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::error::Result;
use framesql::engine::session::Session;
use framesql::event::{END_OF_TIME_US, Event};
use framesql::frame::source::{EventStream, Request, Source, TimeColumn};
use framesql::plan::table::SourceTable;
use futures::stream;

/// One row: its time in ms, a key, a number.
pub(crate) type Row = (Option<i64>, Option<&'static str>, i64);

/// Rows in the order in which they come.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) delay_ms: i64,
}

/// Makes them readable as `test.t` (ts, k, n).
pub(crate) fn register(session: &Session, rows: Rows) {
    let schema = MemorySchemaProvider::new();
    schema.register_table("t".to_owned(), Arc::new(SourceTable::new(Arc::new(rows)))).unwrap();
    let catalogs = session.context().catalog_names();
    session.context().catalog(&catalogs[0]).unwrap().register_schema("test", Arc::new(schema)).unwrap();
}

impl Rows {
    fn batch(&self, rows: &[Row], projection: &[usize]) -> Result<RecordBatch> {
        let times = rows.iter().map(|r| r.0.map(|ms| ms * 1_000));
        let columns: [ArrayRef; 3] = [
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC")),
            Arc::new(StringArray::from_iter(rows.iter().map(|r| r.1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2))),
        ];
        Ok(RecordBatch::try_new(self.schema(), columns.to_vec())?.project(projection)?)
    }
}

impl Source for Rows {
    fn name(&self) -> &str {
        "t"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Field::new("k", DataType::Utf8, true),
            Field::new("n", DataType::Int64, false),
        ]))
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        vec![TimeColumn { index: 0, lag_us: 0 }]
    }

    fn live(&self) -> bool {
        false
    }

    fn ended(&self) -> bool {
        true
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        let batch_rows = request.batch_rows.unwrap_or(100);
        let (mut events, mut pending) = (Vec::new(), Vec::new());
        let mut newest = None;
        let mut flush = |pending: &mut Vec<Row>, watermark: Option<i64>| -> Result<()> {
            if !pending.is_empty() {
                events.push(Ok(Event::Rows(self.batch(pending, &request.projection)?)));
                pending.clear();
            }
            events.extend(watermark.map(|ms| Ok(Event::Watermark(ms * 1_000))));
            Ok(())
        };
        for (at, row) in self.rows.iter().enumerate() {
            let watermark = newest.map(|ms: i64| ms - self.delay_ms);
            // Lateness depends on the rows before, never on where a batch ends.
            let late = row.0.zip(watermark).is_some_and(|(ts, watermark)| ts < watermark);
            if late || pending.len() >= batch_rows {
                flush(&mut pending, watermark)?;
            }
            newest = newest.max(row.0);
            if at as u64 >= request.skip_rows {
                pending.push(*row);
            }
        }
        flush(&mut pending, newest.map(|ms| ms - self.delay_ms))?;
        events.extend([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]);
        Ok(Box::pin(stream::iter(events)))
    }
}
