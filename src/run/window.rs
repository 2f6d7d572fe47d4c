//! Aggregates by time window: each window keeps its groups and accumulators, fires once when the watermark reaches its end, and is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::{cast, take, take_record_batch};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{EmitTo, Expr, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, passes, physical};
use super::operator::{Operator, Output, State};
use crate::error::Error;
use crate::metrics::JobCounters;

/// The description: SQL's GROUP BY with the window among the keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// The keys; `window_key` of them is the window's start or end.
    #[serde(with = "super::written")]
    pub keys: Vec<Expr>,
    /// The aggregates.
    #[serde(with = "super::written")]
    pub aggregates: Vec<Expr>,
    /// Which key is the window's.
    pub window_key: usize,
    /// What to add to that key to have the window's end, µs.
    pub to_end_us: i64,
    /// The keys, then the aggregates.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Window {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let text = |all: &[Expr]| all.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        format!("keys=[{}], aggregates=[{}]", text(&self.keys), text(&self.aggregates))
    }

    pub(super) fn build(&self, run: &Run) -> Result<WindowOperator> {
        let keys = self.keys.iter().map(|k| physical(k, &self.input)).collect::<Result<Vec<_>>>()?;
        let aggregates = self.aggregates.iter().map(|a| Aggregate::try_new(a, &self.input)).collect::<Result<Vec<_>>>()?;
        let key_fields: Vec<Field> = self.schema.fields().iter().take(keys.len()).map(|f| f.as_ref().clone()).collect();
        Ok(WindowOperator {
            description: self.clone(),
            keys,
            aggregates,
            key_schema: Arc::new(Schema::new(key_fields)),
            open: BTreeMap::new(),
            watermark_us: i64::MIN,
            counters: Arc::clone(&run.counters),
            groups: Vec::new(),
        })
    }
}

/// One aggregate function with its arguments and its FILTER.
struct Aggregate {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

impl Aggregate {
    fn try_new(expr: &Expr, input: &DFSchemaRef) -> Result<Aggregate> {
        let (properties, planning) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let lowered = LoweredAggregateBuilder::new(expr, input, input.as_arrow(), &properties, &planning).build()?;
        // An accumulator that needs an order sorts for itself by what follows its arguments; one that needs sorted input cannot have it here.
        let orders = lowered.aggregate.order_bys();
        if !orders.is_empty() && lowered.aggregate.order_sensitivity().hard_requires() {
            let name = lowered.aggregate.fun().name().to_owned();
            return Err(Error::unsupported(format!("{name} with ORDER BY in a continuous query"), "Use array_agg(… ORDER BY …).").into());
        }
        let mut arguments = lowered.aggregate.expressions();
        arguments.extend(orders.iter().map(|sort| Arc::clone(&sort.expr)));
        Ok(Aggregate { function: lowered.aggregate, arguments, filter: lowered.filter })
    }

    fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.groups_accumulator_supported() {
            return self.function.create_groups_accumulator();
        }
        let function = Arc::clone(&self.function);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
    }
}

/// One window that has not fired.
struct OpenWindow {
    groups: Box<dyn GroupValues>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
}

pub(super) struct WindowOperator {
    description: Window,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Vec<Aggregate>,
    key_schema: SchemaRef,
    /// By the window's end, µs.
    open: BTreeMap<i64, OpenWindow>,
    watermark_us: i64,
    counters: Arc<JobCounters>,
    /// The group of each row of the batch at hand; kept so that a batch allocates nothing.
    groups: Vec<usize>,
}

impl WindowOperator {
    fn open_window(&self) -> Result<OpenWindow> {
        Ok(OpenWindow {
            groups: new_group_values(Arc::clone(&self.key_schema), &GroupOrdering::None)?,
            accumulators: self.aggregates.iter().map(Aggregate::accumulator).collect::<Result<_>>()?,
        })
    }

    /// Takes rows that all belong to the window that ends at `end_us`.
    fn update(&mut self, end_us: i64, keys: &[ArrayRef], rows: &RecordBatch) -> Result<()> {
        if !self.open.contains_key(&end_us) {
            let opened = self.open_window()?;
            self.open.insert(end_us, opened);
        }
        let Some(window) = self.open.get_mut(&end_us) else { return Ok(()) };
        self.groups.clear();
        window.groups.intern(keys, &mut self.groups)?;
        let n_groups = window.groups.len();
        for (aggregate, accumulator) in self.aggregates.iter().zip(&mut window.accumulators) {
            let arguments = aggregate.arguments.iter().map(|a| evaluate(a, rows)).collect::<Result<Vec<_>>>()?;
            let filter = aggregate.filter.as_ref().map(|f| passes(f, rows)).transpose()?;
            accumulator.update_batch(&arguments, &self.groups, filter.as_ref(), n_groups)?;
        }
        Ok(())
    }

