//! A continuous query run to its end under chosen conditions: how many rows a batch has, where a barrier stands, what it goes on from.

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::SchemaProvider;
use datafusion::execution::{FunctionRegistry, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use futures::{FutureExt, StreamExt};

use super::session::Session;
use crate::error::Result;
use crate::event::Event;
use crate::frame::source::Source;
use crate::metrics::JobCounters;
use crate::plan::aggregate::moving;
use crate::plan::number::checked;
use crate::plan::parse::{Emit, parse_query};
use crate::plan::query;
use crate::plan::table::SourceTable;
use crate::run::checkpoint::Checkpoint;
pub use crate::run::checkpoint::Snapshot;
use crate::run::exec::events_of;
use crate::run::written::{self, Surroundings};
use crate::run::{Run, lower};

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
    planned: Planned,
    emit: Emit,
}

enum Planned {
    Logical(LogicalPlan),
    /// Its operators as text.
    Written(String),
}

impl Replay<'_> {
    /// Plans a query as SUBSCRIBE does. Errs for one that has no continuous form (0A000), and as SUBSCRIBE does.
    pub async fn of<'a>(session: &'a Session, sql: &str) -> Result<Replay<'a>> {
        let text = parse_query(sql)?;
        let plan = session.plan(&text.query).await?;
        let plan = query::optimise_continuous(&session.context().state(), &plan, text.emit)?;
        let replay = Replay { session, planned: Planned::Logical(plan), emit: text.emit };
        // What has no operator is refused here, not at the first run.
        let state_ttl_us = session.variables().lock().state_ttl_us();
        replay.lower(&session.engine().run_as(text.emit, state_ttl_us))?;
        Ok(replay)
    }

    /// A query of which only the text of its operators is left.
    pub fn read<'a>(session: &'a Session, text: &str) -> Result<Replay<'a>> {
        let replay = Replay { session, planned: Planned::Written(text.to_owned()), emit: Emit::Default };
        replay.lower(&session.engine().run(true))?;
        Ok(replay)
    }

    /// Its operators as text.
    pub fn written(&self) -> Result<String> {
        let run = self.session.engine().run_as(self.emit, self.session.variables().lock().state_ttl_us());
        Ok(written::write(&self.lower(&run)?)?)
    }

    fn lower(&self, run: &Run) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match &self.planned {
            Planned::Logical(plan) => lower::continuous(plan, run)?,
            Planned::Written(text) => written::read(text, Arc::new(InSession::new(self.session)), run)?,
        })
    }

    /// Runs it until its sources end.
    pub async fn run(&self, conditions: Conditions) -> Result<Replayed> {
        let checkpoint = Checkpoint::after_rows(conditions.barrier_after_rows, conditions.restored);
        let run = self.session.engine().run_as(self.emit, self.session.variables().lock().state_ttl_us());
        let run = Run { batch_rows: conditions.batch_rows, checkpoint: Arc::new(checkpoint), ..run };
        let exec = self.lower(&run)?;
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
                Event::Barrier(epoch) => replayed.snapshot = Some(run.checkpoint.take(epoch)),
                Event::End => break,
                Event::Watermark(_) | Event::Idle => {}
            }
        }
        Ok(replayed)
    }
}

/// The functions of a session and the sources of its engine.
struct InSession {
    functions: Arc<TaskContext>,
    context: SessionContext,
}

impl InSession {
    fn new(session: &Session) -> InSession {
        let mut state = session.context().state();
        for function in checked::functions() {
            // A new name, of which nothing is known that could go wrong.
            let _ = state.register_udf(function);
        }
        for function in state.aggregate_functions().values().map(moving::of).collect::<Vec<_>>() {
            let _ = state.register_udaf(function);
        }
        InSession { functions: state.task_ctx(), context: session.context().clone() }
    }
}

impl Surroundings for InSession {
    fn functions(&self) -> &TaskContext {
        &self.functions
    }

    fn source(&self, name: &str) -> Option<Arc<dyn Source>> {
        // The engine's own objects, and those of a schema that a test has registered beside it.
        let of_schema = |schema: Arc<dyn SchemaProvider>| {
            let table = schema.table(name).now_or_never()?.ok()??;
            table.downcast_ref::<SourceTable>().map(|table| Arc::clone(&table.source))
        };
        let state = self.context.state();
        let catalog = state.catalog_list().catalog(&state.config_options().catalog.default_catalog)?;
        catalog.schema_names().into_iter().filter_map(|schema| catalog.schema(&schema)).find_map(of_schema)
    }
}
