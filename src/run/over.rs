//! OVER on event time: rows wait for the watermark, are sorted, and have their answer once their frame is whole; rows that no frame reaches any more go.

mod call;
mod frame;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, physical};
use super::keys::KeyRows;
use super::operator::{Operator, Output, State};
use super::touched::Key;
use super::waiting::{self, Waiting};
use crate::event::END_OF_TIME_US;
use crate::plan::order::Order;
use crate::plan::over::Extent;
use call::{Call, Columns, Progress};
use rows::{Keys, Rows};

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
    /// How long a partition is remembered that no row touches, in event time, µs; None is for ever.
    pub state_ttl_us: Option<i64>,
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
        let mut detail = format!("calls=[{}]", text(&self.calls));
        if let (Some(us), Some(_)) = (self.state_ttl_us, self.lives_us()) {
            detail.push_str(&format!(", state_ttl={} ms", us as f64 / 1e3));
        }
        detail
    }

    /// How long a partition waits for its next row, µs. Without PARTITION BY it is always there, and where only time counts it goes by itself. What a frame
    /// reaches in time is never forgotten.
    fn lives_us(&self) -> Option<i64> {
        let Extent { behind_rows, behind_us, ahead_rows, ahead_us } = self.extent;
        let stays = !self.partition.is_empty() && (behind_rows > 0 || ahead_rows > 0);
        self.state_ttl_us.filter(|_| stays).map(|us| us.max(behind_us.saturating_add(ahead_us)))
    }

    pub(super) fn build(&self, run: &Run) -> Result<OverOperator> {
        let partition = self.partition.iter().map(|e| physical(e, &self.input)).collect::<Result<Vec<_>>>()?;
        let types = partition.iter().map(|e| e.data_type(self.input.as_arrow())).collect::<Result<Vec<_>>>()?;
        let reader = waiting::Reader { operator: "Over", sources: self.sources.clone(), columns: None };
        let time = self.order.first().map(|o| self.input.field(o.column).data_type());
        let zone = time.and_then(|of| if let DataType::Timestamp(_, zone) = of { zone.clone() } else { None });
        let mut columns = Columns { input: &self.input, computed: Vec::new() };
        let calls = self.calls.iter().map(|e| Call::try_new(e, &mut columns, zone.clone())).collect::<Result<_>>()?;
        let computed = columns.computed;
        let mut fields: Vec<_> = self.input.fields().iter().cloned().collect();
        for (at, expr) in computed.iter().enumerate() {
            fields.push(Arc::new(Field::new(format!("__computed{at}"), expr.data_type(self.input.as_arrow())?, true)));
        }
        Ok(OverOperator {
            calls,
            computed,
            kept: Arc::new(Schema::new(fields)),
            keys: Keys::new(&self.order),
            partition,
            converter: KeyRows::try_new(&types)?,
            waiting: Waiting::new(self.order.clone(), self.lag_us, Arc::clone(self.input.inner()), reader, run),
            partitions: BTreeMap::new(),
            due: BTreeSet::new(),
            held: BTreeSet::new(),
            description: self.clone(),
        })
    }
}

/// The rows of one partition that a frame may yet reach, in order, and how far each call is.
struct Partition {
    rows: Rows,
    /// The number of the first row without an answer.
    answered: usize,
    progress: Vec<Progress>,
    /// The watermark behind which it has something to do though no row comes, µs.
    due_us: Option<i64>,
    /// The time of the first row without an answer, µs.
    held_us: Option<i64>,
}

pub(super) struct OverOperator {
    description: Over,
    calls: Vec<Call>,
    /// What the calls read that is no column of the input.
    computed: Vec<Arc<dyn PhysicalExpr>>,
    /// The columns of the rows of a partition: the input's, then those.
    kept: SchemaRef,
    keys: Keys,
    partition: Vec<Arc<dyn PhysicalExpr>>,
    converter: KeyRows,
    waiting: Waiting,
    partitions: BTreeMap<Key, Partition>,
    /// The partitions by the watermark behind which they have something to do, so that the others are not looked at.
    due: BTreeSet<(i64, Key)>,
    /// The partitions by the time of their first row without an answer.
    held: BTreeSet<(i64, Key)>,
}

impl OverOperator {
    /// The numbers of the rows of each partition, in their order.
    fn divide(&self, rows: &RecordBatch) -> Result<BTreeMap<Key, Vec<u32>>> {
        let mut divided: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
        if self.partition.is_empty() {
            divided.insert(Arc::from([].as_slice()), (0..rows.num_rows() as u32).collect());
            return Ok(divided);
        }
        let columns = self.partition.iter().map(|e| evaluate(e, rows)).collect::<Result<Vec<_>>>()?;
        for (at, key) in self.converter.convert_columns(&columns)?.iter().enumerate() {
            match divided.get_mut(key.as_ref()) {
                Some(members) => members.push(at as u32),
                None => drop(divided.insert(Arc::from(key.as_ref()), vec![at as u32])),
            }
        }
        Ok(divided)
    }

