//! The hall: one engine holds the catalogue, the running sources, the models and the jobs; two engines in a process do not meet.

pub mod catalog;
pub mod job;
mod late_row;
pub mod outcome;
pub mod relation;
pub mod replay;
pub mod session;
pub mod statement;
pub mod store;
pub mod system;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList};
use datafusion::prelude::SessionContext;
use tracing::warn;

use crate::error::Result;
use crate::plan::query;
use crate::run::inference::Inference;
use crate::run::{Checkpoint, Run, Threads};
use crate::settings::Settings;
use catalog::{Body, Catalog};
use job::Jobs;
use relation::Relation;
use session::Session;
use store::Store;
use system::System;

/// An engine. It ends when the last of its sessions and handles is dropped, or at `shutdown`.
pub struct Engine {
    settings: Settings,
    catalog: Arc<Catalog>,
    jobs: Arc<Jobs>,
    inference: Arc<Inference>,
    threads: Threads,
    store: Option<Store>,
    next_source_id: AtomicU64,
    /// Statements that change the catalogue run one after another.
    changing: tokio::sync::Mutex<()>,
}

impl Engine {
    /// Opens an engine: reads the catalogue of `settings.data` and starts what it names. Errs if the folder is in use or cannot be read;
    /// an object that cannot be started (its file is missing) is logged and stays in the catalogue for the next start.
    pub async fn open(settings: Settings) -> Result<Arc<Engine>> {
        let store = settings.data.as_deref().map(Store::open).transpose()?;
        let inference = Arc::new(Inference::new(settings.model_cache_bytes, settings.inference_threads));
        let engine = Arc::new(Engine {
            settings,
            catalog: Arc::default(),
            jobs: Arc::default(),
            inference,
            threads: Threads::default(),
            store,
            next_source_id: AtomicU64::new(1),
            changing: tokio::sync::Mutex::default(),
        });
        engine.restart().await;
        Ok(engine)
    }

    async fn restart(self: &Arc<Engine>) {
        let kept = self.store.as_ref().map(Store::statements).unwrap_or_default();
        if kept.is_empty() {
            return;
        }
        let session = self.session("framesql", "framesql");
        session.start_in_background();
        for one in kept {
            let started: Result<()> = async {
                for statement in session.parse(&one.statement)? {
                    session.execute(&statement, Vec::new()).await?;
                }
                Ok(())
            }
            .await;
            if let Err(error) = started {
                warn!(object = one.name, code = error.sqlstate(), %error, "not started; it stays in the catalogue for the next start");
            }
        }
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The objects that SQL can read from, in the order they were made.
    pub fn relations(&self) -> Vec<Relation> {
        self.catalog.relations()
    }

    /// The models and what they did.
    pub fn inference(&self) -> &Arc<Inference> {
        &self.inference
    }

    /// The objects.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The threads at work for queries.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// A new session of `user` in the database of that name (every name is accepted; it is what current_database() gives).
    pub fn session(self: &Arc<Engine>, user: &str, database: &str) -> Session {
        let context = SessionContext::new_with_state(query::state(database));
        let schemas = MemoryCatalogProvider::new();
        let system =
            Arc::new(System { catalog: Arc::clone(&self.catalog), jobs: Arc::clone(&self.jobs), inference: Arc::clone(&self.inference) });
        // A new catalogue has no schema of these names, so nothing is replaced and nothing can fail.
        let _ = schemas.register_schema("public", Arc::clone(&self.catalog) as _);
        let _ = schemas.register_schema("framesql", system);
        let list = MemoryCatalogProviderList::new();
        datafusion::catalog::CatalogProviderList::register_catalog(&list, database.to_owned(), Arc::new(schemas));
        context.register_catalog_list(Arc::new(list));
        Session::new(Arc::clone(self), context, user)
    }

    /// What the operators of one query share.
    fn run(&self, continuous: bool) -> Run {
        Run {
            inference: Arc::clone(&self.inference),
            counters: Arc::default(),
            continuous,
            batch_rows: None,
            checkpoint: Arc::new(Checkpoint::default()),
            threads: self.threads.clone(),
        }
    }

    fn next_source_id(&self) -> u64 {
        self.next_source_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends every job and source, and waits for their threads.
    pub async fn shutdown(&self) {
        self.jobs.shutdown().await;
        for object in self.catalog.all() {
            if let Body::Source(source, _) = object.body {
                source.stop();
            }
        }
        self.threads.idle().await;
    }
}
