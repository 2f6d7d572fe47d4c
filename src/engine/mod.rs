//! The hall: one engine holds the catalogue, the running sources, the models and the jobs; two engines in a process do not meet.

pub mod announce;
mod block;
pub mod catalog;
pub mod checkpoint;
pub mod comments;
mod dropped;
pub mod job;
mod late_row;
pub mod models;
pub mod outcome;
pub mod password;
pub mod planned;
mod planning;
pub mod private_file;
pub mod privileges;
pub mod relation;
pub mod replay;
pub mod restart;
pub mod roles;
pub mod session;
pub mod statement;
pub mod store;
pub mod system;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionContext;
use parking_lot::Mutex;

use crate::error::Result;
use crate::plan::parse::Emit;
use crate::plan::{changelog, query};
use crate::run::checkpoint::Checkpoint;
use crate::run::inference::Inference;
use crate::run::redrawn::Redrawn;
use crate::run::touched::Pace;
use crate::run::{Run, Threads};
use crate::settings::{Settings, Variables, onnxruntime_in};
use announce::{Announcement, Announcer};
use catalog::{Body, Catalog};
use comments::Comments;
use job::Jobs;
use models::Homes;
use planning::Planning;
use relation::Relation;
use restart::Missing;
use roles::Roles;
use session::{Dialect, Session};
use store::Store;
use system::System;

/// How long the checkpoint at the end may take.
const LAST_CHECKPOINT: Duration = Duration::from_secs(10);

/// An engine. It ends when the last of its sessions and handles is dropped, or at `shutdown`.
pub struct Engine {
    settings: Settings,
    catalog: Arc<Catalog>,
    roles: Roles,
    comments: Comments,
    announcer: Announcer,
    jobs: Arc<Jobs>,
    inference: Arc<Inference>,
    threads: Threads,
    planning: Planning,
    store: Option<Store>,
    missing: Arc<Missing>,
    next_source_id: AtomicU64,
    /// Statements that change the catalogue run one after another.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// Whether checkpoints are taken; one at a time.
    checkpoints: tokio::sync::Mutex<bool>,
}

/// ONNX Runtime runs the models where its library is found: the one that the settings name, one that was pulled, or the system's. It is no error if it cannot be used, as tract
/// runs them all the same.
fn choose_runtime(settings: &Settings, inference: &Inference) {
    let pulled = || Homes::of(settings).onnxruntime().find_map(|folder| onnxruntime_in(&folder));
    let found = settings.onnxruntime.clone().or_else(pulled).or_else(|| settings.system_onnxruntime.clone());
    let Some(library) = found else { return };
    match inference.models().use_onnxruntime(&library) {
        Ok(()) => tracing::info!(library = %library.display(), "models run on ONNX Runtime"),
        Err(error) => tracing::warn!(library = %library.display(), %error, "ONNX Runtime cannot be used: models run on tract"),
    }
}

impl Engine {
    /// Opens an engine whose kept objects are in framesql's own SQL alone: see `open_with`.
    pub async fn open(settings: Settings) -> Result<Arc<Engine>> {
        Engine::open_with(settings, None).await
    }

