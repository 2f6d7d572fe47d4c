//! The optimised logical plan to operators: all of it for a continuous query, the part that carries pixels for a SELECT (`batch`).

mod batch;
mod filled;
mod join;
mod pixels;
mod updating;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, NullHandling, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Aggregate, Expr, Extension, FetchType, Filter, LogicalPlan, Projection, SkipType, TableScan, UserDefinedLogicalNode,
    UserDefinedLogicalNodeCore, Window,
};
use datafusion::physical_plan::ExecutionPlan;
use framesql_udfs::frame::is_frame;

use self::pixels::{check_references, makes_frames, without_pixels};
use super::exec::OperatorExec;
use super::{
    Description, Run, assign, detach, elements, infer, limit, line_crossings, map, merge, over, pattern, previous, scan, session,
    session_aggregate, track, unnest, values, zone_visits,
};
use crate::error::Error;
use crate::frame::source::{Request, Source};
use crate::plan::asof::AsofJoin;
use crate::plan::changelog::changelog;
use crate::plan::event_time::{self, source_of};
use crate::plan::subquery::elements as plan_elements;
use crate::plan::topn_updating::TopN;
use crate::plan::tracked::{Question, Tracked};
use crate::plan::{
    infer as plan_infer, order, over as plan_over, pattern as plan_pattern, previous as plan_previous, track as plan_track,
    unnest as plan_unnest, window as plan_window,
};

pub use batch::batch;

/// The operators of a continuous query. Errs with 0A000 for a node that has no operator.
pub fn continuous(plan: &LogicalPlan, run: &Run) -> Result<Arc<dyn ExecutionPlan>> {
    let mut lowering = Lowering::new(run);
    let lowered = lowering.lower(plan)?;
    Ok(lowering.detached(lowered))
}

/// The one list that DataFusion's own Unnest takes apart; None if it does more than that.
fn list_of(unnest: &datafusion::logical_expr::Unnest) -> Option<usize> {
    let [(at, list)] = unnest.list_type_columns.as_slice() else { return None };
    // In a SELECT list the column that comes out is named anew; several of them, or one that goes deeper, make more columns.
    let in_place = unnest.schema.fields().len() == unnest.input.schema().fields().len();
    let once = list.depth == 1 && unnest.options.recursions.iter().all(|recursion| recursion.depth == 1);
    (once && in_place && unnest.struct_type_columns.is_empty()).then_some(*at)
}

/// An operator with what is known of its rows.
struct Part {
    exec: Arc<dyn ExecutionPlan>,
    /// Whether frames come out of it with their pixels.
    pixels: bool,
}

struct Lowering<'a> {
    run: &'a Run,
    next_number: usize,
    /// Whether the next node that puts rows into windows gives each once, by pane: the aggregate above has said so.
    panes: bool,
    /// The greatest number that is asked of the next OVER: the filter above has said so.
    at_most: Option<u64>,
    /// Whether the next scan gives the row before the first as well: what stands above it compares rows.
    one_before: bool,
}

