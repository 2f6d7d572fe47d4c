//! Windows alone: detections from arrow batches in memory through each window function, as a SELECT and as a continuous query, in rows a second.

mod statements;

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::error::Result;
use framesql::engine::session::Session;
use framesql::event::{END_OF_TIME_US, Event};
use framesql::frame::source::{EventStream, Request, Source, TimeColumn};
use framesql::plan::table::SourceTable;
use framesql::settings::Settings;
use futures::stream;

const N_ROWS: i64 = 1_000_000;
const BATCH_ROWS: i64 = 8_192;
/// Between two rows; 500 a second.
const STEP_US: i64 = 2_000;
const SHAPES: [(&str, &str); 4] = [
    ("tumble 10 s", "TUMBLE(bench.detections, ts, INTERVAL '10 seconds')"),
    ("hop 2 s of 10 s", "HOP(bench.detections, ts, INTERVAL '2 seconds', INTERVAL '10 seconds')"),
    ("cumulate 2 s to 60 s", "CUMULATE(bench.detections, ts, INTERVAL '2 seconds', INTERVAL '60 seconds')"),
    ("session of 100 ms", "SESSION(bench.detections PARTITION BY camera, ts, INTERVAL '100 milliseconds')"),
];

/// Detections of 40 cameras in the order of their times.
#[derive(Debug)]
struct Detections(Vec<RecordBatch>);

fn detections() -> Detections {
    let mut rng = fastrand::Rng::with_seed(1);
    let names: Vec<String> = (0..40).map(|camera| format!("camera {camera}")).collect();
    let batch = |from: i64| {
        let rows = from..(from + BATCH_ROWS).min(N_ROWS);
        let columns: [(&str, ArrayRef); 3] = [
            ("camera", Arc::new(StringArray::from_iter_values(rows.clone().map(|_| &names[rng.usize(..names.len())])))),
            ("ts", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.clone().map(|row| row * STEP_US)).with_timezone("UTC"))),
            ("score", Arc::new(Float64Array::from_iter_values(rows.map(|_| rng.f64())))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("the columns are of one length")
    };
    Detections((0..N_ROWS).step_by(BATCH_ROWS as usize).map(batch).collect())
}

impl Source for Detections {
    fn name(&self) -> &str {
        "detections"
    }

    fn schema(&self) -> SchemaRef {
        self.0[0].schema()
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        vec![TimeColumn { index: 1, lag_us: 0 }]
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
        let mut events = Vec::new();
        for (number, batch) in self.0.iter().enumerate() {
            events.push(Ok(Event::Rows(batch.project(&request.projection)?)));
            events.push(Ok(Event::Watermark((number as i64 + 1) * BATCH_ROWS * STEP_US)));
        }
        events.extend([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]);
        Ok(Box::pin(stream::iter(events)))
    }
}

fn register(session: &Session) {
    let schema = MemorySchemaProvider::new();
    let table = Arc::new(SourceTable::new(Arc::new(detections())));
    schema.register_table("detections".to_owned(), table).expect("the schema is empty");
    let catalogs = session.context().catalog_names();
    let catalog = session.context().catalog(&catalogs[0]).expect("it has just been named");
    catalog.register_schema("bench", Arc::new(schema)).expect("the name is free");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    let engine = runtime.block_on(statements::open(Settings::default()));
    let session = engine.session("bench", "bench");
    register(&session);
    let mut group = criterion.benchmark_group("window");
    group.sample_size(10).throughput(Throughput::Elements(N_ROWS as u64));
    for (name, window) in SHAPES {
        let query = format!(
            "SELECT camera, window_start, window_end, count(*), avg(score) FROM {window} GROUP BY camera, window_start, window_end"
        );
        group.bench_function(format!("{name}, SELECT"), |bencher| {
            bencher.iter(|| runtime.block_on(statements::run(&session, &query)));
        });
        group.bench_function(format!("{name}, SUBSCRIBE"), |bencher| {
            bencher.iter(|| runtime.block_on(statements::run(&session, &format!("SUBSCRIBE ({query})"))));
        });
    }
    group.finish();
    criterion.final_summary();
}
