//! A plan to results: how it happens. Operators are lowered from the optimised logical plan and driven by one ExecutionPlan.

mod accumulate;
mod adapted;
pub mod aggregate;
pub mod apart;
pub mod asof;
pub mod assign;
pub mod checkpoint;
pub mod condition;
pub mod cooperative;
pub mod dedup;
pub mod detach;
pub mod elements;
mod every;
pub mod exec;
pub mod expression;
mod fill;
mod groups;
pub mod infer;
pub mod inference;
pub mod join;
mod kept;
pub mod keys;
mod late;
pub mod limit;
pub mod line_crossings;
pub mod lookup;
pub mod lower;
pub mod map;
pub mod merge;
pub mod operator;
pub mod over;
pub mod pattern;
pub mod previous;
pub mod redrawn;
pub mod scan;
pub mod session;
pub mod session_aggregate;
pub mod topn;
pub mod topn_updating;
pub mod touched;
pub mod track;
mod tracked;
pub mod unnest;
pub mod updating_join;
pub mod values;
mod waiting;
pub mod window;
mod workers;
pub mod written;
pub mod zone_visits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::frame::source::Claim;
use crate::metrics::JobCounters;
use checkpoint::Checkpoint;
use inference::Inference;
use operator::Operator;
use redrawn::Redrawn;
use touched::Pace;

/// What the operators of one query share.
#[derive(Clone, Debug)]
pub struct Run {
    /// The engine's models and their results.
    pub inference: Arc<Inference>,
    /// What the job counts.
    pub counters: Arc<JobCounters>,
    /// Whether it goes on with what comes (a job) or ends (a SELECT).
    pub continuous: bool,
    /// Whether a continuous query gives results before they are final, and takes them back.
    pub updating: bool,
    /// When those of its operators that take rows back give what has changed, and how long they remember.
    pub pace: Pace,
    /// Rows in a batch, where a test sets them.
    pub batch_rows: Option<usize>,
    /// Snapshots taken and to be taken.
    pub checkpoint: Arc<Checkpoint>,
    /// Where the values of the query's subqueries are, once they are known; a continuous query has none.
    pub subqueries: PhysicalPlanningContext,
    /// The threads of all queries of the engine: back at zero when nothing runs.
    pub threads: Threads,
    /// The figures that have changed since it was planned; None for a SELECT, which sees them as they were then.
    pub figures: Option<Arc<Redrawn>>,
    /// Whether its results are kept in a view: what it reads waits for it, which it does not for a client.
    pub job: bool,
    /// How many scans its plan has, once it is lowered.
    pub n_scans: Arc<AtomicUsize>,
}

impl Run {
    /// Of a query of a client, whose subqueries are not known yet, with threads that nobody else counts.
    pub fn new(inference: Arc<Inference>, continuous: bool) -> Run {
        Run {
            inference,
            counters: Arc::default(),
            continuous,
            updating: false,
            pace: Pace::default(),
            batch_rows: None,
            checkpoint: Arc::new(Checkpoint::default()),
            subqueries: PhysicalPlanningContext::default(),
            threads: Threads::default(),
            figures: None,
            job: false,
            n_scans: Arc::default(),
        }
    }

