//! Aggregates by session: rows of open sessions are kept for a while and then taken over by the aggregates, so that a session that does not end does not
//! grow with its rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, TimestampMicrosecondArray, UInt32Array};
use datafusion::arrow::compute::{filter_record_batch, not, take};
use datafusion::arrow::datatypes::{Field, Schema, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::assign::window_columns;
use super::expression::{evaluate, physical};
use super::groups::{Aggregates, Groups, Kept};
use super::map::{Map, MapOperator};
use super::operator::{Operator, Output, State};
use super::session::{Closed, Session, SessionOperator};
use super::window::{Window, conform};
use crate::frame::batch::ts_type;
use crate::metrics::JobCounters;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionAggregate {
    /// How rows come into sessions.
    pub session: Session,
    /// What happens to rows between, in order; it passes columns of the window on and does not look at them.
    pub steps: Vec<Map>,
    /// What is aggregated.
    pub window: Window,
    /// Which column of the window each key is: 0 the start, 1 the end, 2 the time; None for one that tells groups of a session apart.
    pub columns: Vec<Option<usize>>,
}

impl SessionAggregate {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let steps: String = self.steps.iter().map(|step| format!("{}, ", step.detail())).collect();
        format!("{}, {steps}{}", self.session.detail(), self.window.detail())
    }

    pub(super) fn build(&self, run: &Run) -> Result<SessionAggregateOperator> {
        let window = &self.window;
        let own = self.columns.iter().zip(window.schema.fields()).filter(|(column, _)| column.is_none());
        let mut fields = vec![Field::new("session", ts_type(), false)];
        fields.extend(own.map(|(_, field)| field.as_ref().clone()));
        Ok(SessionAggregateOperator {
            sessions: self.session.build(run)?,
            steps: self.steps.iter().map(|step| step.build(run)).collect::<Result<_>>()?,
            keys: window.keys.iter().map(|key| physical(key, &window.input)).collect::<Result<_>>()?,
            aggregates: Aggregates::try_new(&window.aggregates, &window.input, Arc::new(Schema::new(fields)))?,
            counters: Arc::clone(&run.counters),
            description: self.clone(),
            // Where a test sets the size of batches, few rows are taken over, too.
            rows_kept: run.batch_rows.unwrap_or(ROWS_KEPT),
            kept: None,
            next_number: 0,
            scratch: Vec::new(),
        })
    }
}

/// So many rows are kept as they are: most sessions end before, and are aggregated once.
const ROWS_KEPT: usize = 65_536;

pub(super) struct SessionAggregateOperator {
    description: SessionAggregate,
    sessions: SessionOperator,
    steps: Vec<MapOperator>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Aggregates,
    counters: Arc<JobCounters>,
    /// How many rows of open sessions are kept as they are.
    rows_kept: usize,
    /// What the aggregates know of open sessions, by the numbers of those.
    kept: Option<Kept>,
    /// The number of the next session of which rows are taken over.
    next_number: i64,
    scratch: Vec<usize>,
}

