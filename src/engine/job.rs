//! The jobs of the engine: each runs a continuous query into its view, and ends with it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::ready;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{error, info, warn};

use super::checkpoint::{Keeper, Restored};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{Again, EventStream, Source};
use crate::run::apart;
use crate::run::exec::rows_only;
use crate::view::change::Waiting;
use crate::view::materialized::{End, MaterializedView};

/// The running jobs, by the name of their view.
#[derive(Debug, Default)]
pub struct Jobs {
    tasks: Mutex<JoinSet<()>>,
    running: Mutex<BTreeMap<String, Job>>,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where its rows go.
    pub view: Arc<MaterializedView>,
    /// What it reads.
    pub sources: Vec<Arc<dyn Source>>,
    /// What it keeps for a restart; None if it begins anew then.
    keeper: Option<Arc<Keeper>>,
    abort: AbortHandle,
}

impl Jobs {
    /// Starts a job, which nobody knows before it is `put` under its name. Its sources are opened before this returns, so that it joins a
    /// live one at the next frame. `kept` is what it keeps for a restart, and what it goes on from: its view holds that already.
    pub async fn start(
        &self,
        name: &str,
        plan: &Arc<dyn ExecutionPlan>,
        context: &Arc<TaskContext>,
        view: &Arc<MaterializedView>,
        sources: Vec<Arc<dyn Source>>,
        kept: Option<(Arc<Keeper>, Option<Restored>)>,
    ) -> Result<Job> {
        let (keeper, restored) = kept.unzip();
        let restored = restored.flatten().unwrap_or_default();
        if restored.whole {
            view.end(End::Whole);
            info!(view = name, "view is whole, as it was");
            return Ok(Job { view: Arc::clone(view), sources, keeper, abort: self.spawn(ready(())) });
        }
        let events = apart::events(plan, context).await?;
        let mut writer = Writer {
            view: Arc::clone(view),
            at_once: rows_only(plan),
            waiting: Waiting::of(restored.waiting),
            known_us: restored.known_us,
            // What is paced by the clock is not at its end because it was stopped once.
            keeps_end: !sources.iter().any(|source| source.live()),
            keeper: keeper.clone().map(|keeper| Kept { keeper, alone: goes_on_alone(&sources), ended: false }),
        };
        let task_name = name.to_owned();
        let task_view = Arc::clone(view);
        let task = async move {
            // One job's panic is the end of that job and of nothing else.
            let done = AssertUnwindSafe(writer.write(events)).catch_unwind().await;
            let end = match done {
                Ok(Ok(())) => End::Whole,
                Ok(Err(e)) => failed(&e.into()),
                Err(_) => failed(&Error::Internal("an operator panicked".into())),
            };
            // First those who wait are told, then the log.
            task_view.end(end.clone());
            let keeper = writer.keeper.take().filter(|kept| end == End::Whole && (writer.keeps_end || kept.alone));
            let keeper = keeper.map(|kept| Arc::clone(&kept.keeper));
            if let Some(keeper) = keeper
                && let Err(error) = keeper.keep().await
            {
                warn!(view = task_name, %error, "no checkpoint; after a restart it is made once more");
            }
            match end {
                End::Failed { code, message } => error!(view = task_name, code, message, "job failed"),
                end => info!(view = task_name, ?end, "job ended"),
            }
        };
        let abort = self.spawn(task);
        info!(view = name, "job started");
        Ok(Job { view: Arc::clone(view), sources, keeper, abort })
    }

    /// Runs something that ends with the engine, beside the jobs.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = self.tasks.lock();
        // Tasks that have ended are taken out here, so that their number does not grow.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }

    /// Makes a job known as that of its view.
    pub fn put(&self, name: &str, job: Job) {
        self.running.lock().insert(name.to_owned(), job);
    }

    /// Ends a job because its view is dropped.
    pub fn drop_job(&self, name: &str) {
        if let Some(job) = self.take(name) {
            job.end();
        }
    }

    /// Takes a job out of those that are known; it goes on.
    pub fn take(&self, name: &str) -> Option<Job> {
        self.running.lock().remove(name)
    }

