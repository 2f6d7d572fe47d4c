//! OVER on event time: rows wait for the watermark, are sorted, and have their answer once their frame is whole; rows that no frame reaches any more go.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_planner::create_window_expr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, physical};
use super::keys::KeyRows;
use super::operator::{Operator, Output, State};
use super::waiting::{self, Waiting};
use crate::event::END_OF_TIME_US;
use crate::plan::order::Order;
use crate::plan::over::Extent;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Over {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// The calls, all with one PARTITION BY and one ORDER BY.
    #[serde(with = "super::written")]
    pub calls: Vec<Expr>,
    /// PARTITION BY.
    #[serde(with = "super::written")]
    pub partition: Vec<Expr>,
    /// ORDER BY: the event time first.
    pub order: Vec<Order>,
    /// How far the calls look.
    pub extent: Extent,
    /// How far behind the watermark the time may still come, µs.
    pub lag_us: i64,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The input's columns, then the calls' results.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Over {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let text = |all: &[Expr]| all.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        format!("calls=[{}]", text(&self.calls))
    }

    pub(super) fn build(&self, run: &Run) -> Result<OverOperator> {
        let (properties, planning) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let partition = self.partition.iter().map(|e| physical(e, &self.input)).collect::<Result<Vec<_>>>()?;
        let types = partition.iter().map(|e| e.data_type(self.input.as_arrow())).collect::<Result<Vec<_>>>()?;
        let reader = waiting::Reader { operator: "Over", sources: self.sources.clone(), columns: None };
        Ok(OverOperator {
            calls: self.calls.iter().map(|e| create_window_expr(e, &self.input, &properties, &planning)).collect::<Result<_>>()?,
            partition,
            converter: KeyRows::try_new(&types)?,
            waiting: Waiting::new(self.order.clone(), self.lag_us, Arc::clone(self.input.inner()), reader, run),
            partitions: BTreeMap::new(),
            description: self.clone(),
        })
    }
}

/// The rows of one partition that a frame may yet reach, in order.
struct Partition {
    rows: RecordBatch,
    /// So many of them have their answer.
    n_answered: usize,
}

pub(super) struct OverOperator {
    description: Over,
    calls: Vec<Arc<dyn WindowExpr>>,
    partition: Vec<Arc<dyn PhysicalExpr>>,
    converter: KeyRows,
    waiting: Waiting,
    partitions: BTreeMap<Vec<u8>, Partition>,
}

impl OverOperator {
    fn time(&self) -> usize {
        self.description.order.first().map_or(0, |o| o.column)
    }

    /// The rows of each partition, in their order.
    fn divide(&self, rows: &RecordBatch) -> Result<BTreeMap<Vec<u8>, Vec<u32>>> {
        let mut divided: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        if self.partition.is_empty() {
            divided.insert(Vec::new(), (0..rows.num_rows() as u32).collect());
            return Ok(divided);
        }
        let columns = self.partition.iter().map(|e| evaluate(e, rows)).collect::<Result<Vec<_>>>()?;
        for (at, key) in self.converter.convert_columns(&columns)?.iter().enumerate() {
            divided.entry(key.as_ref().to_vec()).or_default().push(at as u32);
        }
        Ok(divided)
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        for (key, members) in self.divide(rows)? {
            let part = take_record_batch(rows, &UInt32Array::from(members))?;
            match self.partitions.get_mut(&key) {
                Some(partition) => partition.rows = concat_batches(self.description.input.inner(), [&partition.rows, &part])?,
                None => drop(self.partitions.insert(key, Partition { rows: part, n_answered: 0 })),
            }
        }
        Ok(())
    }

