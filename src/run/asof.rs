//! Joins each left row with the nearest version of its key on the right: it waits until the watermark says that no nearer one comes.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Int64Type, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::condition::{Condition, Key, Matcher, nullable, rows_at, side_by_side};
use super::expression::{evaluate, physical};
use super::kept::{Id, Kept, Taken};
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use crate::event::END_OF_TIME_US;
use crate::metrics::JobCounters;

/// Rows that are given in one go.
const ROWS: usize = 8192;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asof {
    /// The keys whose versions the right side has.
    pub condition: Condition,
    /// The time of a left row.
    #[serde(with = "super::written")]
    pub left_time: Expr,
    /// The time at which a version begins.
    #[serde(with = "super::written")]
    pub right_time: Expr,
    /// What is read on the left and on the right, for those who ask where a late row came from.
    pub sources: [String; 2],
    /// Whether the nearest is looked for ahead of the left row, else before it.
    pub ahead: bool,
    /// Whether a version at the very time counts.
    pub or_equal: bool,
    /// Every left row with a time `t` has come when the watermark is at `t` and this, µs.
    pub left_complete_us: i64,
    /// Every right row, too.
    pub right_complete_us: i64,
    /// Whether left rows stay that meet none.
    pub keep_unmatched: bool,
    /// The left columns, then the right ones.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Asof {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let op = ["<", "<=", ">", ">="][usize::from(!self.ahead) * 2 + usize::from(self.or_equal)];
        let outer = if self.keep_unmatched { "Left" } else { "Inner" };
        format!("type={outer}, {}, {} {op} {}", self.condition.detail(), self.left_time, self.right_time)
    }

    pub(super) fn build(&self, run: &Run) -> Result<AsofOperator> {
        let (left, right) = (&self.condition.left, &self.condition.right);
        let kept = |schema: &SchemaRef| Kept::new(Arc::clone(schema), Arc::clone(&run.counters));
        Ok(AsofOperator {
            matcher: self.condition.build()?,
            times: [physical(&self.left_time, left)?, physical(&self.right_time, right)?],
            order: RowConverter::new(right.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect())?,
            kept: [kept(left.inner()), kept(right.inner())],
            recent: BTreeSet::new(),
            continuous: run.continuous,
            watermark_us: i64::MIN,
            input_us: [i64::MIN; 2],
            counters: Arc::clone(&run.counters),
            description: self.clone(),
        })
    }
}

pub(super) struct AsofOperator {
    description: Asof,
    matcher: Matcher,
    times: [Arc<dyn PhysicalExpr>; 2],
    /// Of several versions at one time the greatest counts, so that the answer does not depend on who came first.
    order: RowConverter,
    /// The left rows that wait, and the versions.
    kept: [Kept; 2],
    /// The versions that have not replaced earlier ones for good.
    recent: BTreeSet<Id>,
    /// A SELECT sees all rows before it answers: none is late.
    continuous: bool,
    watermark_us: i64,
    input_us: [i64; 2],
    counters: Arc<JobCounters>,
}

impl AsofOperator {
    /// The rows of a batch that are kept, and the numbers of those that meet nothing: without a time or a key.
    fn take(&self, side: usize, rows: &RecordBatch) -> Result<(Taken, Vec<u32>)> {
        let side = usize::from(side != 0);
        let keys = self.matcher.keys(side, rows)?;
        let times = cast(&evaluate(&self.times[side], rows)?, &DataType::Int64)?;
        let complete_us = [self.description.left_complete_us, self.description.right_complete_us][side];
        let passed_us = self.watermark_us.max(self.input_us[side]);
        let (mut taken, mut unmet, mut late) = (Vec::with_capacity(rows.num_rows()), Vec::new(), Vec::new());
        for (row, (time, key)) in times.as_primitive::<Int64Type>().iter().zip(keys).enumerate() {
            match (time, key) {
                (Some(time), Some(_)) if self.continuous && time.saturating_add(complete_us) <= passed_us => late.push(row as u32),
                (Some(time), Some(key)) => taken.push((row, time, Some(key))),
                _ => unmet.push(row as u32),
            }
        }
        if !late.is_empty() {
            // Only a SELECT has times that are whole numbers, and no row of it is late.
            let times = times.as_primitive::<Int64Type>().reinterpret_cast::<TimestampMicrosecondType>();
            late_rows(&self.counters, &self.description.sources[side], "AsofJoin", &times, passed_us, rows, late)?;
        }
        Ok((taken, unmet))
    }

