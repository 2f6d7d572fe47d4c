//! Inputs that are silent: an idle one holds nobody's windows open, and when all are idle time goes on with the slowest of them.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
};
use datafusion::prelude::SessionContext;
use framesql::engine::catalog::Catalog;
use framesql::event::{END_OF_TIME_US, Event};
use framesql::frame::source::{EventStream, Request, Source, TimeColumn};
use framesql::plan::parse::{Emit, parse_query};
use framesql::plan::query;
use framesql::plan::table::SourceTable;
use framesql::run::exec::events_of;
use framesql::run::inference::Inference;
use framesql::run::{Run, lower};
use futures::{FutureExt, StreamExt, stream};

/// A source that gives what is written down for it, and then goes on without a word.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    events: Vec<Event>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)]))
}

impl Source for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        vec![TimeColumn { index: 0, lag_us: 0 }]
    }

    fn live(&self) -> bool {
        true
    }

    fn ended(&self) -> bool {
        false
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn open(&self, _: &Request) -> datafusion::error::Result<EventStream> {
        Ok(Box::pin(stream::iter(self.events.clone()).map(Ok).chain(stream::pending())))
    }
}

const SECOND_US: i64 = 1_000_000;

/// A row at that second, and the watermark behind it.
fn row(second: i64) -> [Event; 2] {
    let ts = TimestampMicrosecondArray::from(vec![second * SECOND_US]).with_timezone("UTC");
    [Event::Rows(RecordBatch::try_new(schema(), vec![Arc::new(ts)]).unwrap()), Event::Watermark(second * SECOND_US)]
}

/// What a query over the sources `a` and `b` gives until both are silent: the rows of each firing, the watermarks, and Idle.
async fn told(a: Vec<Event>, b: Vec<Event>) -> Vec<String> {
    let context = SessionContext::new_with_state(query::state("framesql", Arc::default(), Arc::new(Catalog::default()), Arc::default()));
    let tables = MemorySchemaProvider::new();
    for source in [Scripted { name: "a", events: a }, Scripted { name: "b", events: b }] {
        tables.register_table(source.name.to_owned(), Arc::new(SourceTable::new(Arc::new(source)))).unwrap();
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(tables)).unwrap();
    let list = MemoryCatalogProviderList::new();
    list.register_catalog("framesql".to_owned(), Arc::new(catalog));
    context.register_catalog_list(Arc::new(list));
    let sql = "SELECT window_end, count(*) AS n FROM TUMBLE((SELECT ts FROM a UNION ALL SELECT ts FROM b), ts, INTERVAL '1 second') GROUP BY window_end";
    let plan = query::plan(&context.state(), parse_query(sql).unwrap().query).await.unwrap();
    let plan = query::optimise_continuous(&context.state(), &plan, Emit::Default).unwrap();
    let run = Run::new(Arc::new(Inference::new(0, 1)), true);
    let plan = lower::continuous(&plan, &run).unwrap();
    let mut events = events_of(&plan, &context.task_ctx()).unwrap();
    let mut told = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        told.push(match event.unwrap() {
            Event::Rows(rows) => format!("{} rows", rows.column(1).as_primitive::<Int64Type>().value(0)),
            Event::Watermark(us) => format!("{} s", us / SECOND_US),
            Event::Idle => "idle".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    told
}

fn script(parts: &[&[Event]]) -> Vec<Event> {
    parts.concat()
}

#[tokio::test]
async fn the_slowest_input_that_is_not_idle_says_what_time_it_is() {
    // Both go on: a is at 1 s, so that only what ends there has fired.
    let both = told(script(&[&row(0), &row(1)]), script(&[&row(0), &row(4), &row(9)])).await;
    assert!(both.contains(&"2 rows".to_owned()), "{both:?}");
    assert_eq!(both.iter().filter(|e| e.ends_with("rows")).count(), 1, "{both:?}");
    assert_eq!(both.last().map(String::as_str), Some("1 s"), "{both:?}");
}

#[tokio::test]
async fn an_idle_input_holds_no_window_open() {
    let silent = told(script(&[&row(0), &row(1), &[Event::Idle]]), script(&[&row(0), &row(4), &row(9)])).await;
    let firings: Vec<&String> = silent.iter().filter(|e| e.ends_with("rows")).collect();
    assert_eq!(firings, ["2 rows", "1 rows", "1 rows"], "{silent:?}");
    assert_eq!(silent.last().map(String::as_str), Some("9 s"), "{silent:?}");
    assert!(!silent.contains(&"idle".to_owned()), "b is awake: {silent:?}");
}

#[tokio::test]
async fn an_input_that_wakes_counts_again() {
    // Once awake at 6 s, a holds the time there, though b is far ahead.
    let a = script(&[&row(0), &[Event::Idle], &row(6)]);
    let woken = told(a, script(&[&row(0), &row(4), &row(6), &row(20)])).await;
    let at = |second: i64| format!("{second} s");
    assert_eq!(woken.last(), Some(&at(6)), "{woken:?}");
    assert!(!woken.contains(&at(20)), "{woken:?}");
}

#[tokio::test]
async fn when_all_are_idle_time_goes_on_with_the_slowest() {
    // A silent camera says what time it must be by now, and that it is idle still.
    let passed = |second: i64| [Event::Watermark(second * SECOND_US), Event::Idle];
    let all = told(script(&[&row(0), &passed(5), &passed(10)]), script(&[&row(1), &passed(6), &passed(11)])).await;
    assert_eq!(all.iter().filter(|e| e.ends_with("rows")).count(), 2, "both windows have closed: {all:?}");
    let seconds: Vec<&String> = all.iter().filter(|e| e.ends_with(" s")).collect();
    assert_eq!(seconds.last().map(|s| s.as_str()), Some("10 s"), "{all:?}");
    assert_eq!(all.last().map(String::as_str), Some("idle"), "{all:?}");
}

#[tokio::test]
async fn an_input_that_is_at_its_end_pulls_no_silent_one_along() {
    // The end of time is said before the end, and the end may be read much later: until then b, silent at 4 s, still says what time it is.
    let ended = told(script(&[&row(0), &[Event::Watermark(END_OF_TIME_US)]]), script(&[&row(0), &row(4), &[Event::Idle]])).await;
    assert_eq!(ended.iter().filter(|e| e.ends_with("rows")).count(), 1, "{ended:?}");
    assert_eq!(ended.iter().rfind(|e| e.ends_with(" s")).map(String::as_str), Some("4 s"), "{ended:?}");
}