impl SessionAggregateOperator {
    /// Takes rows into groups: the sessions' numbers stand where their windows will.
    fn update(&mut self, groups: &mut Groups, rows: RecordBatch, numbers: Vec<i64>) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        let numbers: ArrayRef = Arc::new(TimestampMicrosecondArray::from(numbers).with_timezone("UTC"));
        columns.extend([Arc::clone(&numbers), Arc::clone(&numbers), numbers]);
        let mut rows = vec![RecordBatch::try_new(Arc::clone(&self.description.session.schema), columns)?];
        for step in &mut self.steps {
            let mut out = Output::default();
            for batch in rows {
                step.rows(0, batch, &mut out)?;
            }
            rows = out.into_rows();
        }
        for batch in rows {
            let (mut number, mut keys) = (None, Vec::new());
            for (key, column) in self.keys.iter().zip(&self.description.columns) {
                match column {
                    Some(_) => number = Some(evaluate(key, &batch)?),
                    None => keys.push(evaluate(key, &batch)?),
                }
            }
            let Some(number) = number else { return internal_err!("an aggregate by session without a column of the session") };
            keys.insert(0, number);
            groups.update(&keys, &self.aggregates.arguments(&batch)?, batch.num_rows(), &mut self.scratch)?;
        }
        Ok(())
    }

    /// Lets the aggregates take over the rows of open sessions.
    fn fold(&mut self) -> Result<()> {
        let (rows, numbers) = self.sessions.take_rows(&mut self.next_number)?;
        let mut groups = self.aggregates.open()?;
        if let Some(kept) = self.kept.take() {
            groups.merge(&kept, &mut self.scratch)?;
        }
        self.update(&mut groups, rows, numbers)?;
        self.kept = Some(groups.keep()?);
        Ok(())
    }

    /// What the aggregates know of the sessions with these numbers, under the numbers they are given.
    fn take_kept(&mut self, numbers: &HashMap<i64, i64>) -> Result<Option<Kept>> {
        let Some(kept) = self.kept.take().filter(|kept| kept.first().is_some_and(|keys| keys.num_rows() > 0)) else { return Ok(None) };
        let Some(keys) = kept.first().filter(|_| !numbers.is_empty()) else {
            self.kept = Some(kept);
            return Ok(None);
        };
        let known = keys.column(0).as_primitive::<TimestampMicrosecondType>();
        let over: BooleanArray = known.values().iter().map(|number| Some(numbers.contains_key(number))).collect();
        let open = not(&over)?;
        let part = |rows: &BooleanArray| kept.iter().map(|table| filter_record_batch(table, rows)).collect::<Result<Vec<_>, _>>();
        self.kept = Some(part(&open)?);
        let mut taken = part(&over)?;
        if let Some(keys) = taken.first_mut() {
            let known = keys.column(0).as_primitive::<TimestampMicrosecondType>();
            let mut columns = keys.columns().to_vec();
            let renamed = known.values().iter().map(|number| numbers.get(number).copied().unwrap_or(*number));
            if let Some(first) = columns.first_mut() {
                *first = Arc::new(TimestampMicrosecondArray::from_iter_values(renamed).with_timezone("UTC"));
            }
            *keys = RecordBatch::try_new(keys.schema(), columns)?;
        }
        Ok(Some(taken))
    }

    /// The groups of sessions that are over, by the order in which those end.
    fn give(&mut self, closed: Vec<Closed>, out: &mut Output) -> Result<()> {
        let mut groups = self.aggregates.open()?;
        // Here a session's number is its place among those that are over; those of other keys with the same bounds are one group in SQL.
        let by = |which: &[usize]| self.description.columns.iter().flatten().any(|column| which.contains(column));
        let (by_start, by_end) = (by(&[0]), by(&[1, 2]));
        let (mut firsts, mut folded) = (HashMap::new(), HashMap::new());
        let (mut places, mut numbers) = (Vec::new(), Vec::new());
        for (at, session) in closed.iter().enumerate() {
            let bounds = (by_start.then_some(session.start_us), by_end.then_some(session.end_us));
            let number = *firsts.entry(bounds).or_insert(at as i64);
            folded.extend(session.folded.iter().map(|known| (*known, number)));
            places.extend_from_slice(&session.rows);
            numbers.resize(places.len(), number);
        }
        if let Some(kept) = self.take_kept(&folded)? {
            groups.merge(&kept, &mut self.scratch)?;
        }
        let rows = self.sessions.gather(&places)?;
        self.update(&mut groups, rows, numbers)?;
        let (n_groups, keys, results) = groups.finish()?;
        let Some((numbers, own)) = keys.split_first() else { return internal_err!("an aggregate by session has lost its sessions") };
        let numbers = numbers.as_primitive::<TimestampMicrosecondType>().values();
        let mut order: Vec<u32> = (0..n_groups as u32).collect();
        order.sort_by_key(|row| numbers.get(*row as usize));
        let session = |row: &u32| numbers.get(*row as usize).and_then(|at| closed.get(*at as usize));
        let times = |of: fn(&Closed) -> i64| order.iter().map(|row| session(row).map_or(0, of)).collect::<Vec<_>>();
        let bounds = window_columns(times(|closed| closed.start_us), times(|closed| closed.end_us));
        let order = UInt32Array::from(order.clone());
        let ordered = |column: &ArrayRef| take(column, &order, None);
        let mut own = own.iter();
        let mut columns = Vec::with_capacity(self.description.window.schema.fields().len());
        for column in &self.description.columns {
            columns.extend(match column {
                Some(which) => bounds.get(*which).cloned(),
                None => own.next().map(ordered).transpose()?,
            });
        }
        columns.extend(results.iter().map(ordered).collect::<Result<Vec<_>, _>>()?);
        self.counters.windows_fired.add(closed.len() as u64);
        out.rows(conform(columns, &self.description.window.schema, n_groups)?);
        Ok(())
    }
}

impl Operator for SessionAggregateOperator {
    fn rows(&mut self, input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        self.sessions.rows(input, rows, out)?;
        if self.sessions.n_open_rows() > self.rows_kept { self.fold() } else { Ok(()) }
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let us = self.sessions.advance(us);
        let closed = self.sessions.close(us);
        if !closed.is_empty() {
            self.give(closed, out)?;
            self.sessions.compact()?;
        }
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.sessions.snapshot()?;
        state.numbers.insert("next_number".into(), self.next_number);
        for (number, table) in self.kept.iter().flatten().enumerate() {
            state.tables.insert(format!("kept {number}"), vec![table.clone()]);
        }
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.next_number = state.numbers.get("next_number").copied().unwrap_or(0);
        let table = |number: usize| state.tables.get(&format!("kept {number}")).and_then(|tables| tables.first()).cloned();
        let kept: Kept = (0..).map_while(table).collect();
        self.kept = (!kept.is_empty()).then_some(kept);
        self.sessions.restore(state)
    }
}