    /// The nearest version of a key.
    fn nearest(&self, key: &Key, time: i64) -> Result<Option<Id>> {
        let [_, versions] = &self.kept;
        let nearest = match (self.description.ahead, self.description.or_equal) {
            (false, true) => versions.last_of_key(key, ..=(time, u64::MAX)),
            (false, false) => versions.last_of_key(key, ..(time, 0)),
            (true, true) => versions.first_of_key(key, (time, 0)..),
            (true, false) => versions.first_of_key(key, (Bound::Excluded((time, u64::MAX)), Bound::Unbounded)),
        };
        let Some((at, _)) = nearest else { return Ok(None) };
        let equally_near = versions.of_key(key, (at, 0)..=(at, u64::MAX));
        if equally_near.len() < 2 {
            return Ok(equally_near.first().copied());
        }
        let rows = self.order.convert_columns(versions.gather(&equally_near)?.columns())?;
        Ok(rows.iter().zip(equally_near).max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, id)| id))
    }

    /// Gives the left rows up to that time with their versions.
    fn give_until(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let ids = self.kept[0].until(us);
        for ids in ids.chunks(ROWS) {
            let rows = self.kept[0].gather(ids)?;
            let nearest = ids.iter().map(|id| match self.kept[0].key(*id) {
                Some(key) => self.nearest(key, id.0),
                None => Ok(None),
            });
            let nearest = nearest.collect::<Result<Vec<Option<Id>>>>()?;
            self.give(&rows, &nearest, out)?;
            ids.iter().for_each(|id| self.kept[0].remove(*id));
        }
        Ok(())
    }

    fn give(&self, rows: &RecordBatch, nearest: &[Option<Id>], out: &mut Output) -> Result<()> {
        let found: Vec<Id> = nearest.iter().flatten().copied().collect();
        let mut next = 0;
        let place = |id: &Option<Id>| {
            id.map(|_| {
                next += 1;
                next - 1
            })
        };
        let places: UInt32Array = nearest.iter().map(place).collect();
        let versions = rows_at(&self.kept[1].gather(&found)?, &places, &nullable(self.description.condition.right.inner()))?;
        let met: BooleanArray = nearest.iter().map(|id| Some(id.is_some())).collect();
        if self.description.keep_unmatched {
            out.rows(side_by_side(&self.description.schema, rows.num_rows(), Some(rows), Some(&versions))?);
        } else {
            let (rows, versions) = (filter_record_batch(rows, &met)?, filter_record_batch(&versions, &met)?);
            out.rows(side_by_side(&self.description.schema, rows.num_rows(), Some(&rows), Some(&versions))?);
        }
        Ok(())
    }

    /// Lets go of versions that a newer one has replaced for every left row that can still come.
    fn prune(&mut self, us: i64) {
        while let Some(id) = self.recent.first().copied().filter(|id| id.0 <= us) {
            self.recent.remove(&id);
            let [_, versions] = &mut self.kept;
            let Some(key) = versions.key(id).cloned() else { continue };
            versions.of_key(&key, ..(id.0, 0)).into_iter().for_each(|replaced| versions.remove(replaced));
        }
    }
}

impl Operator for AsofOperator {
    fn rows(&mut self, input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let (taken, unmet) = self.take(input, &rows)?;
        self.counters.rows_in.add(rows.num_rows() as u64);
        if input == 0 {
            if self.description.keep_unmatched && !unmet.is_empty() {
                let schema = Arc::clone(self.description.condition.left.inner());
                let none = vec![None; unmet.len()];
                self.give(&rows_at(&rows, &UInt32Array::from(unmet), &schema)?, &none, out)?;
            }
            self.kept[0].insert(&rows, taken);
        } else {
            let ids = self.kept[1].insert(&rows, taken);
            if self.continuous {
                self.recent.extend(ids);
            }
        }
        Ok(())
    }

    fn input_watermark(&mut self, input: usize, us: i64) {
        if let Some(input_us) = self.input_us.get_mut(input) {
            *input_us = us.max(*input_us);
        }
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        self.watermark_us = us.max(self.watermark_us);
        let d = &self.description;
        if us == END_OF_TIME_US {
            self.give_until(us, out)?;
        } else if self.continuous {
            // Left rows that wait, or still come, are after this.
            let settled_us = us.saturating_sub(d.left_complete_us.max(d.right_complete_us));
            let or_equal = i64::from(d.or_equal);
            self.give_until(us.saturating_sub(d.right_complete_us), out)?;
            self.prune(settled_us.saturating_add(or_equal));
        }
        out.watermark(us);
        Ok(())
    }

    fn keeps_pace(&self) -> bool {
        self.continuous
    }

    fn snapshot(&mut self) -> Result<State> {
        let [left, right] = &self.kept;
        Ok(State {
            numbers: [
                ("watermark_us".to_owned(), self.watermark_us),
                ("left_us".to_owned(), self.input_us[0]),
                ("right_us".to_owned(), self.input_us[1]),
            ]
            .into(),
            tables: [("left".to_owned(), left.snapshot()?), ("right".to_owned(), right.snapshot()?)].into(),
        })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for (side, name) in ["left", "right"].into_iter().enumerate() {
            let Some(rows) = state.tables.get(name).and_then(|tables| tables.first()) else { continue };
            // None of them was late when it came.
            let (taken, _) = self.take(side, rows)?;
            let ids = self.kept[side].insert(rows, taken);
            if side == 1 {
                self.recent.extend(ids);
            }
        }
        let number = |name: &str| state.numbers.get(name).copied().unwrap_or(i64::MIN);
        (self.input_us, self.watermark_us) = ([number("left_us"), number("right_us")], number("watermark_us"));
        Ok(())
    }
}
