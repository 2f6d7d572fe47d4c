//! Keeps the first row of each key by event time: a row is given when the watermark says that none before it comes, and is never taken back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt64Array};
use datafusion::arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::accumulate::table;
use super::aggregate::batch_of;
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use super::topn_updating::Keys;
use super::touched::{Key, Pace, Touched};
use crate::metrics::JobCounters;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dedup {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// What is the same in two rows of which the later is left out.
    #[serde(with = "super::written")]
    pub partition: Vec<Expr>,
    /// The event time, as an index of the input.
    pub time: usize,
    /// How far behind the watermark that time may still come, µs.
    pub lag_us: i64,
    /// How long a key is remembered.
    pub pace: Pace,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The input's columns, then the rank, which is 1.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Dedup {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let keys: Vec<String> = self.partition.iter().map(|e| e.to_string()).collect();
        format!("keep=first, keys=[{}], time={}", keys.join(", "), self.schema.field(self.time).name())
    }

    pub(super) fn build(&self, run: &Run) -> Result<DedupOperator> {
        let columns = self.input.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(DedupOperator {
            description: self.clone(),
            keys: Keys::try_new(&self.partition, &self.input)?,
            rows: RowConverter::new(columns)?,
            known: HashMap::new(),
            waiting: BTreeMap::new(),
            touched: Touched::new(self.pace),
            watermark_us: i64::MIN,
            counters: Arc::clone(&run.counters),
        })
    }
}

pub(super) struct DedupOperator {
    description: Dedup,
    keys: Keys,
    rows: RowConverter,
    /// Each key's first row so far with its time, µs; None once it is given.
    known: HashMap<Key, Option<(i64, Key)>>,
    /// The keys that wait, by the time of their first row.
    waiting: BTreeMap<i64, Vec<Key>>,
    touched: Touched,
    /// Up to where first rows have been given, µs.
    watermark_us: i64,
    counters: Arc<JobCounters>,
}

impl DedupOperator {
    fn given(&self, rows: &[Key]) -> Result<RecordBatch> {
        let parser = self.rows.parser();
        let mut columns = self.rows.convert_rows(rows.iter().map(|row| parser.parse(row)))?;
        columns.push(Arc::new(UInt64Array::from_value(1, rows.len())));
        batch_of(columns, rows.len(), &self.description.schema)
    }

    fn apply(&mut self, rows: &RecordBatch) -> Result<()> {
        let times = rows.column(self.description.time).as_primitive::<TimestampMicrosecondType>();
        let keys = self.keys.of(rows)?;
        let encoded = self.rows.convert_columns(rows.columns())?;
        let mut late = Vec::new();
        for (at, ((key, time), row)) in keys.iter().zip(times.iter()).zip(encoded.iter()).enumerate() {
            let Some(time) = time else {
                self.counters.n_null_time.add(1);
                continue;
            };
            if time < self.watermark_us {
                late.push(at as u32);
                continue;
            }
            self.touched.touch(key);
            match self.known.get(key) {
                Some(None) => continue,
                Some(Some((first, _))) if *first <= time => continue,
                _ => {}
            }
            self.known.insert(Arc::clone(key), Some((time, Arc::from(row.data()))));
            self.waiting.entry(time).or_default().push(Arc::clone(key));
        }
        late_rows(&self.counters, &self.description.sources, "Dedup", times, self.watermark_us, rows, late)
    }
}

impl Operator for DedupOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.apply(&rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let end = us == crate::event::END_OF_TIME_US;
        let time_us = if end { us } else { us.saturating_sub(self.description.lag_us) };
        let mut given = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            let first_us = *entry.key();
            if first_us > time_us {
                break;
            }
            for key in entry.remove() {
                // A row that came later and was earlier is waited for under its own time.
                if let Some(known) = self.known.get_mut(&key)
                    && let Some((_, row)) = known.take_if(|(at, _)| *at == first_us)
                {
                    // It is remembered from here on.
                    self.touched.touch(&key);
                    given.push(row);
                }
            }
        }
        out.rows(self.given(&given)?);
        self.watermark_us = time_us;
        self.touched.advance(us);
        for key in self.touched.forgotten() {
            // A first row that waits is given when its time comes.
            if self.known.get(&key).is_some_and(Option::is_none) {
                self.known.remove(&key);
            }
        }
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let numbers = [("watermark_us", self.watermark_us), ("advanced_us", self.touched.watermark_us())];
        let mut state = State { numbers: numbers.map(|(name, us)| (name.to_owned(), us)).into(), ..State::default() };
        let (mut keys, mut waiting, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (key, known) in &self.known {
            keys.push(Arc::clone(key));
            kept.push((known.is_some(), self.touched.kept(key).1));
            waiting.extend(known.as_ref().map(|(_, row)| Arc::clone(row)));
        }
        let mut columns: Vec<ArrayRef> = self.keys.columns(&keys)?;
        columns.push(Arc::new(kept.iter().map(|(waits, _)| Some(*waits)).collect::<BooleanArray>()));
        columns.push(Arc::new(kept.iter().map(|(_, us)| *us).collect::<Int64Array>()));
        state.tables.insert("keys".into(), vec![table(columns)?]);
        state.tables.insert("waiting".into(), vec![self.given(&waiting)?]);
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        let number = |name: &str| state.numbers.get(name).copied().unwrap_or(i64::MIN);
        let one = |name: &str| state.tables.get(name).and_then(|t| t.first());
        self.watermark_us = number("watermark_us");
        self.touched.set_watermark_us(number("advanced_us"));
        if let Some(kept) = one("keys") {
            let (keys, rest) = kept.columns().split_at(self.keys.len().min(kept.num_columns()));
            let [waits, touched] = rest else { return internal_err!("a snapshot of keys has lost its columns") };
            let keys = if keys.is_empty() { vec![Arc::from([].as_slice()); kept.num_rows()] } else { self.keys.of_columns(keys)? };
            let times = touched.as_primitive::<Int64Type>();
            for (at, key) in keys.iter().enumerate() {
                if !waits.as_boolean().value(at) {
                    self.known.insert(Arc::clone(key), None);
                }
                self.touched.restore(key, false, times.is_valid(at).then(|| times.value(at)));
            }
        }
        if let Some(waiting) = one("waiting") {
            let n_columns = self.description.input.fields().len();
            let columns = waiting.columns().iter().take(n_columns).cloned().collect();
            let rows = RecordBatch::try_new(Arc::clone(self.description.input.inner()), columns)?;
            let before = self.watermark_us;
            // They were not late when they came.
            self.watermark_us = i64::MIN;
            self.apply(&rows)?;
            self.watermark_us = before;
        }
        Ok(())
    }
}
