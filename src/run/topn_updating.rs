//! Top-N by partition, kept up to date: ROW_NUMBER() <= n over all rows so far; who loses a rank is taken back, who wins one comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt64Array};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Int64Type, SchemaRef, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::accumulate::table;
use super::aggregate::batch_of;
use super::expression::{evaluate, physical};
use super::keys::KeyRows;
use super::operator::{Operator, Output, State};
use super::touched::{Key, Pace, Touched};

/// The description: the rows come in, and go out with their rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopN {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// What a row's partition is.
    #[serde(with = "super::written")]
    pub partition: Vec<Expr>,
    /// What ranks are given by.
    #[serde(with = "super::written")]
    pub order: Vec<Expr>,
    /// For each of them, whether the greatest is first and whether NULLs are.
    pub directions: Vec<(bool, bool)>,
    /// How many ranks.
    pub n: usize,
    /// Whether rows of the input are taken back.
    pub retracted: bool,
    /// When changes are given, and how long partitions are remembered.
    pub pace: Pace,
    /// The input's columns, then the rank.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl TopN {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let text = |all: &[Expr]| all.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        let order: Vec<String> = self
            .order
            .iter()
            .zip(&self.directions)
            .map(|(e, (descending, _))| format!("{e} {}", if *descending { "DESC" } else { "ASC" }))
            .collect();
        format!("n={}, partition=[{}], order=[{}]{}", self.n, text(&self.partition), order.join(", "), self.pace.detail())
    }

    pub(super) fn build(&self) -> Result<TopNOperator> {
        let keys = Keys::try_new(&self.partition, &self.input)?;
        let order = self.order.iter().map(|e| physical(e, &self.input)).collect::<Result<Vec<_>>>()?;
        let by = order
            .iter()
            .zip(&self.directions)
            .map(|(e, (descending, nulls_first))| {
                let options = SortOptions { descending: *descending, nulls_first: *nulls_first };
                Ok(SortField::new_with_options(e.data_type(self.input.as_arrow())?, options))
            })
            .collect::<Result<Vec<_>>>()?;
        let columns = self.input.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(TopNOperator {
            description: self.clone(),
            keys,
            order,
            order_rows: RowConverter::new(by)?,
            rows: RowConverter::new(columns)?,
            partitions: HashMap::new(),
            touched: Touched::new(self.pace),
            next: 0,
        })
    }
}

/// The partition of each row, as bytes.
pub(super) struct Keys {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    rows: KeyRows,
}

impl Keys {
    pub(super) fn try_new(exprs: &[Expr], input: &DFSchemaRef) -> Result<Keys> {
        let exprs = exprs.iter().map(|e| physical(e, input)).collect::<Result<Vec<_>>>()?;
        let types = exprs.iter().map(|e| e.data_type(input.as_arrow())).collect::<Result<Vec<_>>>()?;
        Ok(Keys { exprs, rows: KeyRows::try_new(&types)? })
    }

    pub(super) fn of(&self, rows: &RecordBatch) -> Result<Vec<Key>> {
        if self.exprs.is_empty() {
            return Ok(vec![Arc::from([].as_slice()); rows.num_rows()]);
        }
        let columns = self.exprs.iter().map(|e| evaluate(e, rows)).collect::<Result<Vec<_>>>()?;
        self.of_columns(&columns)
    }

    pub(super) fn of_columns(&self, columns: &[ArrayRef]) -> Result<Vec<Key>> {
        Ok(self.rows.convert_columns(columns)?.iter().map(|row| Key::from(row.data())).collect())
    }

    pub(super) fn columns(&self, keys: &[Key]) -> Result<Vec<ArrayRef>> {
        let parser = self.rows.parser();
        self.rows.convert_rows(keys.iter().map(|k| parser.parse(k)))
    }

    pub(super) fn len(&self) -> usize {
        self.exprs.len()
    }
}

#[derive(Default)]
struct Partition {
    /// By their order, and by their coming where that is the same.
    rows: BTreeMap<(Key, u64), Key>,
    /// The rows given last, in the order of their ranks.
    shown: Vec<Key>,
}

pub(super) struct TopNOperator {
    description: TopN,
    keys: Keys,
    order: Vec<Arc<dyn PhysicalExpr>>,
    order_rows: RowConverter,
    rows: RowConverter,
    partitions: HashMap<Key, Partition>,
    touched: Touched,
    next: u64,
}

impl TopNOperator {
    fn apply(&mut self, rows: &RecordBatch, come: bool) -> Result<()> {
        let keys = self.keys.of(rows)?;
        let order = self.order.iter().map(|e| evaluate(e, rows)).collect::<Result<Vec<_>>>()?;
        let order = self.order_rows.convert_columns(&order)?;
        let encoded = self.rows.convert_columns(rows.columns())?;
        for ((key, order), row) in keys.iter().zip(order.iter()).zip(encoded.iter()) {
            if come {
                let partition = self.partitions.entry(Arc::clone(key)).or_default();
                partition.rows.insert((Arc::from(order.data()), self.next), Arc::from(row.data()));
                self.next += 1;
                // What has lost its rank never has one again, unless a better row is taken back.
                if !self.description.retracted && partition.rows.len() > self.description.n {
                    partition.rows.pop_last();
                }
            } else {
                // Rows of a partition that is forgotten have left the answer already.
                let Some(partition) = self.partitions.get_mut(key) else { continue };
                let order: Key = Arc::from(order.data());
                let same = partition.rows.range((Arc::clone(&order), 0)..=(order, u64::MAX));
                let Some(at) = same.filter(|(_, r)| r.as_ref() == row.data()).map(|(at, _)| at.clone()).next_back() else { continue };
                partition.rows.remove(&at);
            }
            self.touched.touch(key);
        }
        Ok(())
    }

