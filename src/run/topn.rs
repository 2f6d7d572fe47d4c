//! ROW_NUMBER, RANK and DENSE_RANK over partitions of a window: its rows wait for its end, no more of them than will be asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array, UInt64Array};
use datafusion::arrow::compute::{SortOptions, cast, concat_batches, take, take_record_batch};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, physical};
use super::keys::KeyRows;
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use crate::metrics::JobCounters;

/// How rows are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Numbering {
    /// ROW_NUMBER: 1, 2, 3, 4; among equal rows the one that came first is first.
    RowNumber,
    /// RANK: 1, 2, 2, 4.
    Rank,
    /// DENSE_RANK: 1, 2, 2, 3.
    DenseRank,
}

/// One expression of ORDER BY.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderBy {
    /// What is compared.
    #[serde(with = "super::written")]
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopN {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// The column that says when a partition is complete, as an index of the input.
    pub window_key: usize,
    /// What to add to it to have that moment, µs.
    pub to_end_us: i64,
    /// What tells partitions apart, the window among it.
    #[serde(with = "super::written")]
    pub partition: Vec<Expr>,
    /// The order in each of them.
    pub order: Vec<OrderBy>,
    /// The columns that are added.
    pub numberings: Vec<Numbering>,
    /// No row with a number above this is asked for; only with one numbering.
    pub at_most: Option<u64>,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The input's columns, then the numbers.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl TopN {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let partition = self.partition.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        let order = |o: &OrderBy| format!("{}{}", o.expr, if o.descending { " DESC" } else { "" });
        let order = self.order.iter().map(order).collect::<Vec<_>>().join(", ");
        let at_most = self.at_most.map_or(String::new(), |n| format!(", at most {n}"));
        format!("partition=[{partition}], order=[{order}]{at_most}")
    }

    pub(super) fn build(&self, run: &Run) -> Result<TopNOperator> {
        let partition = self.partition.iter().map(|e| physical(e, &self.input)).collect::<Result<Vec<_>>>()?;
        let order = self.order.iter().map(|o| physical(&o.expr, &self.input)).collect::<Result<Vec<_>>>()?;
        let types = |all: &[Arc<dyn PhysicalExpr>]| all.iter().map(|e| e.data_type(self.input.as_arrow())).collect::<Result<Vec<_>>>();
        let equal = KeyRows::try_new(&types(&partition)?)?;
        let options = |o: &OrderBy| SortOptions { descending: o.descending, nulls_first: o.nulls_first };
        let sorted = types(&order)?.into_iter().zip(&self.order).map(|(t, o)| SortField::new_with_options(t, options(o))).collect();
        Ok(TopNOperator {
            description: self.clone(),
            partition,
            order,
            equal,
            sorted: RowConverter::new(sorted)?,
            open: BTreeMap::new(),
            watermark_us: i64::MIN,
            counters: Arc::clone(&run.counters),
        })
    }
}

/// The rows of one window that has not closed.
#[derive(Default)]
struct Window {
    batches: Vec<RecordBatch>,
    n_rows: usize,
    /// How many were left when it was last cut down.
    n_cut: usize,
}

pub(super) struct TopNOperator {
    description: TopN,
    partition: Vec<Arc<dyn PhysicalExpr>>,
    order: Vec<Arc<dyn PhysicalExpr>>,
    equal: KeyRows,
    sorted: RowConverter,
    /// By the window's end, µs.
    open: BTreeMap<i64, Window>,
    watermark_us: i64,
    counters: Arc<JobCounters>,
}

/// A window with fewer rows than this is not worth cutting down.
const ROWS_KEPT: usize = 4_096;