impl Lowering<'_> {
    fn new(run: &Run) -> Lowering<'_> {
        Lowering { run, next_number: 0, panes: false, at_most: None, one_before: false }
    }

    fn operator(&mut self, description: Description, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        let number = self.next_number;
        self.next_number += 1;
        Arc::new(OperatorExec::new(description, inputs, self.run.clone(), number))
    }

    /// Without pixels, which do not cross into state, a view or the wire.
    fn detached(&mut self, part: Part) -> Arc<dyn ExecutionPlan> {
        if !part.pixels {
            return part.exec;
        }
        let schema = part.exec.schema();
        self.operator(Description::Detach(detach::Detach { schema }), vec![part.exec])
    }

    fn lower(&mut self, plan: &LogicalPlan) -> Result<Part> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::EmptyRelation(empty) => Ok(self.values(vec![Vec::new(); usize::from(empty.produce_one_row)], plan)),
            LogicalPlan::Values(values) => Ok(self.values(values.values.clone(), plan)),
            LogicalPlan::SubqueryAlias(alias) => self.lower(&alias.input),
            LogicalPlan::Filter(filter) => {
                self.at_most = window::at_most(&filter.predicate, &filter.input);
                self.over(&filter.input, Description::Map(self::filter(filter, plan)))
            }
            LogicalPlan::Projection(projection) => self.over(&projection.input, Description::Map(self::projection(projection, plan))),
            LogicalPlan::Unnest(unnest) => match list_of(unnest) {
                Some(list) => {
                    let keep_null = unnest.options.null_handling != NullHandling::Drop;
                    let keep_empty = !matches!(unnest.options.null_handling, NullHandling::Drop | NullHandling::Preserve);
                    let unnest_rows = unnest::Unnest { list, keep_null, keep_empty, schema: arrow(plan.schema()) };
                    self.over(&unnest.input, Description::Unnest(unnest_rows))
                }
                None => Err(Error::unsupported(
                    "unnest of several or nested lists in a continuous query",
                    "Join each: FROM clip CROSS JOIN UNNEST(a) AS x CROSS JOIN UNNEST(b) AS y.",
                )
                .into()),
            },
            LogicalPlan::Limit(limit) => {
                let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) = (limit.get_skip_type(), limit.get_fetch_type()) else {
                    return internal_err!("a LIMIT that is no constant");
                };
                let rows = limit::Limit { skip, fetch, schema: arrow(plan.schema()) };
                self.over(&limit.input, Description::Limit(rows))
            }
            LogicalPlan::Union(union) => {
                let parts = union.inputs.iter().map(|input| self.lower(input)).collect::<Result<Vec<_>>>()?;
                let pixels = parts.iter().any(|p| p.pixels);
                let frames = plan.schema().fields().iter().any(|f| is_frame(f.data_type()));
                if frames && pixels && !parts.iter().all(|p| p.pixels) {
                    return Err(Error::unsupported(
                        "a UNION of frames with and without their pixels",
                        "A view keeps references only: leave its frames out, or read its source.",
                    )
                    .into());
                }
                let merge = merge::Merge { schema: arrow(plan.schema()) };
                let exec = self.operator(Description::Merge(merge), parts.into_iter().map(|p| p.exec).collect());
                Ok(Part { exec, pixels })
            }
            LogicalPlan::Aggregate(_) if changelog(plan, self.run.updating) => self.updating_aggregate(plan),
            LogicalPlan::Aggregate(aggregate) => self.window(aggregate, plan),
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<TopN>() => self.topn_updating(extension),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<AsofJoin>() => self.asof(extension),
            LogicalPlan::Window(over) if event_time::over_key(plan).is_some() => {
                let description = Description::TopN(window::over(over, plan, self.at_most.take())?);
                self.over_references(&over.input, description)
            }
            LogicalPlan::Window(node) => self.ordered(node, plan),
            LogicalPlan::Extension(extension) => match node(extension.node.as_ref()) {
                Some((input, description)) => match self.timed(description, extension)? {
                    session @ Description::Session(_) => self.over_references(input, session),
                    description => self.over(input, description),
                },
                None => internal_err!("no operator for {}", extension.node.name()),
            },
            other => {
                let what = other.display().to_string();
                let what = what.split([':', ' ']).next().unwrap_or("this").to_owned();
                Err(Error::unsupported(format!("{what} in a continuous query"), "Use it where you read: SELECT … FROM view.").into())
            }
        }
    }

    /// A row by row operator over a lowered input.
    fn over(&mut self, input: &LogicalPlan, description: Description) -> Result<Part> {
        self.one_before = matches!(description, Description::Previous(_));
        let mut input = self.lower(input)?;
        if input.pixels
            && matches!(
                description,
                Description::Pattern(_) | Description::Track(_) | Description::ZoneVisits(_) | Description::LineCrossings(_)
            )
        {
            input = Part { exec: self.detached(input), pixels: false };
        }
        if !input.pixels {
            check_references(&description)?;
        }
        let pixels = input.pixels && description.schema().fields().iter().any(|f| is_frame(f.data_type()))
            || keeps_thread(&input, &description)
            || matches!(&description, Description::Map(map) if makes_frames(map));
        let exec = self.operator(description, vec![input.exec]);
        Ok(Part { exec, pixels })
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Part> {
        let Some(source) = source_of(scan).filter(|source| source.flows() || !self.run.continuous) else {
            return Err(Error::unsupported(
                format!("table \"{}\" in a continuous query", scan.table_name.table()),
                "Only sources and materialized views change: join with other tables where you read.",
            )
            .into());
        };
        let description = self.request(scan, source)?;
        let pixels = description.source.has_pixels() && description.schema.fields().iter().any(|f| is_frame(f.data_type()));
        self.run.n_scans.fetch_add(1, Ordering::Relaxed);
        let exec = self.operator(Description::Scan(description), Vec::new());
        Ok(Part { exec, pixels })
    }

    /// What is read of a source.
    fn request(&self, scan: &TableScan, source: Arc<dyn Source>) -> Result<scan::Scan> {
        let projection = scan.projection.clone().unwrap_or_else(|| (0..source.schema().fields().len()).collect());
        let schema: SchemaRef = Arc::new(source.schema().project(&projection)?);
        let request = Request {
            projection,
            filters: scan.filters.clone(),
            limit: scan.fetch,
            continuous: self.run.continuous,
            one_before: self.one_before,
            ..Request::default()
        };
        Ok(scan::Scan { source, request, schema })
    }

    fn values(&mut self, rows: Vec<Vec<Expr>>, plan: &LogicalPlan) -> Part {
        let values = values::Values { rows, schema: arrow(plan.schema()) };
        Part { exec: self.operator(Description::Values(values), Vec::new()), pixels: false }
    }

    /// An operator that keeps rows, over a lowered input without its pixels.
    fn over_references(&mut self, input: &LogicalPlan, description: Description) -> Result<Part> {
        let input = self.lower(input)?;
        let input = self.detached(input);
        Ok(Part { exec: self.operator(description, vec![input]), pixels: false })
    }

    /// A window whose time is known to the watermark, in a continuous query.
    fn timed(&mut self, mut description: Description, extension: &Extension) -> Result<Description> {
        if let Description::Pattern(rows) = description {
            return self.timed_pattern(rows, extension);
        }
        if let Some(tracked) = extension.node.as_any().downcast_ref::<Tracked>() {
            return self.timed_tracks(description, tracked);
        }
        if let Description::Track(rows) = description {
            return self.timed_track(rows, extension);
        }
        let Some(assign) = extension.node.as_any().downcast_ref::<plan_window::AssignWindow>() else { return Ok(description) };
        let panes = std::mem::take(&mut self.panes);
        if assign.fill && !panes {
            return Err(window::without_aggregate().into());
        }
        let (time, lag_us) = match &mut description {
            Description::Assign(rows) => {
                rows.panes = panes;
                (rows.time, &mut rows.lag_us)
            }
            Description::Session(rows) => (rows.time, &mut rows.lag_us),
            _ => return Ok(description),
        };
        if self.run.continuous {
            match event_time::lag_us(&assign.input, time) {
                Some(lag) => *lag_us = lag,
                None => return Err(event_time::refusal(&assign.input, &assign.time).into()),
            }
        }
        Ok(description)
    }

    /// A pattern whose order is known to the watermark, in a continuous query.
    fn timed_pattern(&self, mut rows: pattern::Pattern, extension: &Extension) -> Result<Description> {
        if self.run.continuous
            && let Some(node) = extension.node.as_any().downcast_ref::<plan_pattern::Pattern>()
        {
            let table = node.input.inputs().into_iter().next().unwrap_or(&node.input);
            let lag_us = event_time::lag_us(&node.input, rows.recognition.time());
            rows.lag_us = lag_us.ok_or_else(|| order::refusal("MATCH_RECOGNIZE", table))?;
        }
        Ok(Description::Pattern(rows))
    }

    /// Tracks whose order is known to the watermark, in a continuous query.
    fn timed_tracks(&self, mut description: Description, tracked: &Tracked) -> Result<Description> {
        if self.run.continuous {
            let table = tracked.input.inputs().into_iter().next().unwrap_or(&tracked.input);
            let found = event_time::lag_us(&tracked.input, tracked.tracks.time());
            let found = found.ok_or_else(|| order::refusal(tracked.question.function(), table))?;
            match &mut description {
                Description::ZoneVisits(rows) => rows.lag_us = found,
                Description::LineCrossings(rows) => rows.lag_us = found,
                _ => {}
            }
        }
        Ok(description)
    }

    /// A tracker whose order is known to the watermark, in a continuous query.
    fn timed_track(&self, mut rows: track::Track, extension: &Extension) -> Result<Description> {
        if self.run.continuous
            && let Some(node) = extension.node.as_any().downcast_ref::<plan_track::Track>()
        {
            let lag_us = node.time().and_then(|time| event_time::lag_us(&node.input, time));
            rows.lag_us = lag_us.ok_or_else(|| order::refusal("TRACK", &node.input))?;
        }
        Ok(Description::Track(rows))
    }

    fn window(&mut self, aggregate: &Aggregate, plan: &LogicalPlan) -> Result<Part> {
        let (description, by_pane) = window::aggregate(aggregate, plan)?;
        if let Some(window::OfSession { steps, columns, extension }) = window::of_session(aggregate, &description)
            && let Some((input, session)) = node(extension.node.as_ref())
            && let Description::Session(session) = self.timed(session, extension)?
        {
            for step in &steps {
                check_references(&Description::Map(step.clone()))?;
            }
            let fused = session_aggregate::SessionAggregate { session, steps, window: description, columns };
            return self.over_references(input, Description::SessionAggregate(fused));
        }
        self.panes = by_pane;
        self.over_references(&aggregate.input, Description::Window(description))
    }

    /// OVER.
    fn ordered(&mut self, node: &Window, plan: &LogicalPlan) -> Result<Part> {
        let plan_over::Over { partition, order, extent } = plan_over::over(node)?;
        let time = order.first().map_or(0, |o| o.column);
        let lag_us = event_time::lag_us(&node.input, time).ok_or_else(|| order::refusal("OVER", &node.input))?;
        let input = self.lower(&node.input)?;
        let input = self.detached(input);
        let description = over::Over {
            input: Arc::clone(node.input.schema()),
            calls: node.window_expr.clone(),
            partition,
            order,
            extent,
            lag_us,
            state_ttl_us: self.run.pace.state_ttl_us,
            sources: window::sources(&node.input)?,
            schema: arrow(plan.schema()),
        };
        Ok(Part { exec: self.operator(Description::Over(description), vec![input]), pixels: false })
    }
}

