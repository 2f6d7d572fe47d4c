//! A plan to results: how it happens. Operators are lowered from the optimised logical plan and driven by one ExecutionPlan.

mod accumulate;
pub mod assign;
pub mod detach;
pub mod exec;
pub mod expression;
mod fill;
pub mod infer;
pub mod inference;
mod late;
pub mod limit;
pub mod lower;
pub mod map;
pub mod merge;
pub mod operator;
pub mod scan;
pub mod session;
pub mod topn;
pub mod unnest;
pub mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::metrics::JobCounters;
use inference::Inference;
use operator::{Operator, State};

/// What the operators of one query share.
#[derive(Clone, Debug)]
pub struct Run {
    /// The engine's models and their results.
    pub inference: Arc<Inference>,
    /// What the job counts.
    pub counters: Arc<JobCounters>,
    /// Whether it goes on with what comes (a job) or ends (a SELECT).
    pub continuous: bool,
    /// Rows in a batch, where a test sets them.
    pub batch_rows: Option<usize>,
    /// Snapshots taken and to be taken.
    pub checkpoint: Arc<Checkpoint>,
    /// The threads of all queries of the engine: back at zero when nothing runs.
    pub threads: Threads,
}

/// Counts the threads that work for queries; cloned handles count together.
#[derive(Clone, Debug)]
pub struct Threads(Arc<watch::Sender<usize>>);

/// One thread at work; dropped when it ends.
#[derive(Debug)]
pub struct AtWork(Arc<watch::Sender<usize>>);

impl Default for Threads {
    fn default() -> Threads {
        Threads(Arc::new(watch::Sender::new(0)))
    }
}

impl Threads {
    /// One more.
    pub fn start(&self) -> AtWork {
        self.0.send_modify(|n| *n += 1);
        AtWork(Arc::clone(&self.0))
    }

    /// How many are at work.
    pub fn n_running(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until none is at work.
    pub async fn idle(&self) {
        // It errs when the sender is gone, which this handle holds.
        let _ = self.0.subscribe().wait_for(|n| *n == 0).await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// The snapshots of one query: where the barrier stands, what the operators kept there, what they start from.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// A scan sends a barrier after so many of its rows.
    pub barrier_after_rows: Option<u64>,
    /// What each operator, by its number in the plan, starts from.
    pub restored: BTreeMap<usize, State>,
    /// What each operator kept at the barrier.
    pub taken: Mutex<BTreeMap<usize, State>>,
}

/// What an operator does, apart from where it runs: one variant a kind of operator, the word is its word in EXPLAIN.
#[derive(Clone, Debug)]
pub enum Description {
    /// Reads a source.
    Scan(scan::Scan),
    /// Filters and projects.
    Map(map::Map),
    /// One row an element of a list.
    Unnest(unnest::Unnest),
    /// Runs models.
    Infer(infer::Infer),
    /// Puts rows into time windows.
    Assign(assign::Assign),
    /// Drops pixels and goes on to another thread.
    Detach(detach::Detach),
    /// Passes a number of rows.
    Limit(limit::Limit),
    /// Several inputs as one.
    Merge(merge::Merge),
    /// Puts rows into sessions.
    Session(session::Session),
    /// Numbers rows by time window.
    TopN(topn::TopN),
    /// Aggregates by time window.
    Window(window::Window),
}

impl Description {
    /// The word in EXPLAIN.
    pub fn word(&self) -> &'static str {
        match self {
            Description::Scan(_) => "ScanExec",
            Description::Map(_) => "MapExec",
            Description::Unnest(_) => "UnnestFramesExec",
            Description::Infer(_) => "InferExec",
            Description::Assign(_) => "AssignWindowExec",
            Description::Detach(_) => "DetachExec",
            Description::Limit(_) => "LimitExec",
            Description::Merge(_) => "MergeExec",
            Description::Session(_) => "SessionExec",
            Description::TopN(_) => "TopNExec",
            Description::Window(_) => "WindowAggregateExec",
        }
    }

    /// What EXPLAIN shows beside the word.
    pub fn detail(&self) -> String {
        match self {
            Description::Scan(d) => d.detail(),
            Description::Map(d) => d.detail(),
            Description::Unnest(d) => d.detail(),
            Description::Infer(d) => d.detail(),
            Description::Assign(d) => d.detail(),
            Description::Detach(_) | Description::Merge(_) => String::new(),
            Description::Limit(d) => d.detail(),
            Description::Session(d) => d.detail(),
            Description::TopN(d) => d.detail(),
            Description::Window(d) => d.detail(),
        }
    }

    /// The columns it gives.
    pub fn schema(&self) -> SchemaRef {
        match self {
            Description::Scan(d) => Arc::clone(&d.schema),
            Description::Map(d) => Arc::clone(&d.schema),
            Description::Unnest(d) => Arc::clone(&d.schema),
            Description::Infer(d) => Arc::clone(&d.schema),
            Description::Assign(d) => Arc::clone(&d.schema),
            Description::Detach(d) => Arc::clone(&d.schema),
            Description::Limit(d) => Arc::clone(&d.schema),
            Description::Merge(d) => Arc::clone(&d.schema),
            Description::Session(d) => Arc::clone(&d.schema),
            Description::TopN(d) => Arc::clone(&d.schema),
            Description::Window(d) => Arc::clone(&d.schema),
        }
    }

    /// The operator at work. A scan's and a detach's work is in `exec`, as they have threads of their own.
    pub(super) fn build(&self, run: &Run) -> Result<Box<dyn Operator>> {
        Ok(match self {
            Description::Scan(d) => Box::new(d.build()),
            Description::Map(d) => Box::new(d.build()?),
            Description::Unnest(d) => Box::new(d.build()),
            Description::Infer(d) => Box::new(d.build(run)?),
            Description::Assign(d) => Box::new(d.build(run)),
            Description::Detach(d) => Box::new(d.build()),
            Description::Limit(d) => Box::new(d.build()),
            Description::Merge(d) => Box::new(d.build()),
            Description::Session(d) => Box::new(d.build(run)?),
            Description::TopN(d) => Box::new(d.build(run)?),
            Description::Window(d) => Box::new(d.build(run)?),
        })
    }
}