impl TopNOperator {
    /// Rows in the order of their partitions, and in each of their numbers, no more than are asked for; and the numbers.
    fn numbered(&mut self, batches: &[RecordBatch]) -> Result<(RecordBatch, Vec<Vec<u64>>)> {
        let rows = concat_batches(self.description.input.inner(), batches)?;
        let values = |all: &[Arc<dyn PhysicalExpr>]| all.iter().map(|e| evaluate(e, &rows)).collect::<Result<Vec<ArrayRef>>>();
        let (partitions, orders) = (values(&self.partition)?, values(&self.order)?);
        let partitions = self.equal.convert_columns(&partitions)?;
        let orders = if orders.is_empty() { None } else { Some(self.sorted.convert_columns(&orders)?) };
        let order_of = |row: &u32| orders.as_ref().map(|o| o.row(*row as usize));
        let partition_of = |row: &u32| partitions.row(*row as usize);
        let mut sorted: Vec<u32> = (0..rows.num_rows() as u32).collect();
        // Rows that are equal stay in the order of their coming.
        sorted.sort_by(|a, b| partition_of(a).cmp(&partition_of(b)).then_with(|| order_of(a).cmp(&order_of(b))));
        let at_most = self.description.at_most.unwrap_or(u64::MAX);
        let mut numbers: Vec<Vec<u64>> = vec![Vec::new(); self.description.numberings.len()];
        let mut kept = Vec::new();
        let (mut before, mut row_number, mut rank, mut dense_rank) = (None::<u32>, 0, 0, 0);
        for row in sorted {
            let same_partition = before.is_some_and(|b| partition_of(&b) == partition_of(&row));
            if !same_partition {
                (row_number, rank, dense_rank) = (0, 0, 0);
            }
            row_number += 1;
            if !same_partition || before.is_none_or(|b| order_of(&b) != order_of(&row)) {
                rank = row_number;
                dense_rank += 1;
            }
            before = Some(row);
            let number = |numbering: &Numbering| match numbering {
                Numbering::RowNumber => row_number,
                Numbering::Rank => rank,
                Numbering::DenseRank => dense_rank,
            };
            if self.description.numberings.iter().any(|n| number(n) > at_most) {
                continue;
            }
            kept.push(row);
            for (column, numbering) in numbers.iter_mut().zip(&self.description.numberings) {
                column.push(number(numbering));
            }
        }
        Ok((take_record_batch(&rows, &UInt32Array::from(kept))?, numbers))
    }

    fn add(&mut self, end_us: i64, rows: RecordBatch) -> Result<()> {
        let window = self.open.entry(end_us).or_default();
        window.n_rows += rows.num_rows();
        window.batches.push(rows);
        // Cut down whenever it has doubled, so that a row's cost stays the same.
        if self.description.at_most.is_none() || window.n_rows < ROWS_KEPT.max(window.n_cut * 2) {
            return Ok(());
        }
        let batches = std::mem::take(&mut window.batches);
        let (rows, _) = self.numbered(&batches)?;
        let n_rows = rows.num_rows();
        self.open.insert(end_us, Window { batches: vec![rows], n_rows, n_cut: n_rows });
        Ok(())
    }

    fn fire(&mut self, window: Window, out: &mut Output) -> Result<()> {
        let (rows, numbers) = self.numbered(&window.batches)?;
        let mut columns = rows.columns().to_vec();
        let added = self.description.schema.fields().iter().skip(columns.len());
        for (field, numbers) in added.zip(numbers) {
            let numbers: ArrayRef = Arc::new(UInt64Array::from(numbers));
            columns.push(cast(&numbers, field.data_type())?);
        }
        self.counters.windows_fired.add(1);
        out.rows(RecordBatch::try_new(Arc::clone(&self.description.schema), columns)?);
        Ok(())
    }
}

impl Operator for TopNOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        let times = rows.column(self.description.window_key).as_primitive::<TimestampMicrosecondType>();
        self.counters.n_null_time.add(times.null_count() as u64);
        let (mut late, mut by_end) = (Vec::new(), BTreeMap::<i64, Vec<u32>>::new());
        for (row, time) in times.iter().enumerate() {
            match time.map(|us| us.saturating_add(self.description.to_end_us)) {
                Some(end_us) if end_us <= self.watermark_us => late.push(row as u32),
                Some(end_us) => by_end.entry(end_us).or_default().push(row as u32),
                None => {}
            }
        }
        if !late.is_empty() {
            late_rows(&self.counters, &self.description.sources, "TopN", times, self.watermark_us, &rows, late)?;
        }
        for (end_us, members) in by_end {
            let part = if members.len() == rows.num_rows() {
                rows.clone()
            } else {
                let members = UInt32Array::from(members);
                let columns = rows.columns().iter().map(|c| take(c, &members, None)).collect::<Result<Vec<_>, _>>()?;
                RecordBatch::try_new(rows.schema(), columns)?
            };
            self.add(end_us, part)?;
        }
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        self.watermark_us = us;
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
        for (end_us, window) in &self.open {
            state.tables.insert(format!("window {end_us}"), window.batches.clone());
        }
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watermark_us = state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN);
        for (name, batches) in state.tables {
            let Some(end_us) = name.strip_prefix("window ").and_then(|n| n.parse().ok()) else { continue };
            for rows in batches {
                self.add(end_us, rows)?;
            }
        }
        Ok(())
    }
}