    /// Answers the rows whose frame is whole, now that no row comes any more that is earlier than `us`; then lets go of what no frame reaches.
    fn answer(&self, partition: &mut Partition, us: i64) -> Result<Option<RecordBatch>> {
        let Extent { behind_rows, behind_us, ahead_rows, ahead_us } = self.description.extent;
        let rows = partition.rows.clone();
        let times = rows.column(self.time()).as_primitive::<TimestampMicrosecondType>();
        let whole = |at: usize| us == END_OF_TIME_US || at + ahead_rows < rows.num_rows() && times.value(at).saturating_add(ahead_us) < us;
        let n_whole = (partition.n_answered..rows.num_rows()).take_while(|at| whole(*at)).count();
        let answer = if n_whole == 0 {
            None
        } else {
            let answered = rows.slice(partition.n_answered, n_whole);
            let mut columns = answered.columns().to_vec();
            for call in &self.calls {
                columns.push(call.evaluate(&rows)?.slice(partition.n_answered, n_whole));
            }
            partition.n_answered += n_whole;
            Some(self.conform(columns)?)
        };
        let next_us = if partition.n_answered < rows.num_rows() { times.value(partition.n_answered) } else { us };
        let in_reach = next_us.saturating_sub(behind_us);
        let far = (0..partition.n_answered).take_while(|at| times.value(*at) < in_reach).count();
        let gone = far.min(partition.n_answered.saturating_sub(behind_rows));
        if gone > 0 {
            // A slice would keep the memory of all that it was cut from.
            let kept = UInt32Array::from_iter_values(gone as u32..rows.num_rows() as u32);
            partition.rows = take_record_batch(&rows, &kept)?;
            partition.n_answered -= gone;
        }
        Ok(answer)
    }

    fn conform(&self, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        let schema = &self.description.schema;
        let fit = |(column, field): (ArrayRef, &Arc<Field>)| {
            if column.data_type() == field.data_type() { Ok(column) } else { cast(&column, field.data_type()) }
        };
        let columns = columns.into_iter().zip(schema.fields()).map(fit).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    /// The state of the partitions has the input's columns and one more.
    fn kept_schema(&self) -> SchemaRef {
        let input = self.description.input.inner();
        let fields = input.fields().iter().cloned().chain([Arc::new(Field::new("__answered", DataType::Boolean, false))]);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

impl Operator for OverOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.waiting.add(rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let Some((us, rows)) = self.waiting.pass(us)? else { return Ok(()) };
        if let Some(rows) = rows {
            self.add(&rows)?;
        }
        let mut partitions = std::mem::take(&mut self.partitions);
        let mut answers = Vec::new();
        for partition in partitions.values_mut() {
            answers.extend(self.answer(partition, us)?);
        }
        partitions.retain(|_, p| p.rows.num_rows() > 0);
        self.partitions = partitions;
        if !answers.is_empty() {
            out.rows(concat_batches(&self.description.schema, &answers)?);
        }
        let time = self.time();
        let waiting = self.partitions.values().filter(|p| p.n_answered < p.rows.num_rows());
        let held = waiting.map(|p| p.rows.column(time).as_primitive::<TimestampMicrosecondType>().value(p.n_answered)).min();
        out.watermark(held.map_or(us, |held| held.min(us)));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.waiting.snapshot()?;
        let schema = self.kept_schema();
        let mut kept = Vec::new();
        for partition in self.partitions.values() {
            let answered: BooleanArray = (0..partition.rows.num_rows()).map(|at| Some(at < partition.n_answered)).collect();
            let mut columns = partition.rows.columns().to_vec();
            columns.push(Arc::new(answered));
            kept.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
        }
        state.tables.insert("partitions".into(), kept);
        Ok(state)
    }

    fn restore(&mut self, mut state: State) -> Result<()> {
        let kept = state.tables.remove("partitions").unwrap_or_default();
        self.waiting.restore(state);
        let kept = concat_batches(&self.kept_schema(), &kept)?;
        let n_columns = self.description.input.fields().len();
        let rows = kept.project(&(0..n_columns).collect::<Vec<_>>())?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let answered = kept.column(n_columns).as_boolean();
        self.add(&rows)?;
        for (key, members) in self.divide(&rows)? {
            if let Some(partition) = self.partitions.get_mut(&key) {
                partition.n_answered = members.iter().filter(|at| answered.value(**at as usize)).count();
            }
        }
        Ok(())
    }
}