    /// The rows with what the calls read of them: each is worked out once.
    fn with_computed(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for expr in &self.computed {
            columns.push(evaluate(expr, rows)?);
        }
        conform(columns, &self.kept)
    }

    fn open(&self) -> Partition {
        let progress = self.calls.iter().map(|_| Progress::default()).collect();
        Partition { rows: Rows::default(), answered: 0, progress, due_us: None, held_us: None }
    }

    /// The partitions that have something to do though no row comes, now that no row comes any more that is earlier than `us`.
    fn due(&self, us: i64) -> BTreeSet<Key> {
        if us == END_OF_TIME_US {
            return self.held.iter().map(|(_, key)| Arc::clone(key)).collect();
        }
        self.due.iter().take_while(|(due_us, _)| *due_us < us).map(|(_, key)| Arc::clone(key)).collect()
    }

    /// Rows of a partition come, and event time goes on: its answers, and when it is looked at next.
    fn visit(&mut self, key: Key, come: Option<RecordBatch>, us: i64, answers: &mut Vec<RecordBatch>) -> Result<()> {
        let mut partition = self.partitions.remove(&key).unwrap_or_else(|| self.open());
        self.strike(&key, &partition);
        if let Some(come) = come {
            self.add(&mut partition, come, answers)?;
        }
        self.answer(&mut partition, us, answers)?;
        let reach = self.reach(&partition, us);
        if reach == partition.rows.end() {
            return Ok(());
        }
        // At the end of input no time passes.
        if us != END_OF_TIME_US && self.forgotten_us(&partition).is_some_and(|forgotten_us| forgotten_us < us) {
            return self.answer(&mut partition, END_OF_TIME_US, answers);
        }
        let held = self.calls.iter().zip(&partition.progress).map(|(call, progress)| call.held_from(progress)).min();
        partition.rows.release(held.map_or(reach, |held| held.min(reach)), &self.keys)?;
        self.enter(key, partition);
        Ok(())
    }

    /// A partition that no row has touched for too long ends before the next, which begins it anew: where that is depends on the rows' times alone.
    fn add(&self, partition: &mut Partition, come: RecordBatch, answers: &mut Vec<RecordBatch>) -> Result<()> {
        let Some(lives_us) = self.description.lives_us() else { return partition.rows.push(come, &self.keys) };
        let times = come.column(self.keys.time()).as_primitive::<TimestampMicrosecondType>().values().clone();
        let (mut last_us, mut begins) = (partition.rows.last_us(), 0);
        let part = |begins: usize, ends: usize| {
            if ends - begins == come.num_rows() {
                return Ok(come.clone());
            }
            take_record_batch(&come, &UInt32Array::from_iter_values(begins as u32..ends as u32))
        };
        for (at, us) in times.iter().enumerate() {
            if last_us.is_some_and(|last_us| last_us.saturating_add(lives_us) < *us) {
                partition.rows.push(part(begins, at)?, &self.keys)?;
                self.answer(partition, END_OF_TIME_US, answers)?;
                *partition = self.open();
                begins = at;
            }
            last_us = Some(*us);
        }
        partition.rows.push(part(begins, times.len())?, &self.keys)
    }

    /// Answers the rows whose frame is whole.
    fn answer(&self, partition: &mut Partition, us: i64, answers: &mut Vec<RecordBatch>) -> Result<()> {
        let Extent { ahead_rows, ahead_us, .. } = self.description.extent;
        let rows = &partition.rows;
        let whole = |at: &usize| {
            us == END_OF_TIME_US || at.saturating_add(ahead_rows) < rows.end() && rows.time_us(*at).saturating_add(ahead_us) < us
        };
        let n_whole = (partition.answered..rows.end()).take_while(whole).count();
        let asked = partition.answered..partition.answered + n_whole;
        if asked.is_empty() {
            return Ok(());
        }
        let answered = rows.batch(asked.clone(), &self.kept)?;
        let mut columns: Vec<ArrayRef> = answered.columns().iter().take(self.description.input.fields().len()).cloned().collect();
        for (call, progress) in self.calls.iter().zip(&mut partition.progress) {
            columns.push(call.answer(asked.clone(), rows, &self.keys, progress)?);
        }
        partition.answered = asked.end;
        answers.push(conform(columns, &self.description.schema)?);
        Ok(())
    }

