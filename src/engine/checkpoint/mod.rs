//! Checkpoints of the jobs under `--data`: what a job's operators and its view hold at one barrier, written so that a restart goes on from there.

mod files;
mod identity;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, watch};
use tracing::{info, warn};

use super::Engine;
use super::catalog::Body;
use crate::clock;
use crate::error::{Error, Result};
use crate::run::checkpoint::{Checkpoint, Snapshot};
use crate::view::held::Held;
use crate::view::materialized::MaterializedView;
use files::Manifest;
pub(super) use identity::identity;

/// What a job keeps, and where.
#[derive(Debug)]
pub struct Keeper {
    view: String,
    /// `<data>/jobs/<view>/<generation>`.
    folder: PathBuf,
    generation: i64,
    checkpoint: Arc<Checkpoint>,
    /// The number of the last epoch that was asked for.
    asked: Mutex<u64>,
    stage: watch::Sender<Stage>,
    /// What is on disk.
    written: Arc<tokio::sync::Mutex<Manifest>>,
    /// The files of the view's rows that are on disk, as the capture of the next ones must know them.
    row_files: Mutex<Vec<files::RowFile>>,
}

/// How far a job is with what is to be kept.
#[derive(Clone, Debug)]
enum Stage {
    Running(Option<Arc<Captured>>),
    /// It is whole: this is its last.
    Whole(Arc<Captured>),
    /// It goes on no more, and gives no more checkpoints.
    Gone,
}

/// What a job had at a barrier; all of it is shared and nothing copied.
#[derive(Debug)]
pub(super) struct Captured {
    epoch: u64,
    operators: Snapshot,
    /// Of a view that only grows: the rows that are not on disk, and those that go into one file with them.
    held: Held,
    /// The number of the view's first row.
    first_row: u64,
    updating: bool,
    /// Rows that are not committed yet.
    waiting: Vec<RecordBatch>,
    /// The watermark that the job knows, µs.
    known_us: Option<i64>,
    whole: bool,
}

/// What a job goes on from.
#[derive(Debug, Default)]
pub struct Restored {
    /// What its operators kept.
    pub operators: Snapshot,
    /// What its view held.
    pub held: Held,
    /// Rows that were not committed yet.
    pub waiting: Vec<RecordBatch>,
    /// The watermark that it knew, µs.
    pub known_us: Option<i64>,
    /// Whether its sources have ended and it holds the whole answer.
    pub whole: bool,
}

impl Keeper {
    /// Whose rows and state it is: another each time that a job begins anew.
    pub(super) fn generation(&self) -> i64 {
        self.generation
    }

    /// The barrier of that epoch has left the last operator: what there is now belongs together. One that is asked for no longer is passed over.
    pub(super) fn at_barrier(&self, epoch: u64, view: &MaterializedView, waiting: &[RecordBatch], known_us: Option<i64>) -> Result<()> {
        if epoch == *self.asked.lock() {
            let captured = self.captured(epoch, self.checkpoint.take(epoch), view, waiting, known_us, false)?;
            self.stage.send_replace(Stage::Running(Some(captured)));
        }
        Ok(())
    }

    /// The view holds the whole answer.
    pub(super) fn at_end(&self, view: &MaterializedView) -> Result<()> {
        let epoch = *self.asked.lock() + 1;
        self.stage.send_replace(Stage::Whole(self.captured(epoch, Snapshot::new(), view, &[], None, true)?));
        Ok(())
    }

    fn captured(
        &self,
        epoch: u64,
        operators: Snapshot,
        view: &MaterializedView,
        waiting: &[RecordBatch],
        known_us: Option<i64>,
        whole: bool,
    ) -> Result<Arc<Captured>> {
        let n_held = view.n_rows();
        let from_row = files::from_row(&self.row_files.lock(), view.first_row() + n_held);
        let held = view.held(from_row)?;
        let (first_row, updating, waiting) = (view.first_row(), view.updating(), waiting.to_vec());
        Ok(Arc::new(Captured { epoch, operators, held, first_row, updating, waiting, known_us, whole }))
    }

    /// The job has gone, whole or not.
    pub(super) fn gone(&self) {
        self.stage.send_if_modified(|stage| {
            let running = matches!(stage, Stage::Running(_));
            if running {
                *stage = Stage::Gone;
            }
            running
        });
    }

    /// Takes a checkpoint and writes it; does nothing for a job that has gone. Errs if it cannot be written: then the one before stays.
    pub async fn keep(self: &Arc<Self>) -> Result<()> {
        match self.take().await {
            Some(taken) => taken.write().await,
            None => Ok(()),
        }
    }