    fn fire(&self, mut window: OpenWindow, out: &mut Output) -> Result<()> {
        let mut columns = window.groups.emit(EmitTo::All)?;
        for accumulator in &mut window.accumulators {
            columns.push(accumulator.evaluate(EmitTo::All)?);
        }
        self.counters.windows_fired.add(1);
        out.rows(conform(columns, &self.description.schema)?);
        Ok(())
    }
}

/// A batch of the described schema; accumulators may differ in the name of a list's field, which is cast away.
fn conform(columns: Vec<ArrayRef>, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(c, f)| if c.data_type() == f.data_type() { Ok(c) } else { cast(&c, f.data_type()) })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

impl Operator for WindowOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        let keys = self.keys.iter().map(|k| evaluate(k, &rows)).collect::<Result<Vec<_>>>()?;
        let Some(window_key) = keys.get(self.description.window_key) else { return Ok(()) };
        let window_key = window_key.as_primitive::<TimestampMicrosecondType>();
        // The rows of each window, in their order.
        let mut by_end: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (row, time) in window_key.iter().enumerate() {
            // No time closes the group of NULL (of a row that met none in an outer join) but the end.
            let end_us = time.map_or(i64::MAX, |time| time.saturating_add(self.description.to_end_us));
            by_end.entry(end_us).or_default().push(row as u32);
        }
        for (end_us, members) in by_end {
            if end_us <= self.watermark_us {
                // Late for a window that has fired: what puts rows into windows drops and counts them, so only a group by
                // another operator's time comes here.
                self.counters.n_late.add(members.len() as u64);
            } else if members.len() == rows.num_rows() {
                self.update(end_us, &keys, &rows)?;
            } else {
                let members = UInt32Array::from(members);
                let taken = keys.iter().map(|k| take(k, &members, None)).collect::<Result<Vec<_>, _>>()?;
                let part = take_record_batch(&rows, &members)?;
                self.update(end_us, &taken, &part)?;
            }
        }
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        self.watermark_us = us;
        // The earliest first; each firing is a commit of its own, marked by the end of its window.
        while let Some(entry) = self.open.first_entry() {
            let end_us = *entry.key();
            if end_us > us {
                break;
            }
            let window = entry.remove();
            self.fire(window, out)?;
            out.watermark(end_us);
        }
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("watermark_us".into(), self.watermark_us);
        let ends: Vec<i64> = self.open.keys().copied().collect();
        for end_us in ends {
            let Some(mut window) = self.open.remove(&end_us) else { continue };
            let keys = window.groups.emit(EmitTo::All)?;
            let mut tables = vec![table("key", keys)?];
            for accumulator in &mut window.accumulators {
                tables.push(table("state", accumulator.state(EmitTo::All)?)?);
            }
            // Emitting the state empties the window: it is built again from what was kept.
            let rebuilt = self.rebuild(&tables)?;
            self.open.insert(end_us, rebuilt);
            state.tables.insert(format!("window {end_us}"), tables);
        }
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watermark_us = state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN);
        for (name, tables) in &state.tables {
            let Some(end_us) = name.strip_prefix("window ").and_then(|n| n.parse().ok()) else { continue };
            let rebuilt = self.rebuild(tables)?;
            self.open.insert(end_us, rebuilt);
        }
        Ok(())
    }
}

impl WindowOperator {
    /// A window from its keys and the state of each accumulator, row for row.
    fn rebuild(&self, tables: &[RecordBatch]) -> Result<OpenWindow> {
        let mut window = self.open_window()?;
        let Some((keys, states)) = tables.split_first() else { return Ok(window) };
        let mut groups = Vec::new();
        window.groups.intern(keys.columns(), &mut groups)?;
        let n_groups = window.groups.len();
        for (accumulator, state) in window.accumulators.iter_mut().zip(states) {
            accumulator.merge_batch(state.columns(), &groups, n_groups)?;
        }
        Ok(window)
    }
}

fn table(name: &str, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().enumerate().map(|(i, c)| Field::new(format!("{name}{i}"), c.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
