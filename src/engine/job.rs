//! The jobs of the engine: each runs a continuous query into its view, and ends with it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{error, info};

use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, Source};
use crate::run::exec::{events_of, rows_only};
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
    abort: AbortHandle,
}

impl Jobs {
    /// Starts a job, which nobody knows before it is `put` under its name. Its sources are opened before this returns, so that it joins a
    /// live one at the next frame.
    pub fn start(
        &self,
        name: &str,
        plan: &Arc<dyn ExecutionPlan>,
        context: &Arc<TaskContext>,
        view: &Arc<MaterializedView>,
        sources: Vec<Arc<dyn Source>>,
    ) -> Result<Job> {
        let events = events_of(plan, context)?;
        let at_once = rows_only(plan);
        let (task_name, task_view) = (name.to_owned(), Arc::clone(view));
        let task = async move {
            // One job's panic is the end of that job and of nothing else.
            let done = AssertUnwindSafe(write(events, &task_view, at_once)).catch_unwind().await;
            let end = match done {
                Ok(Ok(())) => End::Whole,
                Ok(Err(e)) => failed(&e.into()),
                Err(_) => failed(&Error::Internal("an operator panicked".into())),
            };
            // First those who wait are told, then the log.
            task_view.end(end.clone());
            match end {
                End::Failed { code, message } => error!(view = task_name, code, message, "job failed"),
                end => info!(view = task_name, ?end, "job ended"),
            }
        };
        let abort = self.spawn(task);
        info!(view = name, "job started");
        Ok(Job { view: Arc::clone(view), sources, abort })
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

    /// All jobs, by the name of their view.
    pub fn all(&self) -> Vec<(String, Job)> {
        self.running.lock().iter().map(|(name, job)| (name.clone(), job.clone())).collect()
    }

    /// Ends all jobs, and waits for their tasks.
    pub async fn shutdown(&self) {
        for (name, _) in self.all() {
            self.drop_job(&name);
        }
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

/// Commits what comes: rows that are final at every watermark, and with `at_once` before it waits for the next event, too; changes at once.
async fn write(mut events: EventStream, view: &MaterializedView, at_once: bool) -> Result<()> {
    let mut waiting = Waiting::default();
    let mut known_us = None;
    loop {
        let event = match events.next().now_or_never() {
            Some(event) => event,
            None => {
                let rows = if at_once { waiting.take() } else { Vec::new() };
                if !rows.is_empty() {
                    view.commit(&rows, known_us.unwrap_or(i64::MIN))?;
                }
                events.next().await
            }
        };
        let Some(event) = event else { break };
        match event? {
            // A view that takes rows back shows what its job gives at once, as one commit.
            Event::Rows(batch) if view.updating() => view.change(&RecordBatch::new_empty(batch.schema()), &batch)?,
            Event::Rows(batch) => {
                let full = waiting.add(batch);
                if !full.is_empty() {
                    view.commit(&full, known_us.unwrap_or(i64::MIN))?;
                }
            }
            Event::Changes { gone, come } => view.change(&gone, &come)?,
            Event::Watermark(us) => {
                known_us = Some(us);
                view.commit(&waiting.take(), us)?;
            }
            Event::Barrier(_) | Event::Idle => {}
            Event::End => {
                view.commit(&waiting.take(), END_OF_TIME_US)?;
                return Ok(());
            }
        }
    }
    Err(Error::Internal("the input of a job ended without its last event".into()).into())
}
