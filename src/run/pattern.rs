//! Recognises patterns: rows wait for the watermark, are sorted by event time, and are searched partition by partition.

mod attempt;
mod lookup;
mod program;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BinaryArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::Run;
use super::keys::KeyRows;
use super::operator::{Operator, Output, State};
use super::waiting::{self, Waiting};
use crate::event::END_OF_TIME_US;
use crate::plan::pattern::formula::{Formula, Navigation};
use crate::plan::pattern::{Recognition, Skip};
use attempt::{Attempt, Conditions};
use lookup::{Compiled, Match, Row, Sorted, gather};
use program::{Instruction, program};

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pattern {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// What is recognised in them.
    #[serde(with = "super::written")]
    pub recognition: Recognition,
    /// How far behind the watermark the time may still come, µs.
    pub lag_us: i64,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The columns that come in, by the names that the query has for them.
    #[serde(with = "super::written")]
    pub named: SchemaRef,
    /// The columns before the measures, the measures, the columns after.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Pattern {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        self.recognition.detail()
    }

    pub(super) fn build(&self, run: &Run) -> Result<PatternOperator> {
        let r = &self.recognition;
        let compiled = |formula: &Formula| Compiled::try_new(formula, &self.input, &r.variables);
        let far = |of: fn((usize, usize)) -> usize| r.formulas().map(|f| of(f.shifts())).max().unwrap_or(0);
        let early = r.define.iter().enumerate().map(|(at, f)| f.as_ref().is_none_or(|f| f.of_one_row(at))).collect();
        let remembered = r.define.iter().enumerate().filter_map(|(at, f)| f.as_ref().filter(|f| !f.of_one_row(at)));
        let columns = r.partition.iter().filter_map(|at| self.input.fields().get(*at));
        let columns_named = Some(Arc::clone(&self.named));
        let reader = waiting::Reader { operator: "Pattern", sources: self.sources.clone(), columns: columns_named };
        Ok(PatternOperator {
            program: program(&r.part)?,
            define: r.define.iter().map(|f| f.as_ref().map(compiled).transpose()).collect::<Result<_>>()?,
            measures: r.measures.iter().map(|(_, f)| compiled(f)).collect::<Result<_>>()?,
            early,
            remembered: remembered.flat_map(|f| f.navigations.clone()).collect(),
            behind: far(|(behind, _)| behind),
            ahead: far(|(_, ahead)| ahead),
            numbered: r.formulas().any(|f| f.navigations.contains(&Navigation::MatchNumber)),
            converter: KeyRows::try_new(columns.map(|f| f.data_type()))?,
            waiting: Waiting::new(r.order.clone(), self.lag_us, Arc::clone(self.input.inner()), reader, run),
            partitions: BTreeMap::new(),
            description: self.clone(),
        })
    }
}

/// The rows of one partition that may yet be in a match.
#[derive(Default)]
struct Partition {
    rows: Vec<Row>,
    /// Where the search stands; the rows before it are kept for PREV.
    start: usize,
    attempt: Option<Attempt>,
    n_matches: i64,
}

pub(super) struct PatternOperator {
    description: Pattern,
    program: Vec<Instruction>,
    define: Vec<Option<Compiled>>,
    measures: Vec<Compiled>,
    /// By variable: whether its condition looks at nothing but the row.
    early: Vec<bool>,
    /// What the other conditions look up.
    remembered: Vec<Navigation>,
    /// How many rows PREV goes back.
    behind: usize,
    /// How many rows NEXT goes on.
    ahead: usize,
    /// Whether matches are numbered.
    numbered: bool,
    converter: KeyRows,
    waiting: Waiting,
    partitions: BTreeMap<Vec<u8>, Partition>,
}

/// The rows of the answer, before their expressions are evaluated.
struct Found {
    rows: Vec<Row>,
    /// By measure, by value that it looks up, by row.
    values: Vec<Vec<Vec<ScalarValue>>>,
}

/// A row that a search is about to take, with all that its conditions may ask.
struct Candidate<'a> {
    operator: &'a PatternOperator,
    partition: &'a Partition,
    row: &'a Row,
}

