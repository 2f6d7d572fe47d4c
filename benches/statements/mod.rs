//! SQL on an engine of its own, for the benches that measure whole statements.

use std::sync::Arc;

use framesql::engine::Engine;
use framesql::engine::outcome::Outcome;
use framesql::engine::session::Session;
use framesql::settings::Settings;
use futures::StreamExt;

/// A new engine: nothing in it is cached from the run before.
pub(crate) async fn open(settings: Settings) -> Arc<Engine> {
    Engine::open(settings).await.expect("an engine in memory opens")
}

/// Runs the statements of a script and reads every answer to its end. Gives the rows of all of them.
pub(crate) async fn run(session: &Session, script: &str) -> usize {
    let mut n_rows = 0;
    for statement in session.parse(script).expect("the script of a bench can be read") {
        match session.execute(&statement, Vec::new()).await.expect("the statement of a bench runs") {
            Outcome::Done { .. } => {}
            Outcome::Rows { mut stream, .. } | Outcome::Copy { mut stream, .. } => {
                while let Some(batch) = stream.next().await {
                    n_rows += batch.expect("the query of a bench answers").num_rows();
                }
            }
        }
    }
    n_rows
}
