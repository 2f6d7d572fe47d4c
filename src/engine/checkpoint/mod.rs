//! Checkpoints of the jobs under `--data`: what a job's operators and its view hold at one barrier, written so that a restart goes on from there.

mod files;
mod identity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use futures::FutureExt;
use futures::future::FusedFuture;
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

/// How long a job may take up to the next barrier before the others are kept without it.
const TAKE: Duration = Duration::from_secs(5);
/// The same of one that others read, which are not kept without it.
const TAKE_READ: Duration = Duration::from_secs(60);

/// What a job keeps, and where.
#[derive(Debug)]
pub struct Keeper {
    view: String,
    /// `<data>/jobs/<view>/<generation>`.
    folder: PathBuf,
    generation: i64,
    checkpoint: Arc<Checkpoint>,
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
    /// This is its last, which is to be written: it is whole, or goes on after a restart only.
    Last(Arc<Captured>),
    /// Its last is written: a restart goes on from there.
    Kept,
    /// It was broken off: what it had since the last checkpoint is lost.
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
        if epoch == self.checkpoint.asked() {
            let captured = self.captured(epoch, self.checkpoint.take(epoch), view, waiting, known_us, false)?;
            self.stage.send_replace(Stage::Running(Some(captured)));
        }
        Ok(())
    }

    /// The view holds the whole answer.
    pub(super) fn at_end(&self, view: &MaterializedView) -> Result<()> {
        let epoch = self.checkpoint.asked() + 1;
        self.stage.send_replace(Stage::Last(self.captured(epoch, Snapshot::new(), view, &[], None, true)?));
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

    /// The job has gone. If its sources `ended` it goes on after a restart: from what it had at its last barrier, with `alone`, else from its last checkpoint,
    /// reading the views again that it read.
    pub(super) fn gone(&self, ended: bool, alone: bool) {
        self.stage.send_if_modified(|stage| {
            let Stage::Running(captured) = stage else { return false };
            *stage = match captured.take() {
                Some(captured) if ended && alone => Stage::Last(captured),
                _ if ended => Stage::Kept,
                _ => Stage::Gone,
            };
            true
        });
    }

    /// Takes a checkpoint and writes it; does nothing for a job that has gone. Errs if it cannot be written: then the one before stays.
    pub async fn keep(self: &Arc<Self>) -> Result<()> {
        match self.take(false).await {
            Took::New(taken) => taken.write().await,
            Took::Nothing | Took::Gone => Ok(()),
        }
    }

    /// Takes a checkpoint, which is still to be written. One that came too late before will do where `unread`: nobody has read more meanwhile.
    async fn take(self: &Arc<Self>, unread: bool) -> Took {
        let written = Arc::clone(&self.written).lock_owned().await;
        if written.whole {
            return Took::Nothing;
        }
        let mut stage = self.stage.subscribe();
        if let Stage::Running(Some(late)) = &*stage.borrow()
            && unread
            && late.epoch > written.epoch
        {
            let captured = Arc::clone(late);
            return Took::New(Taken { keeper: Arc::clone(self), written, captured });
        }
        let epoch = self.checkpoint.ask();
        let done = stage.wait_for(|stage| match stage {
            // Its source may have asked once more, at its end.
            Stage::Running(captured) => captured.as_ref().is_some_and(|c| c.epoch >= epoch),
            Stage::Last(_) | Stage::Kept | Stage::Gone => true,
        });
        let captured = match done.await.as_deref() {
            Ok(Stage::Running(Some(captured)) | Stage::Last(captured)) => Arc::clone(captured),
            Ok(Stage::Kept) => return Took::Nothing,
            // The sender is this keeper's own.
            Ok(Stage::Running(None) | Stage::Gone) | Err(_) => return Took::Gone,
        };
        Took::New(Taken { keeper: Arc::clone(self), written, captured })
    }
}