    /// What is kept of a view's rows for a scan of this query.
    fn claim(&self) -> Claim {
        match (self.job, self.n_scans.load(Ordering::Relaxed)) {
            (false, _) => Claim::None,
            (true, 1) => Claim::RowsAndWriter,
            (true, _) => Claim::Rows,
        }
    }
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

/// What an operator does, apart from where it runs: one variant a kind of operator, the word is its word in EXPLAIN.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Description {
    /// Reads a source.
    Scan(scan::Scan),
    /// Rows that stand in the query.
    Values(values::Values),
    /// Filters and projects.
    Map(map::Map),
    /// One row an element of a list.
    Unnest(unnest::Unnest),
    /// What is said of the elements of a list.
    Elements(elements::Elements),
    /// Runs models.
    Infer(infer::Infer),
    /// Compares frames with those before.
    Previous(previous::Previous),
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
    /// Puts rows into sessions and aggregates these.
    SessionAggregate(session_aggregate::SessionAggregate),
    /// Numbers rows by time window.
    TopN(topn::TopN),
    /// Aggregates by time window.
    Window(window::Window),
    /// Aggregates, and updates what it gave.
    Aggregate(aggregate::Aggregate),
    /// The first rows by rank, updated.
    TopNUpdating(topn_updating::TopN),
    /// The first row of each key.
    Dedup(dedup::Dedup),
    /// Joins within a stretch of event time.
    Join(join::Join),
    /// Joins with what a table holds now.
    Lookup(lookup::Lookup),
    /// Joins with the nearest version.
    Asof(asof::Asof),
    /// OVER on event time.
    Over(over::Over),
    /// Recognises patterns of rows.
    Pattern(pattern::Pattern),
    /// When tracks are in a zone.
    ZoneVisits(zone_visits::ZoneVisits),
    /// When tracks cross a line.
    LineCrossings(line_crossings::LineCrossings),
    /// Follows what is seen from frame to frame.
    Track(track::Track),
    /// Joins without a bound in time, and updates what it gave.
    UpdatingJoin(updating_join::UpdatingJoin),
}

