//! Joins a stream with what a table or view holds at the moment when its rows come.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{JoinType, internal_datafusion_err};
use datafusion::error::Result;
use framesql_udfs::frame::pixel_bytes;
use serde::{Deserialize, Serialize};

use super::Run;
use super::condition::{Condition, Key, Matcher, nullable, rows_at, side_by_side};
use super::map::{Map, MapOperator};
use super::operator::{Operator, Output};
use super::scan::Scan;
use crate::frame::source::Source;
use crate::plan::join::{of_left, of_right};

/// Pairs that are looked at in one go.
const PAIRS: usize = 8192;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lookup {
    /// What belongs together.
    pub condition: Condition,
    /// The table, read whole: once in a SELECT, else each time it has changed.
    pub table: Scan,
    /// What is made of its rows, the first step first.
    pub steps: Vec<Map>,
    /// Whether the table is the left side.
    pub table_left: bool,
    /// Whether rows of the stream stay that meet none, or are only asked whether they do.
    #[serde(with = "super::written")]
    pub join_type: JoinType,
    /// The columns that come out.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Lookup {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        format!("type={}, table={}, {}", self.join_type, self.table.source.name(), self.condition.detail())
    }

    pub(super) fn build(&self, run: &Run) -> Result<LookupOperator> {
        Ok(LookupOperator {
            matcher: self.condition.build()?,
            steps: self.steps.iter().map(|step| step.build(run)).collect::<Result<_>>()?,
            table: Table::default(),
            once: !run.continuous,
            description: self.clone(),
        })
    }

    fn sides(&self) -> (SchemaRef, SchemaRef) {
        let (left, right) = (Arc::clone(self.condition.left.inner()), Arc::clone(self.condition.right.inner()));
        if self.table_left { (right, left) } else { (left, right) }
    }
}

pub(super) struct LookupOperator {
    description: Lookup,
    matcher: Matcher,
    steps: Vec<MapOperator>,
    table: Table,
    /// Whether the table is read once, as a SELECT reads it; else each time it has changed.
    once: bool,
}

/// The table as it was last read.
#[derive(Default)]
struct Table {
    read: Option<Vec<RecordBatch>>,
    rows: Option<RecordBatch>,
    by_key: HashMap<Key, Vec<u32>>,
}

/// Whether two readings share their arrays: then nothing has changed.
fn unchanged(before: &[RecordBatch], now: &[RecordBatch]) -> bool {
    let same = |(a, b): (&RecordBatch, &RecordBatch)| {
        a.num_rows() == b.num_rows() && a.columns().iter().zip(b.columns()).all(|(a, b)| Arc::ptr_eq(a, b))
    };
    before.len() == now.len() && before.iter().zip(now).all(same)
}

impl LookupOperator {
    fn refresh(&mut self) -> Result<()> {
        let d = &self.description;
        if self.once && self.table.read.is_some() {
            return Ok(());
        }
        let source: &Arc<dyn Source> = &d.table.source;
        if let Some(failed) = source.failed().filter(|_| self.once) {
            return Err(failed.into());
        }
        let now = source.now().ok_or_else(|| internal_datafusion_err!("{} does not say what it holds", source.name()))?;
        if self.table.read.as_ref().is_some_and(|before| unchanged(before, &now)) {
            return Ok(());
        }
        let mut left = d.table.request.limit.unwrap_or(usize::MAX);
        let mut first = |rows: &RecordBatch| {
            let taken = rows.num_rows().min(left);
            left -= taken;
            rows.slice(0, taken).project(&d.table.request.projection)
        };
        let mut batches = now.iter().map(&mut first).collect::<Result<Vec<_>, _>>()?;
        for step in &mut self.steps {
            let mut made = Output::default();
            for rows in batches {
                step.rows(0, rows, &mut made)?;
            }
            batches = made.into_rows();
        }
        let (_, schema) = d.sides();
        let rows = concat_rows(&schema, &batches)?;
        let keys = self.matcher.keys(usize::from(!d.table_left), &rows)?;
        let mut by_key: HashMap<Key, Vec<u32>> = HashMap::new();
        for (row, key) in keys.into_iter().enumerate() {
            if let Some(key) = key {
                by_key.entry(key).or_default().push(row as u32);
            }
        }
        self.table = Table { read: Some(now), rows: Some(rows), by_key };
        Ok(())
    }

