//! Starts again what the catalogue on disk names, whatever the order of its statements, and keeps account of what could not be started.

use std::sync::Arc;

use datafusion::sql::parser::Statement as ParserStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use parking_lot::RwLock;
use tracing::warn;

use super::Engine;
use super::catalog::{self, is_model_key, model_key, without_key};
use super::session::{Dialect, Session};
use super::store::{Kept, Store};
use crate::error::{Error, Result};
use crate::plan::model_names::model_names;
use crate::plan::parse::{Body, Kind, Statement};
use crate::plan::rewrite;

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
    /// What it would read: relations, and models by their keys.
    pub reads: Vec<String>,
}

impl NotStarted {
    /// Its kind and its name.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind.word(), without_key(&self.name))
    }

    /// What whoever names it is told: it is there, and why it is not.
    fn refusal(&self) -> Error {
        Error::State {
            message: format!("{} \"{}\" could not be started: {}", self.kind.word(), without_key(&self.name), self.error),
            hint: Some("It is tried again at the next start; DROP takes it out of the catalogue.".into()),
        }
    }
}

/// Those that could not be started; they stay in the catalogue on disk for the next start.
#[derive(Debug, Default)]
pub struct Missing(RwLock<Vec<NotStarted>>);

impl Missing {
    /// Those of the kinds asked for, in the order in which they were made.
    pub fn of(&self, kinds: &[Kind]) -> Vec<NotStarted> {
        self.0.read().iter().filter(|o| kinds.contains(&o.kind)).cloned().collect()
    }

    /// Why the one of that name is not there; None if it could be started, or never was.
    pub(super) fn why(&self, name: &str) -> Option<Error> {
        self.0.read().iter().find(|o| o.name == name).map(NotStarted::refusal)
    }

    /// Those that would read one of these, directly or not.
    pub(super) fn readers(&self, names: &[String]) -> Vec<NotStarted> {
        let all = self.0.read();
        let mut found: Vec<&NotStarted> = Vec::new();
        loop {
            let n_found = found.len();
            for one in all.iter().filter(|o| !names.contains(&o.name)) {
                let known = found.iter().any(|f| f.name == one.name);
                if !known && one.reads.iter().any(|read| names.contains(read) || found.iter().any(|f| f.name == *read)) {
                    found.push(one);
                }
            }
            if found.len() == n_found {
                return found.into_iter().cloned().collect();
            }
        }
    }

    /// Says anew why one could not be started.
    fn explain(&self, name: &str, error: String) {
        self.0.write().iter_mut().filter(|o| o.name == name).for_each(|o| o.error.clone_from(&error));
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
            // A grant or a comment is no object: the name of what is kept of it begins with a space, as a model's key does.
            let is_object = |one: &Kept| !one.name.starts_with(' ') || is_model_key(&one.name);
            for (one, error) in failed.iter().filter(|(one, _)| is_object(one)) {
                let missing = not_started(&session, one, error.to_string()).await;
                engine.missing.0.write().push(missing);
                if is_model_key(&one.name) {
                    engine.inference.set_not_started(without_key(&one.name), Some(error.to_string()));
                }
            }
            let views = engine.missing.of(&[Kind::View, Kind::MaterializedView]);
            for (one, mut error) in failed {
                // What reads one that is not there is told by now why it is not.
                if views.iter().any(|view| view.name == one.name) {
                    match start(&session, &one).await {
                        Err(again) => error = again,
                        Ok(()) => {
                            engine.missing.forget(&one.name);
                            continue;
                        }
                    }
                }
                warn!(object = without_key(&one.name), code = error.sqlstate(), %error, "not started; it stays in the catalogue for the next start");
                engine.missing.explain(&one.name, error.to_string());
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

async fn not_started(session: &Session, one: &Kept, error: String) -> NotStarted {
    // A setting may stand before the statement that it was run under.
    let body = session.parse(&one.statement).ok().and_then(|all| all.into_iter().last()).map(|Statement { body, .. }| body);
    let reads = match &body {
        Some(Body::CreateView { query, .. }) => reads(session, &query.query).await.unwrap_or_default(),
        Some(Body::CreateFigure(create)) => vec![create.source.clone()],
        _ => Vec::new(),
    };
    let (kind, url) = match body {
        Some(Body::CreateSource { url, .. }) => (Kind::Source, Some(url)),
        Some(Body::CreateView { materialized: false, .. }) => (Kind::View, None),
        Some(Body::CreateModel { .. }) => (Kind::Model, None),
        Some(Body::CreateGallery { .. }) => (Kind::Gallery, None),
        Some(Body::Other(other)) if matches!(*other, SqlStatement::CreateTable(_)) => (Kind::Table, None),
        Some(Body::CreateFigure(create)) => (create.kind, None),
        // What cannot be read any more is a view at most: sources are read as they ever were.
        _ => (Kind::MaterializedView, None),
    };
    NotStarted { name: one.name.clone(), kind, definition: one.statement.clone(), url, error, reads }
}

/// The relations that a query names; and the models and galleries, where all of those are there.
async fn reads(session: &Session, query: &Query) -> Result<Vec<String>> {
    let mut rewritten = Box::new(query.clone());
    rewrite::rewrite(&mut rewritten)?;
    let statement = ParserStatement::Statement(Box::new(SqlStatement::Query(rewritten)));
    let tables = session.context().state().resolve_table_references(&statement)?;
    let mut names: Vec<String> = tables.into_iter().map(|table| table.table().to_owned()).collect();
    if let Ok(plan) = session.plan_committed(query).await {
        let called = model_names(&plan)?;
        names.extend(called.models.iter().map(|name| model_key(name)));
        names.extend(called.galleries);
    }
    Ok(names)
}