    /// Takes a checkpoint, which is still to be written; None of a job that has gone, or whose last is written.
    async fn take(self: &Arc<Self>) -> Option<Taken> {
        let written = Arc::clone(&self.written).lock_owned().await;
        if written.whole {
            return None;
        }
        let epoch = {
            let mut asked = self.asked.lock();
            *asked += 1;
            *asked
        };
        let mut stage = self.stage.subscribe();
        self.checkpoint.ask(epoch);
        let done = stage.wait_for(|stage| match stage {
            Stage::Running(captured) => captured.as_ref().is_some_and(|c| c.epoch == epoch),
            Stage::Whole(_) | Stage::Gone => true,
        });
        let captured = match done.await.as_deref() {
            Ok(Stage::Running(Some(captured)) | Stage::Whole(captured)) => Arc::clone(captured),
            // The sender is this keeper's own.
            Ok(Stage::Running(None) | Stage::Gone) | Err(_) => return None,
        };
        Some(Taken { keeper: Arc::clone(self), written, captured })
    }
}

/// A checkpoint that was taken. No other of its job is taken before it is written, or let go.
struct Taken {
    keeper: Arc<Keeper>,
    written: OwnedMutexGuard<Manifest>,
    captured: Arc<Captured>,
}

impl Taken {
    async fn write(mut self) -> Result<()> {
        let (folder, before) = (self.keeper.folder.clone(), self.written.clone());
        let captured = self.captured;
        let write = move || files::write(&folder, &before, &captured);
        let now = tokio::task::spawn_blocking(write).await.map_err(|e| Error::Internal(e.to_string()))??;
        self.keeper.row_files.lock().clone_from(&now.row_files);
        *self.written = now;
        // What was captured is on disk, and not held any longer.
        self.keeper.stage.send_if_modified(|stage| {
            match stage {
                Stage::Running(captured) => *captured = None,
                Stage::Whole(_) | Stage::Gone => *stage = Stage::Gone,
            }
            false
        });
        Ok(())
    }
}

/// Where the checkpoints of a view are.
pub(super) fn folder_of(data: &Path, view: &str) -> PathBuf {
    data.join("jobs").join(super::store::file_name(view))
}

/// Takes checkpoints as often as the settings say, as long as the engine lives.
pub(super) fn take_regularly(engine: &Arc<Engine>) {
    let every = engine.settings.checkpoint_interval;
    if engine.store.is_none() || every.is_zero() {
        return;
    }
    let weak = Arc::downgrade(engine);
    engine.jobs.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let Some(engine) = weak.upgrade() else { return };
            engine.checkpoint().await;
        }
    });
}

impl Engine {
    /// The keeper of a new job, if there is a data directory and the job can go on after a restart (`identity` is Some); at a restart also
    /// what it goes on from, if that was kept of the same job: its operators are told. Its plan shares `checkpoint`.
    pub(super) fn keeper(
        &self,
        view: &str,
        identity: Option<String>,
        restart: bool,
        checkpoint: &Arc<Checkpoint>,
    ) -> Option<(Arc<Keeper>, Option<Restored>)> {
        let (store, identity) = (self.store.as_ref()?, identity?);
        let jobs = folder_of(store.folder(), view);
        let found = if restart { files::newest(&jobs, &identity) } else { None };
        let (generation, manifest, restored) = match found {
            Some((generation, manifest, restored)) => (generation, manifest, Some(restored)),
            None => (clock::now_us(), Manifest::of(identity), None),
        };
        if let Some(restored) = &restored {
            checkpoint.start_from(restored.operators.clone());
        }
        let keeper = Keeper {
            view: view.to_owned(),
            folder: jobs.join(generation.to_string()),
            generation,
            checkpoint: Arc::clone(checkpoint),
            asked: Mutex::new(manifest.epoch),
            stage: watch::Sender::new(Stage::Running(None)),
            row_files: Mutex::new(manifest.row_files.clone()),
            written: Arc::new(tokio::sync::Mutex::new(manifest)),
        };
        Some((Arc::new(keeper), restored))
    }

    /// Takes a checkpoint of every job that can go on from one: those first that read what others write, which are written last. So at no moment has
    /// one that is on disk read more than is on disk of the other.
    pub async fn checkpoint(&self) {
        let mut all = Vec::new();
        for object in self.catalog.all().iter().rev() {
            let Body::Materialized(view) = &object.body else { continue };
            let Some(keeper) = self.jobs.keeper(&object.name, view) else { continue };
            all.extend(keeper.take().await);
        }
        while let Some(taken) = all.pop() {
            let view = taken.keeper.view.clone();
            if let Err(error) = taken.write().await {
                warn!(view, %error, "no checkpoint; a restart goes on from the one before");
                // What reads it would have read more.
                return;
            }
        }
        info!("checkpoint taken");
    }
}
