//! The schema framesql: what runs, what was read, what was lost; every table is made when it is asked for.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use framesql_udfs::function::functions;

use super::catalog::{Body, Catalog};
use super::job::Jobs;
use crate::event::END_OF_TIME_US;
use crate::frame::source::Source;
use crate::frame::video::VideoSource;
use crate::run::inference::Inference;
use crate::view::materialized::{End, MaterializedView};

/// The schema.
#[derive(Debug)]
pub struct System {
    /// The objects.
    pub catalog: Arc<Catalog>,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// The models.
    pub inference: Arc<Inference>,
}

type Columns = Vec<(&'static str, ArrayRef)>;
type Make = fn(&System) -> Columns;

/// The list: name and what makes it.
const TABLES: [(&str, Make); 8] = [
    ("sources", sources),
    ("source_stats", source_stats),
    ("views", views),
    ("view_stats", view_stats),
    ("jobs", jobs),
    ("models", models),
    ("functions", function_list),
    ("late_rows", late_rows),
];

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        TABLES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some((_, make)) = TABLES.iter().find(|(n, _)| *n == name) else { return Ok(None) };
        let rows = RecordBatch::try_from_iter_with_nullable(make(self).into_iter().map(|(name, column)| (name, column, true)))?;
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        TABLES.iter().any(|(n, _)| *n == name)
    }
}

fn text<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn count(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(signed)))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn times(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC"))
}

impl System {
    fn video_sources(&self) -> Vec<(String, Arc<VideoSource>, String)> {
        let source = |o: super::catalog::Object| match o.body {
            Body::Source(source, url) => Some((o.name, source, url)),
            _ => None,
        };
        self.catalog.all().into_iter().filter_map(source).collect()
    }

    fn materialized(&self) -> Vec<(String, Arc<MaterializedView>)> {
        let view = |o: super::catalog::Object| match o.body {
            Body::Materialized(view) => Some((o.name, view)),
            _ => None,
        };
        self.catalog.all().into_iter().filter_map(view).collect()
    }
}

fn sources(system: &System) -> Columns {
    let all = system.video_sources();
    let info = |of: fn(&crate::frame::reader::MediaInfo) -> u32| {
        Arc::new(Int32Array::from_iter_values(all.iter().map(|(_, s, _)| i32::try_from(of(s.media().info())).unwrap_or(i32::MAX))))
            as ArrayRef
    };
    vec![
        ("name", text(all.iter().map(|s| &s.0))),
        ("url", text(all.iter().map(|s| &s.2))),
        ("container", text(all.iter().map(|(_, s, _)| s.media().info().container))),
        ("codec", text(all.iter().map(|(_, s, _)| s.media().info().codec))),
        ("width", info(|i| i.width)),
        ("height", info(|i| i.height)),
        ("frames", Arc::new(Int64Array::from_iter(all.iter().map(|(_, s, _)| s.media().info().n_rows.map(signed))))),
        (
            "duration_s",
            Arc::new(Float64Array::from_iter(all.iter().map(|(_, s, _)| s.media().info().duration_us.map(|us| us as f64 / 1e6)))),
        ),
        ("pace", text(all.iter().map(|(_, s, _)| if s.playing().realtime { "realtime" } else { "max" }))),
        ("loop", Arc::new(BooleanArray::from_iter(all.iter().map(|(_, s, _)| Some(s.playing().looped))))),
        ("live", Arc::new(BooleanArray::from_iter(all.iter().map(|(_, s, _)| Some(s.live()))))),
    ]
}

fn source_stats(system: &System) -> Columns {
    let all = system.video_sources();
    let of = |counter: fn(&crate::metrics::SourceCounters) -> &crate::metrics::Counter| {
        count(all.iter().map(|(_, s, _)| counter(s.counters()).get()))
    };
    vec![
        ("source", text(all.iter().map(|s| &s.0))),
        ("rows", of(|c| &c.rows)),
        ("frames_demuxed", of(|c| &c.frames_demuxed)),
        ("frames_decoded", of(|c| &c.frames_decoded)),
        ("frames_failed", of(|c| &c.frames_failed)),
        ("frames_shed", of(|c| &c.frames_shed)),
        ("samples_missing", of(|c| &c.samples_missing)),
        ("bytes_copied", of(|c| &c.bytes_copied)),
    ]
}

