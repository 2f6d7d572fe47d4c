//! Starts again what the catalogue on disk names, whatever the order of its statements, and keeps account of what could not be started.

use std::sync::Arc;

use parking_lot::RwLock;
use tracing::warn;

use super::Engine;
use super::catalog::{self, is_model_key};
use super::session::{Dialect, Session};
use super::store::{Kept, Store};
use crate::error::Result;
use crate::plan::parse::{Body, Kind, Statement};

/// An object of the catalogue on disk that could not be started.
#[derive(Clone, Debug)]
pub struct NotStarted {
    /// Its name.
    pub name: String,
    /// What it would be.
    pub kind: Kind,
    /// The statement that made it.
    pub definition: String,
    /// What a source would open.
    pub url: Option<String>,
    /// Why it could not be started.
    pub error: String,
}

/// Those that could not be started; they stay in the catalogue on disk for the next start.
#[derive(Debug, Default)]
pub struct Missing(RwLock<Vec<NotStarted>>);

impl Missing {
    /// Those of the kinds asked for, in the order in which they were made.
    pub fn of(&self, kinds: &[Kind]) -> Vec<NotStarted> {
        self.0.read().iter().filter(|o| kinds.contains(&o.kind)).cloned().collect()
    }

    /// Forgets one that was dropped, or made anew.
    pub(super) fn forget(&self, name: &str) {
        self.0.write().retain(|o| o.name != name);
    }
}

/// Runs the statements of the catalogue on disk, again and again as long as that starts another object: one may read what stands behind it.
/// `dialect` is given to the session that runs them, so that a view is understood as by the client that made it.
pub(super) async fn restart(engine: &Arc<Engine>, dialect: Option<Dialect>) -> Result<()> {
    let restarted = start_all(engine, dialect).await;
    for object in engine.catalog.all() {
        if let catalog::Body::Materialized(view) = object.body {
            view.all_started();
        }
    }
    restarted
}

async fn start_all(engine: &Arc<Engine>, dialect: Option<Dialect>) -> Result<()> {
    let mut kept = engine.store.as_ref().map(Store::statements).unwrap_or_default();
    if kept.is_empty() {
        return Ok(());
    }
    let session = engine.session("framesql", "framesql");
    session.start_in_background();
    if let Some(dialect) = dialect {
        dialect(&session)?;
    }
    loop {
        let n_kept = kept.len();
        let mut failed = Vec::new();
        for one in kept {
            if let Err(error) = start(&session, &one).await {
                failed.push((one, error));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        if failed.len() == n_kept {
            for (one, error) in failed {
                warn!(object = one.name, code = error.sqlstate(), %error, "not started; it stays in the catalogue for the next start");
                // A grant or a comment is no object: the name of what is kept of it begins with a space, as a model's key does.
                if !one.name.starts_with(' ') || is_model_key(&one.name) {
                    engine.missing.0.write().push(not_started(&session, one, error.to_string()));
                }
            }
            return Ok(());
        }
        kept = failed.into_iter().map(|(one, _)| one).collect();
    }
}

async fn start(session: &Session, one: &Kept) -> Result<()> {
    // What one statement was run under is kept with it, and is not the next one's.
    session.variables().lock().clear();
    for statement in session.parse(&one.statement)? {
        session.execute(&statement, Vec::new()).await?;
    }
    Ok(())
}

fn not_started(session: &Session, one: Kept, error: String) -> NotStarted {
    // A setting may stand before the statement that it was run under.
    let body = session.parse(&one.statement).ok().and_then(|all| all.into_iter().last()).map(|Statement { body, .. }| body);
    let (kind, url) = match body {
        Some(Body::CreateSource { url, .. }) => (Kind::Source, Some(url)),
        Some(Body::CreateView { materialized: false, .. }) => (Kind::View, None),
        Some(Body::CreateModel { .. }) => (Kind::Model, None),
        Some(Body::CreateGallery { .. }) => (Kind::Gallery, None),
        Some(Body::CreateFigure(create)) => (create.kind, None),
        // What cannot be read any more is a view at most: sources are read as they ever were.
        _ => (Kind::MaterializedView, None),
    };
    NotStarted { name: one.name, kind, definition: one.statement, url, error }
}