    /// Opens an engine: reads the catalogue of `settings.data` and starts what it names. Errs if the folder is in use or cannot be read;
    /// an object that cannot be started (its file is missing) is listed with its error, and stays in the catalogue for the next start. `dialect` is given
    /// to the session that starts them, so that a view is understood as by the client that made it.
    pub async fn open_with(settings: Settings, dialect: Option<Dialect>) -> Result<Arc<Engine>> {
        let store = settings.data.as_deref().map(Store::open).transpose()?;
        let inference = Inference::new(settings.model_cache_bytes, settings.inference_threads).limited(settings.model_time_limit);
        let inference = Arc::new(inference);
        choose_runtime(&settings, &inference);
        Homes::of(&settings).offer(inference.models())?;
        let threads = Threads::default();
        let catalog = Arc::<Catalog>::default();
        let engine = Arc::new(Engine {
            settings,
            missing: Arc::clone(&catalog.missing),
            catalog,
            roles: Roles::default(),
            comments: Comments::default(),
            announcer: Announcer::default(),
            jobs: Arc::default(),
            inference,
            planning: Planning::new(&threads),
            threads,
            store,
            next_source_id: AtomicU64::new(1),
            changing: Arc::default(),
            checkpoints: tokio::sync::Mutex::new(true),
        });
        restart::restart(&engine, dialect).await?;
        checkpoint::take_regularly(&engine);
        Ok(engine)
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The objects that SQL can read from, in the order they were made.
    pub fn relations(&self) -> Vec<Relation> {
        self.catalog.relations()
    }

    /// Another number whenever a plan may be another: an object, a role or a grant has changed.
    pub fn version(&self) -> u64 {
        self.catalog.version() + self.roles.version()
    }

    /// The models and what they did.
    pub fn inference(&self) -> &Arc<Inference> {
        &self.inference
    }

    /// The objects.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Who may come in and read what.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What is said of objects, columns and roles.
    pub fn comments(&self) -> &Comments {
        &self.comments
    }

    /// The channel on which a view's changes are told.
    pub fn channel(&self, view: &str) -> Option<String> {
        self.announcer.channel(view)
    }

    /// The views that change from now on, of those whose changes are told.
    pub fn announcements(&self) -> tokio::sync::broadcast::Receiver<Announcement> {
        self.announcer.listen()
    }

    /// The threads at work for queries.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// A new session of `user` in the database of that name (every name is accepted; it is what current_database() gives).
    pub fn session(self: &Arc<Engine>, user: &str, database: &str) -> Session {
        let variables = Arc::new(Mutex::new(Variables::default()));
        let names = Arc::clone(&self.catalog) as _;
        let context = SessionContext::new_with_state(query::state(database, self.environment(), names, Arc::clone(&variables)));
        let schemas = MemoryCatalogProvider::new();
        let system = Arc::new(System {
            catalog: Arc::clone(&self.catalog),
            jobs: Arc::clone(&self.jobs),
            inference: Arc::clone(&self.inference),
            missing: Arc::clone(&self.missing),
        });
        // A new catalogue has no schema of these names, so nothing is replaced and nothing can fail.
        let _ = schemas.register_schema("public", Arc::clone(&self.catalog) as _);
        let _ = schemas.register_schema("framesql", system);
        let list = MemoryCatalogProviderList::new();
        datafusion::catalog::CatalogProviderList::register_catalog(&list, database.to_owned(), Arc::new(schemas));
        context.register_catalog_list(Arc::new(list));
        Session::new(Arc::clone(self), context, user, variables)
    }

    /// Where the queries of one session run: in so much memory, and on no disk.
    fn environment(&self) -> Arc<RuntimeEnv> {
        let pool = Arc::new(GreedyMemoryPool::new(self.settings.connection_memory_bytes));
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk).build_arc().unwrap_or_default()
    }

    /// What the operators of one query share.
    fn run(&self, continuous: bool) -> Run {
        let figures = continuous.then(|| Arc::new(Redrawn::new(Arc::clone(&self.catalog) as _)));
        Run { threads: self.threads.clone(), figures, ..Run::new(Arc::clone(&self.inference), continuous) }
    }

    /// The same for a continuous query that gives its results as `emit` says.
    fn run_as(&self, emit: Emit, state_ttl_us: Option<i64>) -> Run {
        let pace = Pace { every_us: changelog::every_us(emit), state_ttl_us };
        let checkpoint = if self.store.is_some() { Checkpoint::on_demand() } else { Checkpoint::default() };
        Run { updating: changelog::updating(emit), pace, checkpoint: Arc::new(checkpoint), ..self.run(true) }
    }

    fn next_source_id(&self) -> u64 {
        self.next_source_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends every job and source, and waits for their threads.
    pub async fn shutdown(&self) {
        if self.store.is_some() {
            self.last_checkpoint(tokio::time::sleep(LAST_CHECKPOINT)).await;
        }
        self.jobs.shutdown().await;
        for object in self.catalog.all() {
            match object.body {
                Body::Source(source, _) => source.stop(),
                Body::Rows(source, _) => source.stop(),
                Body::View(_) | Body::Materialized(_) | Body::Table(_) | Body::Gallery(_) | Body::Figure(_) => {}
            }
        }
        self.threads.idle().await;
    }
}