impl Description {
    /// The word in EXPLAIN.
    pub fn word(&self) -> &'static str {
        match self {
            Description::Scan(_) => "ScanExec",
            Description::Values(_) => "ValuesExec",
            Description::Map(_) => "MapExec",
            Description::Unnest(_) => "UnnestFramesExec",
            Description::Elements(_) => "ElementsExec",
            Description::Infer(_) => "InferExec",
            Description::Previous(_) => "PreviousExec",
            Description::Assign(_) => "AssignWindowExec",
            Description::Detach(_) => "DetachExec",
            Description::Limit(_) => "LimitExec",
            Description::Merge(_) => "MergeExec",
            Description::Session(_) => "SessionExec",
            Description::SessionAggregate(_) => "SessionAggregateExec",
            Description::TopN(_) => "TopNExec",
            Description::Window(_) => "WindowAggregateExec",
            Description::Aggregate(_) => "UpdatingAggregateExec",
            Description::TopNUpdating(_) => "UpdatingTopNExec",
            Description::Dedup(_) => "DedupExec",
            Description::Join(_) => "TimedJoinExec",
            Description::Lookup(_) => "LookupJoinExec",
            Description::Asof(_) => "AsofJoinExec",
            Description::Over(_) => "OverExec",
            Description::Pattern(_) => "PatternExec",
            Description::ZoneVisits(_) => "ZoneVisitsExec",
            Description::LineCrossings(_) => "LineCrossingsExec",
            Description::Track(_) => "TrackExec",
            Description::UpdatingJoin(_) => "UpdatingJoinExec",
        }
    }

    /// What EXPLAIN shows beside the word.
    pub fn detail(&self) -> String {
        match self {
            Description::Scan(d) => d.detail(),
            Description::Values(d) => d.detail(),
            Description::Map(d) => d.detail(),
            Description::Unnest(d) => d.detail(),
            Description::Elements(d) => d.detail(),
            Description::Infer(d) => d.detail(),
            Description::Previous(d) => d.detail(),
            Description::Assign(d) => d.detail(),
            Description::Detach(_) | Description::Merge(_) => String::new(),
            Description::Limit(d) => d.detail(),
            Description::Session(d) => d.detail(),
            Description::SessionAggregate(d) => d.detail(),
            Description::TopN(d) => d.detail(),
            Description::Window(d) => d.detail(),
            Description::Aggregate(d) => d.detail(),
            Description::TopNUpdating(d) => d.detail(),
            Description::Dedup(d) => d.detail(),
            Description::Join(d) => d.detail(),
            Description::Lookup(d) => d.detail(),
            Description::Asof(d) => d.detail(),
            Description::Over(d) => d.detail(),
            Description::Pattern(d) => d.detail(),
            Description::ZoneVisits(d) => d.detail(),
            Description::LineCrossings(d) => d.detail(),
            Description::Track(d) => d.detail(),
            Description::UpdatingJoin(d) => d.detail(),
        }
    }

    /// Whether what it gives depends on more than one of its rows, and so on when they come: a frame's neighbour is the same whenever.
    pub(super) fn stateful(&self) -> bool {
        use Description::{Assign, Detach, Elements, Infer, Limit, Map, Merge, Previous, Scan, Unnest, Values};
        !matches!(
            self,
            Scan(_) | Values(_) | Map(_) | Unnest(_) | Elements(_) | Infer(_) | Previous(_) | Assign(_) | Detach(_) | Limit(_) | Merge(_)
        )
    }

    /// The columns it gives.
    pub fn schema(&self) -> SchemaRef {
        match self {
            Description::Scan(d) => Arc::clone(&d.schema),
            Description::Values(d) => Arc::clone(&d.schema),
            Description::Map(d) => Arc::clone(&d.schema),
            Description::Unnest(d) => Arc::clone(&d.schema),
            Description::Elements(d) => Arc::clone(&d.schema),
            Description::Infer(d) => Arc::clone(&d.schema),
            Description::Previous(d) => Arc::clone(&d.schema),
            Description::Assign(d) => Arc::clone(&d.schema),
            Description::Detach(d) => Arc::clone(&d.schema),
            Description::Limit(d) => Arc::clone(&d.schema),
            Description::Merge(d) => Arc::clone(&d.schema),
            Description::Session(d) => Arc::clone(&d.schema),
            Description::SessionAggregate(d) => Arc::clone(&d.window.schema),
            Description::TopN(d) => Arc::clone(&d.schema),
            Description::Window(d) => Arc::clone(&d.schema),
            Description::Aggregate(d) => Arc::clone(&d.schema),
            Description::TopNUpdating(d) => Arc::clone(&d.schema),
            Description::Dedup(d) => Arc::clone(&d.schema),
            Description::Join(d) => Arc::clone(&d.schema),
            Description::Lookup(d) => Arc::clone(&d.schema),
            Description::Asof(d) => Arc::clone(&d.schema),
            Description::Over(d) => Arc::clone(&d.schema),
            Description::Pattern(d) => Arc::clone(&d.schema),
            Description::ZoneVisits(d) => Arc::clone(&d.schema),
            Description::LineCrossings(d) => Arc::clone(&d.schema),
            Description::Track(d) => Arc::clone(&d.schema),
            Description::UpdatingJoin(d) => Arc::clone(&d.schema),
        }
    }

    /// The operator at work. A scan's and a detach's work is in `exec`, as they have threads of their own.
    pub(super) fn build(&self, run: &Run) -> Result<Box<dyn Operator>> {
        Ok(match self {
            Description::Scan(_) | Description::Values(_) => return internal_err!("what reads is opened with what counts its rows"),
            Description::Map(d) => Box::new(d.build(run)?),
            Description::Unnest(d) => Box::new(d.build()),
            Description::Elements(d) => Box::new(d.build()?),
            Description::Infer(d) => Box::new(d.build(run)?),
            Description::Previous(d) => Box::new(d.build()?),
            Description::Assign(d) => Box::new(d.build(run)),
            Description::Detach(d) => Box::new(d.build()),
            Description::Limit(d) => Box::new(d.build()),
            Description::Merge(d) => Box::new(d.build()),
            Description::Session(d) => Box::new(d.build(run)?),
            Description::SessionAggregate(d) => Box::new(d.build(run)?),
            Description::TopN(d) => Box::new(d.build(run)?),
            Description::Window(d) => Box::new(d.build(run)?),
            Description::Aggregate(d) => Box::new(d.build(run)?),
            Description::TopNUpdating(d) => Box::new(d.build()?),
            Description::Dedup(d) => Box::new(d.build(run)?),
            Description::Join(d) => Box::new(d.build(run)?),
            Description::Lookup(d) => Box::new(d.build(run)?),
            Description::Asof(d) => Box::new(d.build(run)?),
            Description::Over(d) => Box::new(d.build(run)?),
            Description::Pattern(d) => Box::new(d.build(run)?),
            Description::ZoneVisits(d) => Box::new(d.build(run)?),
            Description::LineCrossings(d) => Box::new(d.build(run)?),
            Description::Track(d) => Box::new(d.build(run)?),
            Description::UpdatingJoin(d) => Box::new(d.build(run)?),
        })
    }
}