impl Conditions for Candidate<'_> {
    fn of_row(&self, variable: usize) -> Option<bool> {
        match self.operator.early.get(variable) {
            Some(true) => {
                let verdicts = self.row.of.verdicts.get(variable).and_then(Option::as_ref);
                Some(verdicts.is_none_or(|v| v.value(self.row.at)))
            }
            _ => None,
        }
    }

    fn of_rows(&self, labels: &[usize]) -> Result<bool> {
        let condition = labels.last().and_then(|variable| self.operator.define.get(*variable)).and_then(Option::as_ref);
        condition.map_or(Ok(true), |condition| condition.holds(&self.found(labels)))
    }

    fn remembers(&self) -> bool {
        !self.operator.remembered.is_empty()
    }

    fn memory(&self, labels: &[usize]) -> Vec<usize> {
        let (found, mut known) = (self.found(labels), Vec::new());
        self.operator.remembered.iter().for_each(|n| found.memory(n, &mut known));
        known
    }
}

impl<'a> Candidate<'a> {
    fn found(&self, labels: &'a [usize]) -> Match<'a> {
        let Partition { rows, start, .. } = self.partition;
        Match { rows, start: *start, labels, current: labels.len().saturating_sub(1), number: 0 }
    }
}

impl PatternOperator {
    /// Sorted rows with what is known of each by itself.
    fn sorted(&self, rows: RecordBatch) -> Result<Arc<Sorted>> {
        let verdict = |(condition, early): (&Option<Compiled>, &bool)| match condition {
            Some(condition) if *early => condition.holds_each(&rows).map(Some),
            _ => Ok(None),
        };
        let verdicts = self.define.iter().zip(&self.early).map(verdict).collect::<Result<_>>()?;
        let times = Sorted::times(&rows, self.description.recognition.time());
        Ok(Arc::new(Sorted { rows, verdicts, times }))
    }

    /// The key of each row's partition.
    fn keys(&self, rows: &RecordBatch) -> Result<Vec<Vec<u8>>> {
        let partition = &self.description.recognition.partition;
        if partition.is_empty() {
            return Ok(vec![Vec::new(); rows.num_rows()]);
        }
        let columns: Vec<ArrayRef> = partition.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        Ok(self.converter.convert_columns(&columns)?.iter().map(|row| row.as_ref().to_vec()).collect())
    }

    fn add(&mut self, rows: RecordBatch) -> Result<()> {
        let keys = self.keys(&rows)?;
        let sorted = self.sorted(rows)?;
        for (at, key) in keys.into_iter().enumerate() {
            self.partitions.entry(key).or_default().rows.push(Row { of: Arc::clone(&sorted), at });
        }
        Ok(())
    }

    /// Searches as far as the rows go; with `us` no row comes any more that is earlier.
    fn search(&self, partition: &mut Partition, us: i64, found: &mut Found) -> Result<()> {
        let within_us = self.description.recognition.within_us;
        while let Some(first_us) = partition.rows.get(partition.start).map(Row::time_us) {
            let mut attempt = partition.attempt.take().unwrap_or_else(|| Attempt::new(&self.program));
            let mut over = false;
            while !attempt.decided() && !over {
                let at = partition.start + attempt.n_rows;
                match partition.rows.get(at) {
                    Some(row) => {
                        over = within_us.is_some_and(|within| row.time_us().saturating_sub(first_us) > within);
                        if !over {
                            if us != END_OF_TIME_US && at + self.ahead >= partition.rows.len() {
                                // NEXT asks for rows that are not here yet.
                                break;
                            }
                            attempt.step(&self.program, &Candidate { operator: self, partition, row })?;
                        }
                    }
                    None => {
                        over = us == END_OF_TIME_US || within_us.is_some_and(|within| us > first_us.saturating_add(within));
                        if !over {
                            break;
                        }
                    }
                }
            }
            if !over && !attempt.decided() {
                partition.attempt = Some(attempt);
                break;
            }
            partition.start += match attempt.result() {
                Some(labels) => {
                    partition.n_matches += 1;
                    self.take(partition, &labels, found)?;
                    self.skip(&labels)
                }
                None => 1,
            };
        }
        let kept = partition.start.saturating_sub(self.behind);
        partition.rows.drain(..kept);
        partition.start -= kept;
        Ok(())
    }

    /// How many rows from the first of a match the search goes on. A variable without a row, or the first row itself, is the next row:
    /// the search would end or stand still.
    fn skip(&self, labels: &[usize]) -> usize {
        let far = match self.description.recognition.skip {
            Skip::PastLastRow => Some(labels.len()),
            Skip::ToNextRow => None,
            Skip::ToFirst(variable) => labels.iter().position(|label| *label == variable),
            Skip::ToLast(variable) => labels.iter().rposition(|label| *label == variable),
        };
        far.unwrap_or(1).max(1)
    }