    /// The number of the first row that a row without an answer may reach, or one that comes.
    fn reach(&self, partition: &Partition, us: i64) -> usize {
        let Extent { behind_rows, behind_us, .. } = self.description.extent;
        let Partition { rows, answered, .. } = partition;
        let next_us = if *answered < rows.end() { rows.time_us(*answered) } else { us };
        let in_time = rows.first_from(next_us.saturating_sub(behind_us)).min(*answered);
        in_time.min(answered.saturating_sub(behind_rows)).max(rows.first())
    }

    /// The watermark behind which the partition is forgotten, µs.
    fn forgotten_us(&self, partition: &Partition) -> Option<i64> {
        Some(partition.rows.last_us()?.saturating_add(self.description.lives_us()?))
    }

    /// When a partition has something to do next though no row comes.
    fn due_us(&self, partition: &Partition) -> Option<i64> {
        let Extent { behind_rows, behind_us, ahead_rows, ahead_us } = self.description.extent;
        let Partition { rows, answered, .. } = partition;
        let next_us = if answered.saturating_add(ahead_rows) < rows.end() {
            Some(rows.time_us(*answered).saturating_add(ahead_us))
        } else if *answered == rows.end() && behind_rows == 0 {
            // Its last row goes.
            rows.last_us().map(|us| us.saturating_add(behind_us))
        } else {
            None
        };
        next_us.into_iter().chain(self.forgotten_us(partition)).min()
    }

    fn enter(&mut self, key: Key, mut partition: Partition) {
        let Partition { rows, answered, .. } = &partition;
        partition.held_us = (*answered < rows.end()).then(|| rows.time_us(*answered));
        partition.due_us = self.due_us(&partition);
        self.due.extend(partition.due_us.map(|us| (us, Arc::clone(&key))));
        self.held.extend(partition.held_us.map(|us| (us, Arc::clone(&key))));
        self.partitions.insert(key, partition);
    }

    fn strike(&mut self, key: &Key, partition: &Partition) {
        if let Some(us) = partition.due_us {
            self.due.remove(&(us, Arc::clone(key)));
        }
        if let Some(us) = partition.held_us {
            self.held.remove(&(us, Arc::clone(key)));
        }
    }

    /// The state of the partitions has the input's columns and one more.
    fn kept_schema(&self) -> SchemaRef {
        let input = self.description.input.inner();
        let fields = input.fields().iter().cloned().chain([Arc::new(Field::new("__answered", DataType::Boolean, false))]);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The columns as a schema has them: an expression may give another type than it says, as of a list's elements.
fn conform(columns: Vec<ArrayRef>, schema: &SchemaRef) -> Result<RecordBatch> {
    let fit = |(column, field): (ArrayRef, &Arc<Field>)| {
        if column.data_type() == field.data_type() { Ok(column) } else { cast(&column, field.data_type()) }
    };
    let columns = columns.into_iter().zip(schema.fields()).map(fit).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

impl Operator for OverOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.waiting.add(rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let Some((us, rows)) = self.waiting.pass(us)? else { return Ok(()) };
        let mut visited: BTreeMap<Key, Option<RecordBatch>> = self.due(us).into_iter().map(|key| (key, None)).collect();
        if let Some(rows) = rows {
            let rows = self.with_computed(&rows)?;
            for (key, members) in self.divide(&rows)? {
                visited.insert(key, Some(take_record_batch(&rows, &UInt32Array::from(members))?));
            }
        }
        let mut answers = Vec::new();
        for (key, come) in visited {
            self.visit(key, come, us, &mut answers)?;
        }
        if !answers.is_empty() {
            out.rows(concat_batches(&self.description.schema, &answers)?);
        }
        out.watermark(self.held.first().map_or(us, |(held_us, _)| us.min(*held_us)));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.waiting.snapshot()?;
        let schema = self.kept_schema();
        let n_columns = self.description.input.fields().len();
        let mut kept = Vec::new();
        for partition in self.partitions.values() {
            let reach = self.reach(partition, self.waiting.watermark_us());
            if reach == partition.rows.end() {
                continue;
            }
            let rows = partition.rows.batch(reach..partition.rows.end(), &self.kept)?;
            let answered: BooleanArray = (reach..partition.rows.end()).map(|at| Some(at < partition.answered)).collect();
            let mut columns: Vec<ArrayRef> = rows.columns().iter().take(n_columns).cloned().collect();
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
        let rows = self.with_computed(&rows)?;
        for (key, members) in self.divide(&rows)? {
            let mut partition = self.open();
            partition.answered = members.iter().filter(|at| answered.value(**at as usize)).count();
            partition.rows.push(take_record_batch(&rows, &UInt32Array::from(members))?, &self.keys)?;
            self.enter(key, partition);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
