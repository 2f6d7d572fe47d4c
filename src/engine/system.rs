//! The schema framesql: what runs, what was read, what was lost; every table is made when it is asked for.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::compute::concat;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use framesql_udfs::function::documented;
use framesql_udfs::model::yunet;

use super::catalog::{Body, Catalog, without_key};
use super::job::Jobs;
use super::restart::{Missing, NotStarted};
use crate::event::END_OF_TIME_US;
use crate::frame::source::Source;
use crate::metrics::{Counter, SourceCounters};
use crate::plan::parse::Kind;
use crate::run::inference::Inference;
use crate::view::materialized::{End, MaterializedView};
use crate::view::table::Table;

/// The schema.
#[derive(Debug)]
pub struct System {
    /// The objects.
    pub catalog: Arc<Catalog>,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// The models.
    pub inference: Arc<Inference>,
    /// What could not be started.
    pub missing: Arc<Missing>,
}

type Columns = Vec<(&'static str, ArrayRef)>;
type Make = fn(&System) -> Columns;

/// The list: name and what makes it.
const TABLES: [(&str, Make); 11] = [
    ("sources", sources),
    ("figures", figures),
    ("tables", tables),
    ("source_stats", source_stats),
    ("views", views),
    ("view_stats", view_stats),
    ("jobs", jobs),
    ("galleries", galleries),
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
    fn sources(&self) -> Vec<Listed> {
        self.catalog.all().into_iter().filter_map(Listed::of).collect()
    }

    fn materialized(&self) -> Vec<(String, Arc<MaterializedView>)> {
        let view = |o: super::catalog::Object| match o.body {
            Body::Materialized(view) => Some((o.name, view)),
            _ => None,
        };
        self.catalog.all().into_iter().filter_map(view).collect()
    }
}

/// A source of either kind, as the tables below show it.
struct Listed {
    name: String,
    url: String,
    container: &'static str,
    codec: String,
    /// Width and height of its pictures.
    size: Option<(u32, u32)>,
    n_frames: Option<u64>,
    duration_us: Option<i64>,
    realtime: bool,
    looped: bool,
    live: bool,
    counters: Arc<SourceCounters>,
}

impl Listed {
    /// None for an object that is no source.
    fn of(object: super::catalog::Object) -> Option<Listed> {
        match object.body {
            Body::Source(source, url) => {
                let info = source.media().info();
                Some(Listed {
                    name: object.name,
                    url,
                    container: info.container,
                    codec: info.codec.clone(),
                    size: Some((info.width, info.height)),
                    n_frames: info.n_rows,
                    duration_us: info.duration_us,
                    realtime: source.playing().realtime,
                    looped: source.playing().looped,
                    live: source.live(),
                    counters: Arc::clone(source.counters()),
                })
            }
            Body::Rows(source, url) => Some(Listed {
                name: object.name,
                url,
                container: "rows",
                codec: source.media().format().to_owned(),
                size: None,
                n_frames: None,
                duration_us: None,
                realtime: source.playing().realtime,
                looped: false,
                live: source.live(),
                counters: Arc::clone(source.counters()),
            }),
            Body::View(_) | Body::Materialized(_) | Body::Table(_) | Body::Gallery(_) | Body::Figure(_) => None,
        }
    }
}

fn sources(system: &System) -> Columns {
    let all = system.sources();
    let size = |of: fn((u32, u32)) -> u32| {
        let pixels = |s: &Listed| s.size.map(|size| i32::try_from(of(size)).unwrap_or(i32::MAX));
        Arc::new(Int32Array::from_iter(all.iter().map(pixels))) as ArrayRef
    };
    let started: Columns = vec![
        ("name", text(all.iter().map(|s| &s.name))),
        ("url", text(all.iter().map(|s| &s.url))),
        ("container", text(all.iter().map(|s| s.container))),
        ("codec", text(all.iter().map(|s| &s.codec))),
        ("width", size(|s| s.0)),
        ("height", size(|s| s.1)),
        ("frames", Arc::new(Int64Array::from_iter(all.iter().map(|s| s.n_frames.map(signed))))),
        ("duration_s", Arc::new(Float64Array::from_iter(all.iter().map(|s| s.duration_us.map(|us| us as f64 / 1e6))))),
        ("pace", text(all.iter().map(|s| if s.realtime { "realtime" } else { "max" }))),
        ("loop", Arc::new(BooleanArray::from_iter(all.iter().map(|s| Some(s.looped))))),
        ("live", Arc::new(BooleanArray::from_iter(all.iter().map(|s| Some(s.live))))),
    ];
    with_missing(started, &system.missing.of(&[Kind::Source]))
}

/// The started objects' columns, and behind their rows those that could not be started; the error is NULL for what has started.
fn with_missing(started: Columns, missing: &[NotStarted]) -> Columns {
    let n_started = started.first().map_or(0, |(_, column)| column.len());
    with_errors(started, vec![None; n_started], missing)
}

/// The same, where what has started may have failed since.
fn with_errors(started: Columns, failed: Vec<Option<String>>, missing: &[NotStarted]) -> Columns {
    let of = |name: &str, like: &ArrayRef| match name {
        "name" => text(missing.iter().map(|o| without_key(&o.name))),
        "kind" => text(missing.iter().map(|o| o.kind.word())),
        "url" => Arc::new(StringArray::from_iter(missing.iter().map(|o| o.url.as_ref()))),
        "materialized" => Arc::new(BooleanArray::from_iter(missing.iter().map(|o| Some(o.kind == Kind::MaterializedView)))),
        "definition" => text(missing.iter().map(|o| &o.definition)),
        _ => new_null_array(like.data_type(), missing.len()),
    };
    let mut all: Columns = started
        .into_iter()
        .map(|(name, column)| {
            let more = of(name, &column);
            (name, concat(&[&column, &more]).expect("both parts are of one type"))
        })
        .collect();
    let errors = failed.into_iter().chain(missing.iter().map(|o| Some(o.error.clone())));
    all.push(("error", Arc::new(StringArray::from_iter(errors))));
    all
}

fn source_stats(system: &System) -> Columns {
    let all = system.sources();
    let of = |counter: fn(&SourceCounters) -> &Counter| count(all.iter().map(|s| counter(&s.counters).get()));
    vec![
        ("source", text(all.iter().map(|s| &s.name))),
        ("rows", of(|c| &c.rows)),
        ("rows_failed", of(|c| &c.rows_failed)),
        ("frames_demuxed", of(|c| &c.frames_demuxed)),
        ("frames_decoded", of(|c| &c.frames_decoded)),
        ("frames_failed", of(|c| &c.frames_failed)),
        ("frames_shed", of(|c| &c.frames_shed)),
        ("samples_missing", of(|c| &c.samples_missing)),
        ("bytes_copied", of(|c| &c.bytes_copied)),
    ]
}

fn figures(system: &System) -> Columns {
    let all = system.catalog.drawn();
    let started: Columns = vec![
        ("name", text(all.iter().map(|(o, _)| &o.name))),
        ("kind", text(all.iter().map(|(_, f)| f.kind.word()))),
        ("source", text(all.iter().map(|(_, f)| &f.source))),
        ("points", text(all.iter().map(|(_, f)| &f.shape))),
        ("anchor", text(all.iter().map(|(_, f)| f.anchor))),
        ("definition", text(all.iter().map(|(o, _)| &o.definition))),
    ];
    with_missing(started, &system.missing.of(&[Kind::Zone, Kind::Line, Kind::Calibration]))
}

fn tables(system: &System) -> Columns {
    let all: Vec<_> =
        system.catalog.all().into_iter().filter_map(|o| if let Body::Table(table) = o.body { Some(table) } else { None }).collect();
    let key = |table: &Table| {
        let names = table.primary_key().iter().filter_map(|at| table.columns().get(*at)).map(|c| c.field.name().as_str());
        let names: Vec<&str> = names.collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    vec![
        ("name", text(all.iter().map(|t| t.name()))),
        ("rows", count(all.iter().map(|t| t.rows().num_rows() as u64))),
        ("bytes", count(all.iter().map(|t| t.rows().get_array_memory_size() as u64))),
        ("primary_key", Arc::new(StringArray::from_iter(all.iter().map(|t| key(t))))),
    ]
}

fn views(system: &System) -> Columns {
    let all: Vec<_> = system.catalog.all().into_iter().filter(|o| matches!(o.body, Body::View(_) | Body::Materialized(_))).collect();
    let started: Columns = vec![
        ("name", text(all.iter().map(|o| &o.name))),
        ("materialized", Arc::new(BooleanArray::from_iter(all.iter().map(|o| Some(matches!(o.body, Body::Materialized(_))))))),
        ("definition", text(all.iter().map(|o| &o.definition))),
    ];
    let failed = all.iter().map(|o| if let Body::Materialized(view) = &o.body { error_of(view) } else { None }).collect();
    with_errors(started, failed, &system.missing.of(&[Kind::View, Kind::MaterializedView]))
}

fn state(view: &MaterializedView) -> &'static str {
    match view.ending() {
        None => "running",
        Some(End::Whole) => "finished",
        Some(End::Failed { .. }) => "failed",
        Some(End::Dropped) => "dropped",
    }
}

/// Why it has failed, if it has.
fn error_of(view: &MaterializedView) -> Option<String> {
    match view.ending() {
        Some(End::Failed { message, .. }) => Some(message),
        _ => None,
    }
}

fn view_stats(system: &System) -> Columns {
    let all = system.materialized();
    let of = |counter: fn(&crate::metrics::JobCounters) -> &Counter| count(all.iter().map(|(_, v)| counter(&v.counters).get()));
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
    let reads = |job: &super::job::Job| job.sources.iter().map(|s| s.name().to_owned()).collect::<Vec<_>>().join(", ");
    vec![
        ("view", text(all.iter().map(|j| &j.0))),
        ("sources", text(all.iter().map(|(_, j)| reads(j)))),
        ("state", text(all.iter().map(|(_, j)| state(&j.view)))),
        ("error", Arc::new(StringArray::from_iter(all.iter().map(|(_, j)| error_of(&j.view))))),
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

fn galleries(system: &System) -> Columns {
    let all: Vec<_> =
        system.catalog.all().into_iter().filter_map(|o| if let Body::Gallery(gallery) = o.body { Some(gallery) } else { None }).collect();
    let people = |gallery: &Table| {
        let rows = gallery.rows();
        let names = rows
            .column_by_name("name")
            .and_then(|c| c.as_string_opt::<i32>())
            .map(|names| names.iter().flatten().collect::<HashSet<_>>().len());
        names.unwrap_or(0) as u64
    };
    let started: Columns = vec![
        ("name", text(all.iter().map(|g| g.name()))),
        ("people", count(all.iter().map(|g| people(g)))),
        ("pictures", count(all.iter().map(|g| g.rows().num_rows() as u64))),
    ];
    with_missing(started, &system.missing.of(&[Kind::Gallery]))
}

fn models(system: &System) -> Columns {
    let all = system.inference.catalogue();
    let side = |of: fn(&framesql_udfs::model::description::ModelDescription) -> u32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(all.iter().map(|m| i32::try_from(of(&m.listed.description)).unwrap_or(i32::MAX))))
    };
    let started: Columns = vec![
        ("function", text(all.iter().map(|m| m.function))),
        ("name", text(all.iter().map(|m| &m.listed.description.name))),
        ("alias", Arc::new(StringArray::from_iter(all.iter().map(|m| (m.listed.description.name == yunet::NAME).then_some(yunet::ALIAS))))),
        ("task", text(all.iter().map(|m| m.listed.description.task.word()))),
        ("version", text(all.iter().map(|m| &m.listed.version))),
        ("state", text(all.iter().map(|m| m.listed.state))),
        ("runtime", Arc::new(StringArray::from_iter(all.iter().map(|m| m.listed.runtime)))),
        ("licence", text(all.iter().map(|m| &m.listed.description.licence))),
        ("origin", text(all.iter().map(|m| &m.listed.description.origin))),
        ("sha256", text(all.iter().map(|m| &m.listed.description.sha256))),
        ("width", side(|d| d.width)),
        ("height", side(|d| d.height)),
        ("calls", count(all.iter().map(|m| m.counters.calls.get()))),
        ("cached", count(all.iter().map(|m| m.counters.cached.get()))),
        ("failed", count(all.iter().map(|m| m.counters.failed.get()))),
    ];
    with_errors(started, all.into_iter().map(|m| m.wrong).collect(), &system.missing.of(&[Kind::Model]))
}

fn function_list(_: &System) -> Columns {
    let mut all = documented();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    vec![
        ("name", text(all.iter().map(|(name, _)| name))),
        ("signature", text(all.iter().map(|(_, d)| &d.syntax_example))),
        ("description", text(all.iter().map(|(_, d)| &d.description))),
    ]
}