    /// Gives the ranks of partitions as they are now, in place of those given before.
    fn give(&mut self, keys: Vec<Key>, out: &mut Output) -> Result<()> {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for key in keys {
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            let now: Vec<Key> = partition.rows.values().take(self.description.n).cloned().collect();
            for rank in 0..now.len().max(partition.shown.len()) {
                let (before, after) = (partition.shown.get(rank), now.get(rank));
                if before != after {
                    gone.extend(before.map(|row| (Arc::clone(row), rank)));
                    come.extend(after.map(|row| (Arc::clone(row), rank)));
                }
            }
            partition.shown = now;
            if partition.rows.is_empty() {
                self.partitions.remove(&key);
                self.touched.remove(&key);
            }
        }
        out.changes(self.ranked(&gone)?, self.ranked(&come)?);
        Ok(())
    }

    fn ranked(&self, rows: &[(Key, usize)]) -> Result<RecordBatch> {
        let parser = self.rows.parser();
        let mut columns = self.rows.convert_rows(rows.iter().map(|(row, _)| parser.parse(row)))?;
        columns.push(Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, rank)| *rank as u64 + 1))));
        batch_of(columns, rows.len(), &self.description.schema)
    }
}

impl Operator for TopNOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        self.apply(&rows, true)?;
        let due = self.touched.after_rows();
        self.give(due, out)
    }

    fn changes(&mut self, _input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        if !self.description.retracted {
            return internal_err!("rows taken back from a Top-N whose input only grows");
        }
        self.apply(&gone, false)?;
        self.apply(&come, true)?;
        let due = self.touched.after_rows();
        self.give(due, out)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let due = self.touched.advance(us);
        self.give(due, out)?;
        out.watermark(us);
        let mut gone = Vec::new();
        for key in self.touched.forgotten() {
            let shown = self.partitions.remove(&key).map(|p| p.shown).unwrap_or_default();
            gone.extend(shown.into_iter().enumerate().map(|(rank, row)| (row, rank)));
        }
        out.changes(self.ranked(&gone)?, self.ranked(&[])?);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = State { numbers: [("watermark_us".to_owned(), self.touched.watermark_us())].into(), ..State::default() };
        let (mut rows, mut shown, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let keys: Vec<Key> = self.partitions.keys().cloned().collect();
        for (key, partition) in keys.iter().filter_map(|k| Some((k, self.partitions.get(k)?))) {
            rows.extend(partition.rows.values().map(|row| (Arc::clone(row), 0)));
            shown.extend(partition.shown.iter().enumerate().map(|(rank, row)| (Arc::clone(row), rank)));
            kept.push(self.touched.kept(key));
        }
        state.tables.insert("rows".into(), vec![self.ranked(&rows)?]);
        state.tables.insert("shown".into(), vec![self.ranked(&shown)?]);
        let mut columns = self.keys.columns(&keys)?;
        columns.push(Arc::new(kept.iter().map(|(waits, _)| Some(*waits)).collect::<BooleanArray>()));
        columns.push(Arc::new(kept.iter().map(|(_, us)| *us).collect::<Int64Array>()));
        state.tables.insert("touched".into(), vec![table(columns)?]);
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        let one = |name: &str| state.tables.get(name).and_then(|t| t.first());
        let n_columns = self.description.input.fields().len();
        let columns = Arc::clone(self.description.input.inner());
        let without_rank = |rows: &RecordBatch| -> Result<RecordBatch> {
            Ok(RecordBatch::try_new(Arc::clone(&columns), rows.columns().iter().take(n_columns).cloned().collect())?)
        };
        if let Some(rows) = one("rows") {
            self.apply(&without_rank(rows)?, true)?;
        }
        if let Some(ranked) = one("shown") {
            let rows = without_rank(ranked)?;
            let (keys, encoded) = (self.keys.of(&rows)?, self.rows.convert_columns(rows.columns())?);
            let ranks = ranked.column(n_columns).as_primitive::<UInt64Type>();
            for ((key, row), rank) in keys.into_iter().zip(encoded.iter()).zip(ranks.values()) {
                let shown = &mut self.partitions.entry(key).or_default().shown;
                // They were written in the order of their ranks.
                if *rank == shown.len() as u64 + 1 {
                    shown.push(Arc::from(row.data()));
                }
            }
        }
        self.touched = Touched::new(self.description.pace);
        self.touched.set_watermark_us(state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN));
        if let Some(kept) = one("touched") {
            let (keys, rest) = kept.columns().split_at(self.keys.len().min(kept.num_columns()));
            let [waits, touched] = rest else { return internal_err!("a snapshot of partitions has lost its columns") };
            let keys = if keys.is_empty() { vec![Arc::from([].as_slice()); kept.num_rows()] } else { self.keys.of_columns(keys)? };
            let times = touched.as_primitive::<Int64Type>();
            for (at, key) in keys.iter().enumerate() {
                self.touched.restore(key, waits.as_boolean().value(at), times.is_valid(at).then(|| times.value(at)));
            }
        }
        Ok(())
    }
}