    /// The pairs that pass the filter, as numbers of the stream's rows and of the table's, in order.
    fn passing(&self, rows: &RecordBatch, table: &RecordBatch, pairs: &[(u32, u32)], found: &mut Vec<(u32, u32)>) -> Result<()> {
        let (stream, looked_up) = self.description.sides();
        for pairs in pairs.chunks(at_once(rows)) {
            let rows = rows_at(rows, &pairs.iter().map(|(s, _)| *s).collect(), &stream)?;
            let table = rows_at(table, &pairs.iter().map(|(_, t)| *t).collect(), &looked_up)?;
            let passing =
                if self.description.table_left { self.matcher.passing(&table, &rows)? } else { self.matcher.passing(&rows, &table)? };
            found.extend(pairs.iter().zip(passing.iter()).filter(|(_, passes)| *passes == Some(true)).map(|(pair, _)| *pair));
        }
        Ok(())
    }

    fn give(&self, rows: &RecordBatch, table: &RecordBatch, found: &[(u32, u32)], out: &mut Output) -> Result<()> {
        let (d, n) = (&self.description, rows.num_rows());
        let (stream, looked_up) = d.sides();
        let mut met = vec![false; n];
        for (row, _) in found {
            if let Some(met) = met.get_mut(*row as usize) {
                *met = true;
            }
        }
        if of_left(d.join_type) || of_right(d.join_type) {
            let mark = matches!(d.join_type, JoinType::LeftMark | JoinType::RightMark);
            let wanted = matches!(d.join_type, JoinType::LeftSemi | JoinType::RightSemi);
            let kept: UInt32Array = (0..n as u32).filter(|row| mark || met.get(*row as usize) == Some(&wanted)).collect();
            let mut columns = rows_at(rows, &kept, &stream)?.columns().to_vec();
            if mark {
                columns.push(Arc::new(BooleanArray::from(met)) as ArrayRef);
            }
            let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
            out.rows(RecordBatch::try_new_with_options(Arc::clone(&d.schema), columns, &options)?);
            return Ok(());
        }
        // Rows stay in their order, those that met none among the others.
        let outer = d.join_type != JoinType::Inner;
        let mut pairs: Vec<(u32, Option<u32>)> = found.iter().map(|(s, t)| (*s, Some(*t))).collect();
        if outer {
            pairs.extend((0..n as u32).filter(|row| met.get(*row as usize) == Some(&false)).map(|row| (row, None)));
            pairs.sort_by_key(|(row, _)| *row);
        }
        for pairs in pairs.chunks(at_once(rows)) {
            let rows = rows_at(rows, &pairs.iter().map(|(s, _)| *s).collect(), &stream)?;
            let table = rows_at(table, &pairs.iter().map(|(_, t)| *t).collect(), &nullable(&looked_up))?;
            let (left, right) = if d.table_left { (&table, &rows) } else { (&rows, &table) };
            out.rows(side_by_side(&d.schema, pairs.len(), Some(left), Some(right))?);
        }
        Ok(())
    }
}

/// How many pairs are made at once of these rows: where they have pixels as many as there are rows, so that what is made of the pairs is no more than what would be
/// made of the rows.
fn at_once(rows: &RecordBatch) -> usize {
    let pixels = rows.columns().iter().any(|column| pixel_bytes(column) > 0);
    if pixels { rows.num_rows().max(1) } else { PAIRS }
}

/// Batches as one, also of a table without columns.
fn concat_rows(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    if schema.fields().is_empty() {
        let n = batches.iter().map(RecordBatch::num_rows).sum();
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        return Ok(RecordBatch::try_new_with_options(Arc::clone(schema), Vec::new(), &options)?);
    }
    Ok(concat_batches(schema, batches)?)
}

impl Operator for LookupOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        self.refresh()?;
        let Some(table) = self.table.rows.clone() else { return Ok(()) };
        let keys = self.matcher.keys(usize::from(self.description.table_left), &rows)?;
        let (mut pairs, mut found) = (Vec::new(), Vec::new());
        for (row, key) in keys.iter().enumerate() {
            let partners = key.as_ref().and_then(|key| self.table.by_key.get(key));
            pairs.extend(partners.into_iter().flatten().map(|t| (row as u32, *t)));
            if pairs.len() >= PAIRS {
                self.passing(&rows, &table, &std::mem::take(&mut pairs), &mut found)?;
            }
        }
        self.passing(&rows, &table, &pairs, &mut found)?;
        self.give(&rows, &table, &found, out)
    }
}