fn views(system: &System) -> Columns {
    let all: Vec<_> = system.catalog.all().into_iter().filter(|o| !matches!(o.body, Body::Source(..))).collect();
    vec![
        ("name", text(all.iter().map(|o| &o.name))),
        ("materialized", Arc::new(BooleanArray::from_iter(all.iter().map(|o| Some(matches!(o.body, Body::Materialized(_))))))),
        ("definition", text(all.iter().map(|o| &o.definition))),
    ]
}

fn state(view: &MaterializedView) -> &'static str {
    match view.ending() {
        None => "running",
        Some(End::Whole) => "finished",
        Some(End::Failed { .. }) => "failed",
        Some(End::Dropped) => "dropped",
    }
}

fn view_stats(system: &System) -> Columns {
    let all = system.materialized();
    let of =
        |counter: fn(&crate::metrics::JobCounters) -> &crate::metrics::Counter| count(all.iter().map(|(_, v)| counter(&v.counters).get()));
    vec![
        ("name", text(all.iter().map(|v| &v.0))),
        ("state", text(all.iter().map(|v| state(&v.1)))),
        ("rows", count(all.iter().map(|v| v.1.n_rows()))),
        ("bytes", count(all.iter().map(|v| v.1.n_bytes()))),
        // The end of time is no time: a finished view is complete.
        ("watermark", times(all.iter().map(|v| v.1.watermark_us().filter(|us| *us != END_OF_TIME_US)))),
        ("rows_in", of(|c| &c.rows_in)),
        ("windows_fired", of(|c| &c.windows_fired)),
        ("n_late", of(|c| &c.n_late)),
        ("n_partly_late", of(|c| &c.n_partly_late)),
        ("n_null_time", of(|c| &c.n_null_time)),
    ]
}

fn jobs(system: &System) -> Columns {
    let all = system.jobs.all();
    let error = |view: &MaterializedView| match view.ending() {
        Some(End::Failed { message, .. }) => Some(message),
        _ => None,
    };
    let reads = |job: &super::job::Job| job.sources.iter().map(|s| s.name().to_owned()).collect::<Vec<_>>().join(", ");
    vec![
        ("view", text(all.iter().map(|j| &j.0))),
        ("sources", text(all.iter().map(|(_, j)| reads(j)))),
        ("state", text(all.iter().map(|(_, j)| state(&j.view)))),
        ("error", Arc::new(StringArray::from_iter(all.iter().map(|(_, j)| error(&j.view))))),
    ]
}

/// The row is jsonb text: a struct of each operator's own columns has no type in common.
fn late_rows(system: &System) -> Columns {
    let all: Vec<(String, crate::metrics::LateRow)> = system
        .materialized()
        .into_iter()
        .flat_map(|(name, view)| view.counters.late_rows.lock().all().into_iter().map(move |row| (name.clone(), row)))
        .collect();
    vec![
        ("job", text(all.iter().map(|r| &r.0))),
        ("source", text(all.iter().map(|r| &r.1.source))),
        ("ts", times(all.iter().map(|r| r.1.ts_us))),
        ("watermark", times(all.iter().map(|r| Some(r.1.watermark_us)))),
        ("operator", text(all.iter().map(|r| r.1.operator))),
        ("row", Arc::new(StringArray::from_iter(all.iter().map(|r| super::late_row::json(&r.1.row))))),
    ]
}

fn models(system: &System) -> Columns {
    let all = system.inference.catalogue();
    vec![
        ("function", text(all.iter().map(|m| &m.function))),
        ("name", text(all.iter().map(|m| m.model.name()))),
        ("version", text(all.iter().map(|m| m.model.version()))),
        ("licence", text(all.iter().map(|m| m.model.licence()))),
        ("sha256", text(all.iter().map(|m| m.model.sha256()))),
        ("calls", count(all.iter().map(|m| m.counters.calls.get()))),
        ("cached", count(all.iter().map(|m| m.counters.cached.get()))),
    ]
}

fn function_list(_: &System) -> Columns {
    let all = functions();
    let documented = |part: fn(&datafusion::logical_expr::Documentation) -> &str| {
        text(all.iter().map(|f| f.documentation().map_or(String::new(), |d| part(d).to_owned())))
    };
    vec![
        ("name", text(all.iter().map(|f| f.name()))),
        ("signature", documented(|d| &d.syntax_example)),
        ("description", documented(|d| &d.description)),
    ]
}