    fn take(&self, partition: &Partition, labels: &[usize], found: &mut Found) -> Result<()> {
        let last = labels.len().saturating_sub(1);
        let first = if self.description.recognition.all_rows { 0 } else { last };
        for current in first..=last {
            let one = Match { rows: &partition.rows, start: partition.start, labels, current, number: partition.n_matches };
            found.rows.extend(partition.rows.get(partition.start + current).cloned());
            for (measure, values) in self.measures.iter().zip(&mut found.values) {
                measure.values(&one, |at, value| {
                    if let Some(column) = values.get_mut(at) {
                        column.push(value);
                    }
                })?;
            }
        }
        Ok(())
    }

    fn give(&self, found: Found, out: &mut Output) -> Result<()> {
        if found.rows.is_empty() {
            return Ok(());
        }
        let rows = gather(&found.rows, self.description.input.inner())?;
        let column = |(at, _): &(usize, String)| Arc::clone(rows.column(*at));
        let r = &self.description.recognition;
        let mut columns: Vec<ArrayRef> = r.before.iter().map(column).collect();
        for (measure, values) in self.measures.iter().zip(found.values) {
            columns.push(measure.over(values, rows.num_rows())?);
        }
        columns.extend(r.after.iter().map(column));
        out.rows(RecordBatch::try_new(Arc::clone(&self.description.schema), columns)?);
        Ok(())
    }

    /// The state of the partitions has the input's columns and one more.
    fn kept_schema(&self) -> SchemaRef {
        let input = self.description.input.inner();
        let fields = input.fields().iter().cloned().chain([Arc::new(Field::new("__searched", DataType::Boolean, false))]);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

impl Operator for PatternOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.waiting.add(rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let Some((us, rows)) = self.waiting.pass(us)? else { return Ok(()) };
        if let Some(rows) = rows {
            self.add(rows)?;
        }
        let mut found = Found { rows: Vec::new(), values: self.measures.iter().map(|m| vec![Vec::new(); m.n_values()]).collect() };
        let mut partitions = std::mem::take(&mut self.partitions);
        for partition in partitions.values_mut() {
            self.search(partition, us, &mut found)?;
        }
        // Whose matches are numbered is known for ever once it has one.
        partitions.retain(|_, p| !p.rows.is_empty() || self.numbered && p.n_matches > 0);
        self.partitions = partitions;
        self.give(found, out)?;
        // No row comes any more that is earlier than the first that may yet be in a match.
        let held = self.partitions.values().filter_map(|p| p.rows.get(p.start)).map(Row::time_us).min();
        out.watermark(held.map_or(us, |held| held.min(us)));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.waiting.snapshot()?;
        let (mut rows, mut searched, mut keys, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, partition) in &self.partitions {
            rows.extend(partition.rows.iter().cloned());
            searched.extend((0..partition.rows.len()).map(|at| at < partition.start));
            keys.push(key.as_slice());
            numbers.push(partition.n_matches);
        }
        let mut columns = gather(&rows, self.description.input.inner())?.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(searched)));
        state.tables.insert("partitions".into(), vec![RecordBatch::try_new(self.kept_schema(), columns)?]);
        if self.numbered {
            let fields = vec![Field::new("key", DataType::Binary, false), Field::new("n_matches", DataType::Int64, false)];
            let columns: Vec<ArrayRef> = vec![Arc::new(BinaryArray::from(keys)), Arc::new(Int64Array::from(numbers))];
            state.tables.insert("matches".into(), vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?]);
        }
        Ok(state)
    }

    fn restore(&mut self, mut state: State) -> Result<()> {
        let kept = state.tables.remove("partitions").unwrap_or_default();
        let matches = state.tables.remove("matches").unwrap_or_default();
        self.waiting.restore(state);
        let kept = concat_batches(&self.kept_schema(), &kept)?;
        let n_columns = self.description.input.fields().len();
        let rows = kept.project(&(0..n_columns).collect::<Vec<_>>())?;
        let searched = kept.column(n_columns).as_boolean();
        let keys = self.keys(&rows)?;
        for (key, searched) in keys.into_iter().zip(searched.iter()) {
            self.partitions.entry(key).or_default().start += usize::from(searched == Some(true));
        }
        if rows.num_rows() > 0 {
            self.add(rows)?;
        }
        for batch in &matches {
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            for (key, number) in batch.column(0).as_binary::<i32>().iter().zip(numbers.iter()) {
                self.partitions.entry(key.unwrap_or_default().to_vec()).or_default().n_matches = number.unwrap_or(0);
            }
        }
        Ok(())
    }
}