    /// What the job of that view keeps for a restart.
    pub fn keeper(&self, name: &str, view: &Arc<MaterializedView>) -> Option<Arc<Keeper>> {
        self.running.lock().get(name).filter(|job| Arc::ptr_eq(&job.view, view))?.keeper.clone()
    }

    /// All jobs, by the name of their view.
    pub fn all(&self) -> Vec<(String, Job)> {
        self.running.lock().iter().map(|(name, job)| (name.clone(), job.clone())).collect()
    }

    /// Ends all jobs, and waits for their tasks.
    pub async fn shutdown(&self) {
        let running = std::mem::take(&mut *self.running.lock());
        // None sees another end as its own failure.
        running.values().for_each(|job| job.abort.abort());
        running.values().for_each(|job| job.view.end(End::Dropped));
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }
}

impl Job {
    /// Ends it because its view is dropped, or not wanted.
    pub fn end(&self) {
        self.abort.abort();
        self.view.end(End::Dropped);
    }
}

fn failed(e: &Error) -> End {
    End::Failed { code: e.sqlstate(), message: e.to_string() }
}

/// Whether what a job had when its sources ended is kept though they go on after a restart. Not that of one that follows a view: it goes on from the
/// checkpoint before, with the rows that the view holds, and so has never read more than is on disk of the view.
fn goes_on_alone(sources: &[Arc<dyn Source>]) -> bool {
    sources.iter().any(|source| source.again() == Again::Later) && !sources.iter().any(|source| source.holds() && source.flows())
}

/// A keeper that is told when its job has gone, however that ends.
struct Kept {
    keeper: Arc<Keeper>,
    /// Whether what it had when its sources ended is kept.
    alone: bool,
    /// Whether they have.
    ended: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeper.gone(self.ended, self.alone);
    }
}

/// Writes what a job gives into its view.
struct Writer {
    view: Arc<MaterializedView>,
    /// Whether rows are committed before the next event is waited for.
    at_once: bool,
    /// Rows that wait for the watermark that makes them final.
    waiting: Waiting,
    known_us: Option<i64>,
    keeps_end: bool,
    keeper: Option<Kept>,
}

impl Writer {
    /// Commits what comes: rows that are final at every watermark, and with `at_once` before it waits for the next event, too; changes at once.
    async fn write(&mut self, mut events: EventStream) -> Result<()> {
        let view = Arc::clone(&self.view);
        loop {
            view.room().await;
            let event = match events.next().now_or_never() {
                Some(event) => event,
                None => {
                    let rows = if self.at_once { self.waiting.take() } else { Vec::new() };
                    if !rows.is_empty() {
                        view.commit(&rows, self.known_us.unwrap_or(i64::MIN))?;
                    }
                    events.next().await
                }
            };
            let Some(event) = event else { break };
            match event? {
                // A view that takes rows back shows what its job gives at once, as one commit.
                Event::Rows(batch) if view.updating() => view.change(&RecordBatch::new_empty(batch.schema()), &batch)?,
                Event::Rows(batch) => {
                    let full = self.waiting.add(batch);
                    if !full.is_empty() {
                        view.commit(&full, self.known_us.unwrap_or(i64::MIN))?;
                    }
                }
                Event::Changes { gone, come } => view.change(&gone, &come)?,
                Event::Watermark(us) => {
                    self.known_us = Some(us);
                    view.commit(&self.waiting.take(), us)?;
                }
                Event::Barrier(epoch) => {
                    if let Some(Kept { keeper, .. }) = &self.keeper {
                        keeper.at_barrier(epoch, &view, self.waiting.rows(), self.known_us)?;
                    }
                }
                Event::Idle => {}
                Event::End => {
                    view.commit(&self.waiting.take(), END_OF_TIME_US)?;
                    if let Some(kept) = &mut self.keeper {
                        kept.ended = true;
                        if self.keeps_end {
                            kept.keeper.at_end(&view)?;
                        }
                    }
                    return Ok(());
                }
            }
        }
        Err(Error::Internal("the input of a job ended without its last event".into()).into())
    }
}
