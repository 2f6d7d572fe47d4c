//! An engine and a session for the tests that ask SQL in Rust: the rows of an answer, one value of it, a source and its counters.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::SendableRecordBatchStream;
use framesql::engine::Engine;
use framesql::engine::catalog::Body;
use framesql::engine::outcome::Outcome;
use framesql::engine::session::Session;
use framesql::error::{Error, Result};
use framesql::frame::video::VideoSource;
use framesql::settings::Settings;
use framesql::view::materialized::MaterializedView;
use futures::StreamExt;

use crate::files;

/// What takes longer hangs: a guard, and never what decides.
const LIMIT: Duration = Duration::from_secs(60);

/// An engine, and a session of it.
pub(crate) async fn open(settings: Settings) -> (Arc<Engine>, Session) {
    let engine = Engine::open(settings).await.unwrap();
    let session = engine.session("framesql", "framesql");
    (engine, session)
}

/// What a future gives, if it does not hang.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it hangs")
}

/// Runs a script and gives the stream of its last statement, which must be one with rows.
pub(crate) async fn stream(session: &Session, sql: &str) -> Result<SendableRecordBatchStream> {
    let mut last = None;
    for statement in session.parse(sql)? {
        last = match session.execute(&statement, Vec::new()).await? {
            Outcome::Done { .. } => None,
            Outcome::Rows { stream, .. } | Outcome::Copy { stream, .. } => Some(stream),
        };
    }
    last.ok_or_else(|| Error::Internal(format!("no rows come from {sql}")))
}

/// Runs a script and gives the rows of its last statement.
pub(crate) async fn rows(session: &Session, sql: &str) -> Result<Vec<RecordBatch>> {
    let mut rows = Vec::new();
    for statement in session.parse(sql)? {
        rows = match within(session.execute(&statement, Vec::new())).await? {
            Outcome::Done { .. } => Vec::new(),
            Outcome::Rows { stream, .. } | Outcome::Copy { stream, .. } => {
                within(stream.collect::<Vec<_>>()).await.into_iter().collect::<Result<_, _>>()?
            }
        };
    }
    Ok(rows)
}

/// Runs what must not fail.
pub(crate) async fn run(session: &Session, sql: &str) {
    rows(session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// The whole numbers of a column.
pub(crate) fn numbers(batches: &[RecordBatch], column: &str) -> Vec<i64> {
    let of = |batch: &RecordBatch| batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>();
    batches.iter().flat_map(of).collect()
}

/// The one whole number that a query answers.
pub(crate) async fn number(session: &Session, sql: &str) -> i64 {
    let rows = rows(session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let name = rows[0].schema().field(0).name().clone();
    let all = numbers(&rows, &name);
    assert_eq!(all.len(), 1, "{sql}");
    all[0]
}

/// Makes a source of the bundled clip.
pub(crate) async fn clip(session: &Session, name: &str) {
    run(session, &format!("CREATE SOURCE {name} FROM 'file://{}'", files::root().join("media/lobby.mp4").display())).await;
}

/// A source of the catalogue.
pub(crate) fn source(engine: &Engine, name: &str) -> Arc<VideoSource> {
    match engine.catalog().find(name).map(|o| o.body) {
        Some(Body::Source(source, _)) => source,
        _ => panic!("{name} is no source"),
    }
}

/// A materialized view of the catalogue.
pub(crate) fn view(engine: &Engine, name: &str) -> Arc<MaterializedView> {
    match engine.catalog().find(name).map(|o| o.body) {
        Some(Body::Materialized(view)) => view,
        _ => panic!("{name} is no materialized view"),
    }
}
