//! A continuous query run to its end under chosen conditions: how many rows a batch has, where a barrier stands, what it goes on from.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;

use super::session::Session;
use crate::error::Result;
use crate::event::Event;
use crate::metrics::JobCounters;
use crate::plan::parse::{Emit, parse_query};
use crate::plan::query;
use crate::run::exec::events_of;
use crate::run::operator::State;
use crate::run::{Checkpoint, Run, lower};

/// What each operator of a query kept at a barrier, by its number in the plan.
pub type Snapshot = BTreeMap<usize, State>;

/// How a query is run.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Rows in a batch of a source; None is the engine's setting.
    pub batch_rows: Option<usize>,
    /// A barrier stands in each source after so many of its rows, or at its end if it has fewer; None is no barrier.
    pub barrier_after_rows: Option<u64>,
    /// What an earlier run kept at its barrier; empty starts at the beginning.
    pub restored: Snapshot,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The rows before the barrier, or all of them without one.
    pub rows: Vec<RecordBatch>,
    /// Those taken back before the barrier, or all of them without one.
    pub gone: Vec<RecordBatch>,
    /// The rows that came behind the barrier: those that a restored run must give once more.
    pub rows_after: Vec<RecordBatch>,
    /// Those taken back behind the barrier.
    pub gone_after: Vec<RecordBatch>,
    /// What the operators kept at the barrier; None if there was none.
    pub snapshot: Option<Snapshot>,
    /// What the job counted.
    pub counters: Arc<JobCounters>,
}

/// A continuous query that is planned once and run as often as is asked.
pub struct Replay<'a> {
    session: &'a Session,
    plan: LogicalPlan,
    emit: Emit,
}

impl Replay<'_> {
    /// Plans a query as SUBSCRIBE does. Errs for one that has no continuous form (0A000), and as SUBSCRIBE does.
    pub async fn of<'a>(session: &'a Session, sql: &str) -> Result<Replay<'a>> {
        let text = parse_query(sql)?;
        let plan = session.plan(&text.query).await?;
        let plan = query::optimise_continuous(&session.context().state(), &plan, text.emit)?;
        let replay = Replay { session, plan, emit: text.emit };
        // What has no operator is refused here, not at the first run.
        lower::continuous(&replay.plan, &session.engine().run_as(text.emit, None))?;
        Ok(replay)
    }

    /// Runs it until its sources end.
    pub async fn run(&self, conditions: Conditions) -> Result<Replayed> {
        let checkpoint =
            Checkpoint { barrier_after_rows: conditions.barrier_after_rows, restored: conditions.restored, ..Checkpoint::default() };
        let run = self.session.engine().run_as(self.emit, None);
        let run = Run { batch_rows: conditions.batch_rows, checkpoint: Arc::new(checkpoint), ..run };
        let exec = lower::continuous(&self.plan, &run)?;
        let mut events = events_of(&exec, &self.session.context().task_ctx())?;
        let mut replayed = Replayed {
            rows: Vec::new(),
            gone: Vec::new(),
            rows_after: Vec::new(),
            gone_after: Vec::new(),
            snapshot: None,
            counters: Arc::clone(&run.counters),
        };
        while let Some(event) = events.next().await {
            match event? {
                Event::Rows(rows) if replayed.snapshot.is_none() => replayed.rows.push(rows),
                Event::Rows(rows) => replayed.rows_after.push(rows),
                Event::Changes { gone, come } if replayed.snapshot.is_none() => {
                    replayed.gone.push(gone);
                    replayed.rows.push(come);
                }
                Event::Changes { gone, come } => {
                    replayed.gone_after.push(gone);
                    replayed.rows_after.push(come);
                }
                // The barrier has passed every operator when it comes out of the last.
                Event::Barrier(_) => replayed.snapshot = Some(run.checkpoint.taken.lock().clone()),
                Event::End => break,
                Event::Watermark(_) | Event::Idle => {}
            }
        }
        Ok(replayed)
    }
}