/// What came of asking for a checkpoint.
enum Took {
    New(Taken),
    /// The last is on disk.
    Nothing,
    /// The job has gone without a last one.
    Gone,
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
        let epoch = captured.epoch;
        let write = move || files::write(&folder, &before, &captured);
        let now = tokio::task::spawn_blocking(write).await.map_err(|e| Error::Internal(e.to_string()))??;
        self.keeper.row_files.lock().clone_from(&now.row_files);
        *self.written = now;
        // What was captured is on disk, and not held any longer.
        self.keeper.stage.send_if_modified(|stage| {
            match stage {
                Stage::Running(captured) => drop(captured.take_if(|c| c.epoch <= epoch)),
                Stage::Last(captured) if captured.epoch > epoch => {}
                Stage::Last(_) => *stage = Stage::Kept,
                Stage::Kept | Stage::Gone => {}
            }
            false
        });
        Ok(())
    }
}

/// The folder of the checkpoints of all views.
pub(super) const JOBS: &str = "jobs";

/// Where the checkpoints of a view are.
pub(super) fn folder_of(data: &Path, view: &str) -> PathBuf {
    data.join(JOBS).join(super::store::file_name(view))
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
        checkpoint.go_on_from(manifest.epoch);
        let keeper = Keeper {
            view: view.to_owned(),
            folder: jobs.join(generation.to_string()),
            generation,
            checkpoint: Arc::clone(checkpoint),
            stage: watch::Sender::new(Stage::Running(None)),
            row_files: Mutex::new(manifest.row_files.clone()),
            written: Arc::new(tokio::sync::Mutex::new(manifest)),
        };
        Some((Arc::new(keeper), restored))
    }

    /// Takes a checkpoint of every job that can go on from one: those first that read what others write, which are written last. So at no moment has
    /// one that is on disk read more than is on disk of the other.
    pub async fn checkpoint(&self) {
        let open = self.checkpoints.lock().await;
        if *open {
            self.checkpoint_all(std::future::pending()).await;
        }
    }

    /// The last time: of jobs that do not come to a barrier until `patience` ends nothing is kept.
    pub(super) async fn last_checkpoint(&self, patience: impl Future<Output = ()>) {
        let mut open = self.checkpoints.lock().await;
        self.checkpoint_all(patience).await;
        // Jobs end from here on, one after the other: what is kept of one then would be ahead of what is kept of another.
        *open = false;
    }

    async fn checkpoint_all(&self, patience: impl Future<Output = ()>) {
        let mut patience = std::pin::pin!(patience.fuse());
        // What reads one that is not kept now has read more than is on disk of it.
        let readers = |view: &str| self.catalog.dependents(view).into_iter().map(|object| object.name);
        let (mut all, mut behind) = (Vec::new(), Vec::new());
        for object in self.catalog.all().iter().rev() {
            let Body::Materialized(view) = &object.body else { continue };
            let Some(keeper) = self.jobs.keeper(&object.name, view) else { continue };
            let unread = readers(&object.name).next().is_none();
            let took = tokio::select! {
                biased;
                took = keeper.take(unread) => Some(took),
                () = tokio::time::sleep(if unread { TAKE } else { TAKE_READ }) => None,
                () = &mut patience, if !patience.is_terminated() => None,
            };
            match took {
                Some(Took::New(taken)) => all.push(taken),
                Some(Took::Nothing) => {}
                Some(Took::Gone) => behind.extend(readers(&object.name)),
                None => {
                    warn!(view = object.name, "no checkpoint, as its query is long at one batch; a restart goes on from the one before");
                    behind.extend(readers(&object.name));
                }
            }
        }
        while let Some(taken) = all.pop() {
            let view = taken.keeper.view.clone();
            if behind.contains(&view) {
                continue;
            }
            if let Err(error) = taken.write().await {
                warn!(view, %error, "no checkpoint; a restart goes on from the one before");
                behind.extend(readers(&view));
            }
        }
        info!("checkpoint taken");
    }
}