/// A plan that decodes or infers stays off the threads of the network even where the frame itself is not read any more.
fn keeps_thread(input: &Part, description: &Description) -> bool {
    input.pixels && !matches!(description, Description::Window(_))
}

fn filter(filter: &Filter, plan: &LogicalPlan) -> map::Map {
    let input = Arc::clone(filter.input.schema());
    map::Map { input, predicate: Some(filter.predicate.clone()), columns: None, schema: arrow(plan.schema()) }
}

fn projection(projection: &Projection, plan: &LogicalPlan) -> map::Map {
    let input = Arc::clone(projection.input.schema());
    map::Map { input, predicate: None, columns: Some(projection.expr.clone()), schema: arrow(plan.schema()) }
}

fn arrow(schema: &DFSchemaRef) -> SchemaRef {
    Arc::clone(schema.inner())
}

/// The columns of a plan by the names that they have below its projection.
fn named(plan: &LogicalPlan) -> SchemaRef {
    let LogicalPlan::Projection(projection) = plan else { return arrow(plan.schema()) };
    let fields = plan.schema().fields().iter().zip(&projection.expr).map(|(field, e)| {
        let name = match e.clone().unalias() {
            Expr::Column(column) => column.name,
            other => other.to_string(),
        };
        field.as_ref().clone().with_name(name)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The operator of a question about tracks.
fn tracked(node: &Tracked, sources: String) -> Description {
    let (input, tracks, name) = (arrow(node.input.schema()), node.tracks.clone(), node.name.clone());
    let (figure, schema) = (node.text.clone().unwrap_or_default(), arrow(UserDefinedLogicalNodeCore::schema(node)));
    match node.question {
        Question::Visits(tolerance) => {
            Description::ZoneVisits(zone_visits::ZoneVisits { input, tracks, name, zone: figure, tolerance, lag_us: 0, sources, schema })
        }
        Question::Crossings(tolerance) => Description::LineCrossings(line_crossings::LineCrossings {
            input,
            tracks,
            name,
            line: figure,
            tolerance,
            lag_us: 0,
            sources,
            schema,
        }),
    }
}

/// What is said of the elements of a list, which stand behind the columns that are read beside them.
fn elements(n: &plan_elements::Elements) -> Result<elements::Elements> {
    const ELEMENT: &str = "__element_of_row";
    let (list, columns) = (n.n_passed(), n.input.schema());
    let over = |e: &Expr| plan_elements::Elements::over_element(e, ELEMENT);
    let condition = n.condition.iter().map(over).collect::<Result<Vec<_>>>()?;
    let aggregates = n.aggregates.iter().map(over).collect::<Result<Vec<_>>>()?;
    let read = condition.iter().chain(&aggregates).flat_map(|e| e.column_refs());
    let mut beside: Vec<usize> = read.filter_map(|column| columns.index_of_column(column).ok()).collect();
    beside.sort_unstable();
    beside.dedup();
    let mut fields: Vec<_> = beside.iter().map(|at| columns.qualified_field(*at)).map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
    let element = plan_unnest::element_of(columns.field(list).data_type())?;
    fields.push((None, Arc::new(element.as_ref().clone().with_name(ELEMENT).with_nullable(true))));
    let input = Arc::new(DFSchema::new_with_metadata(fields, HashMap::new())?);
    let schema = arrow(UserDefinedLogicalNodeCore::schema(n));
    Ok(elements::Elements { list, beside, input, condition, aggregates, schema })
}

/// The operator of one of our nodes, and the node's input.
fn node(node: &dyn UserDefinedLogicalNode) -> Option<(&LogicalPlan, Description)> {
    let node = node.as_any();
    if let Some(n) = node.downcast_ref::<plan_infer::Infer>() {
        let schema = UserDefinedLogicalNodeCore::schema(n);
        let description = infer::Infer { columns: Arc::clone(schema), calls: n.calls.clone(), schema: arrow(schema) };
        return Some((&n.input, Description::Infer(description)));
    }
    if let Some(n) = node.downcast_ref::<plan_previous::Previous>() {
        let schema = UserDefinedLogicalNodeCore::schema(n);
        let description = previous::Previous { columns: Arc::clone(schema), calls: n.calls.clone(), schema: arrow(schema) };
        return Some((&n.input, Description::Previous(description)));
    }
    if let Some(n) = node.downcast_ref::<plan_unnest::Unnest>() {
        let schema = arrow(UserDefinedLogicalNodeCore::schema(n));
        let description = unnest::Unnest { list: n.list(), keep_null: n.keep_empty, keep_empty: n.keep_empty, schema };
        return Some((&n.input, Description::Unnest(description)));
    }
    if let Some(n) = node.downcast_ref::<plan_elements::Elements>() {
        return Some((&n.input, Description::Elements(elements(n).ok()?)));
    }
    if let Some(n) = node.downcast_ref::<plan_pattern::Pattern>() {
        let (input, recognition) = (Arc::clone(n.input.schema()), n.recognition.clone());
        let schema = arrow(UserDefinedLogicalNodeCore::schema(n));
        let (named, sources) = (named(&n.input), window::sources(&n.input).ok()?);
        return Some((&n.input, Description::Pattern(pattern::Pattern { input, recognition, lag_us: 0, sources, named, schema })));
    }
    if let Some(n) = node.downcast_ref::<Tracked>() {
        return Some((&n.input, tracked(n, window::sources(&n.input).ok()?)));
    }
    if let Some(n) = node.downcast_ref::<plan_track::Track>() {
        let index = |column| n.input.schema().index_of_column(column).ok();
        let description = track::Track {
            input: arrow(n.input.schema()),
            partition: n.partition.iter().map(index).collect::<Option<_>>()?,
            order: n.order().ok()?,
            bbox: index(&n.bbox)?,
            score: match &n.score {
                Some(score) => Some(index(score)?),
                None => None,
            },
            parameters: n.parameters,
            lag_us: 0,
            sources: window::sources(&n.input).ok()?,
            schema: arrow(UserDefinedLogicalNodeCore::schema(n)),
        };
        return Some((&n.input, Description::Track(description)));
    }
    let n = node.downcast_ref::<plan_window::AssignWindow>()?;
    let index = |column| n.input.schema().index_of_column(column).ok();
    let time = index(&n.time)?;
    let schema = arrow(UserDefinedLogicalNodeCore::schema(n));
    let sources = window::sources(&n.input).ok()?;
    let description = if n.windows.shape == plan_window::Shape::Session {
        let keys = n.partition.iter().map(index).collect::<Option<Vec<_>>>()?;
        Description::Session(session::Session { time, keys, gap_us: n.windows.size_us, lag_us: 0, sources, schema })
    } else {
        Description::Assign(assign::Assign { time, windows: n.windows, lag_us: 0, panes: false, fill: n.fill, sources, schema })
    };
    Some((&n.input, description))
}
