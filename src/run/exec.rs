//! The one ExecutionPlan that drives any operator: it aligns watermarks and barriers, counts rows, and talks to its like in events.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use framesql_udfs::figure::{Figures, among};
use futures::{Stream, StreamExt, future, stream};

use super::operator::{Operator, Output};
use super::{Description, Run, Threads, apart};
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::EventStream;

/// One operator in a plan.
#[derive(Debug)]
pub struct OperatorExec {
    description: Arc<Description>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    run: Run,
    number: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OperatorExec {
    /// `number` is unique in its query: snapshots are kept under it.
    pub fn new(description: Description, inputs: Vec<Arc<dyn ExecutionPlan>>, run: Run, number: usize) -> OperatorExec {
        let live = match &description {
            Description::Scan(scan) => scan.source.live() && run.continuous,
            _ => inputs.iter().any(|i| i.properties().boundedness.is_unbounded()),
        };
        let boundedness = if live { Boundedness::Unbounded { requires_infinite_memory: false } } else { Boundedness::Bounded };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(description.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            boundedness,
        );
        OperatorExec {
            description: Arc::new(description),
            inputs,
            run,
            number,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// What it does.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The threads of all queries.
    pub(super) fn threads(&self) -> &Threads {
        &self.run.threads
    }

    /// Its number in the plan.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The events of this operator over those of its inputs.
    pub fn events(&self, context: &Arc<TaskContext>) -> Result<EventStream> {
        let n_rows = MetricBuilder::new(&self.metrics).output_rows(0);
        let restored = self.run.checkpoint.restored(self.number);
        let (operator, inputs): (Box<dyn Operator>, _) = match self.description.as_ref() {
            Description::Scan(scan) => {
                let (operator, events) = scan.open(&self.run, restored)?;
                (Box::new(operator), vec![events])
            }
            Description::Values(values) => {
                let (operator, events) = values.open(&self.run, restored)?;
                (Box::new(operator), vec![events])
            }
            other => {
                let mut operator = other.build(&self.run)?;
                if let Some(state) = restored {
                    operator.restore(state.clone())?;
                }
                (operator, self.inputs.iter().map(|i| events_of(i, context)).collect::<Result<Vec<_>>>()?)
            }
        };
        // What comes by the clock cannot wait; the threads of all else can.
        let waits = |at: usize| self.inputs.get(at).is_some_and(|i| !i.properties().boundedness.is_unbounded());
        let paced = operator.keeps_pace();
        let driven = Driver {
            inputs: inputs.into_iter().enumerate().map(|(at, events)| Input::new(events, paced && waits(at))).collect(),
            operator,
            out: Output::default(),
            watermark_us: i64::MIN,
            next_input: 0,
            all_idle: false,
            ended: false,
            run: self.run.clone(),
            number: self.number,
            epoch: 0,
            n_rows,
            figures: None,
        };
        match self.description.as_ref() {
            Description::Detach(_) => apart::on_thread(Box::pin(driven), &self.run.threads),
            _ => Ok(Box::pin(driven)),
        }
    }
}

/// The events of any plan: of one of DataFusion's, its rows and then the end.
pub fn events_of(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<EventStream> {
    if let Some(ours) = plan.downcast_ref::<OperatorExec>() {
        return ours.events(context);
    }
    let one: Arc<dyn ExecutionPlan> = if plan.properties().partitioning.partition_count() == 1 {
        Arc::clone(plan)
    } else {
        Arc::new(CoalescePartitionsExec::new(Arc::clone(plan)))
    };
    let rows = one.execute(0, Arc::clone(context))?.map(|rows| rows.map(Event::Rows));
    Ok(Box::pin(rows.chain(stream::iter([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]))))
}

/// Whether a plan gives each row as it comes, from several inputs or from a view, which may have several: then no row waits for the watermark of
/// an input that is slower than its own. With one source the watermark follows its row at once.
pub fn rows_only(plan: &Arc<dyn ExecutionPlan>) -> bool {
    fn has(plan: &Arc<dyn ExecutionPlan>, of: &dyn Fn(&Description) -> bool) -> bool {
        plan.downcast_ref::<OperatorExec>().is_none_or(|ours| of(ours.description())) || plan.children().into_iter().any(|p| has(p, of))
    }
    let several = |d: &Description| match d {
        Description::Merge(_) => true,
        Description::Scan(scan) => scan.source.holds(),
        _ => false,
    };
    has(plan, &several) && !has(plan, &|d| d.stateful())
}

impl DisplayAs for OperatorExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.description.detail();
        if detail.is_empty() { f.write_str(self.description.word()) } else { write!(f, "{}: {detail}", self.description.word()) }
    }
}

impl ExecutionPlan for OperatorExec {
    fn name(&self) -> &str {
        self.description.word()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // Rows of a source are never reordered.
        vec![false; self.inputs.len()]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // It is kept, but said so DataFusion would push a sort below an operator whose columns are others.
        vec![false; self.inputs.len()]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(OperatorExec::new(self.description.as_ref().clone(), children, self.run.clone(), self.number)))
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(rows_of(self.description.schema(), self.events(&context)?))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The rows of a stream of events, up to its end.
pub fn rows_of(schema: SchemaRef, events: EventStream) -> SendableRecordBatchStream {
    let rows = events.take_while(|e| future::ready(!matches!(e, Ok(Event::End)))).filter_map(|event| {
        future::ready(match event {
            Ok(Event::Rows(rows)) => Some(Ok(rows)),
            // A SELECT reads what is there, which is never taken back.
            Ok(Event::Changes { .. }) => Some(internal_err!("changes among the rows of a SELECT")),
            Ok(_) => None,
            Err(e) => Some(Err(e)),
        })
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

struct Input {
    events: EventStream,
    watermark_us: i64,
    idle: bool,
    /// It has been idle, and has sent a watermark since.
    waking: bool,
    ended: bool,
    barrier: Option<u64>,
    /// Whether it is left alone while it is ahead of another.
    waits: bool,
}

impl Input {
    fn new(events: EventStream, waits: bool) -> Input {
        Input { events, watermark_us: i64::MIN, idle: false, waking: false, ended: false, barrier: None, waits }
    }

    fn active(&self) -> bool {
        !self.idle && !self.ended && self.barrier.is_none()
    }
}

/// Polls the inputs in turn and hands the operator what they give.
struct Driver {
    inputs: Vec<Input>,
    operator: Box<dyn Operator>,
    out: Output,
    watermark_us: i64,
    next_input: usize,
    all_idle: bool,
    ended: bool,
    run: Run,
    number: usize,
    /// The newest barrier that it has passed.
    epoch: u64,
    n_rows: Count,
    /// The figures as they are since the last watermark; None are those of the plan.
    figures: Option<Arc<Figures>>,
}

impl Driver {
    /// Lets the operator work, with the figures of this moment.
    fn work(&mut self, work: impl FnOnce(&mut dyn Operator, &mut Output) -> Result<()>) -> Result<()> {
        let (operator, out) = (self.operator.as_mut(), &mut self.out);
        among(self.figures.as_ref(), || work(operator, out))
    }

    /// The lowest watermark of the inputs that are not idle; of all, when all are.
    fn advance(&mut self) -> Result<()> {
        let lowest = |inputs: &mut dyn Iterator<Item = &Input>| inputs.map(|i| i.watermark_us).min();
        // An ended input holds nobody back, and pulls nobody along as long as another goes on. The end of time is said before the end, which may be
        // read much later.
        let goes_on = |i: &&Input| !i.ended && i.watermark_us != END_OF_TIME_US;
        let active = lowest(&mut self.inputs.iter().filter(goes_on).filter(|i| !i.idle));
        let going_on = active.or_else(|| lowest(&mut self.inputs.iter().filter(goes_on)));
        let Some(us) = going_on.or_else(|| lowest(&mut self.inputs.iter())) else { return Ok(()) };
        if us > self.watermark_us {
            self.watermark_us = us;
            self.work(|operator, out| operator.watermark(us, out))?;
            // What is behind the watermark is held against the figures as they are by now.
            if let Some(redrawn) = &self.run.figures {
                self.figures = redrawn.at(us);
            }
        }
        Ok(())
    }

    /// Takes the snapshot once every input that goes on stands at the barrier.
    fn align(&mut self) -> Result<()> {
        let Some(epoch) = self.inputs.iter().find_map(|i| i.barrier) else { return Ok(()) };
        if self.inputs.iter().all(|i| i.barrier.is_some() || i.ended) {
            let state = self.operator.snapshot()?;
            self.run.checkpoint.passed(self.number, epoch, state);
            self.epoch = epoch;
            self.inputs.iter_mut().for_each(|i| i.barrier = None);
            self.out.push(Event::Barrier(epoch));
        }
        Ok(())
    }

    /// Nothing comes any more. What it has is kept for the barriers that will not reach it: those of the operators above go on.
    fn end(&mut self) -> Result<()> {
        if self.run.checkpoint.keeps_ends() {
            self.run.checkpoint.ended(self.number, self.epoch, self.operator.snapshot()?);
        }
        self.out.push(Event::End);
        Ok(())
    }

    fn take(&mut self, at: usize, event: Option<Event>) -> Result<()> {
        let Some(input) = self.inputs.get_mut(at) else { return Ok(()) };
        match event {
            Some(Event::Rows(rows)) => {
                input.idle = false;
                input.waking = false;
                self.all_idle = false;
                self.work(|operator, out| operator.rows(at, rows, out))?;
                if self.operator.finished() {
                    // Dropping the inputs ends the threads that read for them.
                    self.inputs.clear();
                    self.out.watermark(END_OF_TIME_US);
                    self.end()?;
                }
            }
            Some(Event::Changes { gone, come }) => {
                input.idle = false;
                input.waking = false;
                self.all_idle = false;
                self.work(|operator, out| operator.changes(at, gone, come, out))?;
            }
            Some(Event::Watermark(us)) => {
                input.watermark_us = input.watermark_us.max(us);
                self.operator.input_watermark(at, input.watermark_us);
                self.all_idle = false;
                // What sends a watermark is awake, until it says again that it is idle: a silent source says both, as time passes for it too.
                // So the first after a silence waits for what follows it.
                input.waking = input.idle && !input.waking && us != END_OF_TIME_US;
                if !input.waking {
                    input.idle = false;
                    self.advance()?;
                }
            }
            Some(Event::Idle) => {
                input.idle = true;
                input.waking = false;
                self.advance()?;
                if !self.all_idle && self.inputs.iter().all(|i| i.idle || i.ended) {
                    self.all_idle = true;
                    self.out.push(Event::Idle);
                }
            }
            Some(Event::Barrier(epoch)) => {
                input.barrier = Some(epoch);
                self.align()?;
            }
            Some(Event::End) | None => {
                input.ended = true;
                input.watermark_us = END_OF_TIME_US;
                self.operator.input_watermark(at, END_OF_TIME_US);
                self.advance()?;
                // The others may stand at a barrier that this one will not send any more.
                self.align()?;
                if self.inputs.iter().all(|i| i.ended) {
                    self.end()?;
                }
            }
        }
        Ok(())
    }
}

impl Stream for Driver {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.out.pop() {
                match &event {
                    Event::Rows(rows) => this.n_rows.add(rows.num_rows()),
                    Event::Changes { gone, come } => this.n_rows.add(gone.num_rows() + come.num_rows()),
                    Event::End => this.ended = true,
                    _ => {}
                }
                return Poll::Ready(Some(Ok(event)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let (at, event) = match ready!(this.poll_inputs(context)) {
                Some(found) => found,
                None => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
            };
            let taken = match event {
                Some(Err(e)) => Err(e),
                Some(Ok(event)) => this.take(at, Some(event)),
                None => this.take(at, None),
            };
            if let Err(e) = taken {
                this.ended = true;
                return Poll::Ready(Some(Err(e)));
            }
        }
    }
}

impl Driver {
    /// The next event of any input, each in turn; an input that stands at a barrier waits for the others, and one that is ahead of another may.
    fn poll_inputs(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, Option<Result<Event>>)>> {
        let n = self.inputs.len();
        let behind_us = self.inputs.iter().filter(|i| i.active()).map(|i| i.watermark_us).min();
        let mut open = false;
        for step in 0..n {
            let at = (self.next_input + step) % n;
            let Some(input) = self.inputs.get_mut(at) else { continue };
            if input.ended || input.barrier.is_some() {
                continue;
            }
            open = true;
            // The one that is furthest behind is always read, so that something always wakes this task.
            if input.waits && behind_us.is_some_and(|us| input.watermark_us > us) {
                continue;
            }
            if let Poll::Ready(event) = input.events.poll_next_unpin(context) {
                self.next_input = (at + 1) % n;
                return Poll::Ready(Some((at, event)));
            }
        }
        if open { Poll::Pending } else { Poll::Ready(None) }
    }
}
