//! Joins without a bound in time: rows are kept for the state TTL, and what was said of a row that had met none is taken back when it meets one.

use std::sync::Arc;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::JoinType;
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::Run;
use super::condition::{Condition, Matcher, side_by_side};
use super::join::{Fate, alone, fate};
use super::kept::{Id, Kept, Taken};
use super::operator::{Operator, Output, State};
use crate::event::END_OF_TIME_US;
use crate::metrics::JobCounters;

/// Pairs that are looked at in one go.
const PAIRS: usize = 8192;
/// The sides, as a snapshot names them.
const NAMES: [&str; 2] = ["left", "right"];

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdatingJoin {
    /// What belongs together.
    pub condition: Condition,
    /// How long after a row came it may still meet others, in event time, µs.
    pub state_ttl_us: i64,
    /// Which rows stay that met none, and which are only asked whether they did.
    #[serde(with = "super::written")]
    pub join_type: JoinType,
    /// The columns that come out.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl UpdatingJoin {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        format!("type={}, {}, state_ttl={} ms", self.join_type, self.condition.detail(), self.state_ttl_us as f64 / 1e3)
    }

    pub(super) fn build(&self, run: &Run) -> Result<UpdatingJoinOperator> {
        let kept = |schema: &SchemaRef| Kept::new(Arc::clone(schema), Arc::clone(&run.counters));
        Ok(UpdatingJoinOperator {
            matcher: self.condition.build()?,
            kept: [kept(self.condition.left.inner()), kept(self.condition.right.inner())],
            description: self.clone(),
            watermark_us: i64::MIN,
            first_us: i64::MIN,
            counters: Arc::clone(&run.counters),
        })
    }
}

pub(super) struct UpdatingJoinOperator {
    description: UpdatingJoin,
    matcher: Matcher,
    /// The rows of both sides, each with the watermark at which it came as its time.
    kept: [Kept; 2],
    watermark_us: i64,
    /// The first watermark: rows that came before it have waited since then.
    first_us: i64,
    counters: Arc<JobCounters>,
}

/// What one batch changes.
#[derive(Default)]
struct Change {
    gone: Vec<RecordBatch>,
    come: Vec<RecordBatch>,
}

impl UpdatingJoinOperator {
    fn fate(&self, side: usize) -> Fate {
        fate(self.description.join_type, side)
    }

    fn alone(&self, side: usize, ids: &[Id], met: bool) -> Result<Option<RecordBatch>> {
        let rows = self.kept[usize::from(side != 0)].gather(ids)?;
        alone(&self.description.schema, self.fate(side), side, &rows, met)
    }

    /// The pairs that new rows of one side make with those of the other, and the rows of the other that meet their first by it.
    fn meet(&mut self, side: usize, ids: &[Id], change: &mut Change) -> Result<()> {
        let other = usize::from(side == 0);
        let mut pairs: Vec<(Id, Id)> = Vec::new();
        let mut met = Vec::new();
        for id in ids {
            let Some(key) = self.kept[1 - other].key(*id) else { continue };
            let partners = self.kept[other].of_key(key, ..).into_iter();
            pairs.extend(partners.map(|p| if side == 0 { (*id, p) } else { (p, *id) }));
            if pairs.len() >= PAIRS {
                self.settle(other, &std::mem::take(&mut pairs), &mut met, change)?;
            }
        }
        self.settle(other, &pairs, &mut met, change)?;
        change.gone.extend(self.alone(other, &met, false)?);
        change.come.extend(self.alone(other, &met, true)?);
        Ok(())
    }

    fn settle(&mut self, other: usize, pairs: &[(Id, Id)], met: &mut Vec<Id>, change: &mut Change) -> Result<()> {
        for pairs in pairs.chunks(PAIRS) {
            let (lefts, rights): (Vec<Id>, Vec<Id>) = pairs.iter().copied().unzip();
            let (left, right) = (self.kept[0].gather(&lefts)?, self.kept[1].gather(&rights)?);
            let passing: BooleanArray = self.matcher.passing(&left, &right)?;
            for ((l, r), _) in pairs.iter().zip(passing.iter()).filter(|(_, passes)| *passes == Some(true)) {
                let (first_left, first_right) = (self.kept[0].set_matched(*l), self.kept[1].set_matched(*r));
                match other {
                    0 if first_left => met.push(*l),
                    1 if first_right => met.push(*r),
                    _ => {}
                }
            }
            if matches!(self.fate(0), Fate::Paired | Fate::Outer) && passing.true_count() > 0 {
                let together = side_by_side(&self.description.schema, pairs.len(), Some(&left), Some(&right))?;
                change.come.push(filter_record_batch(&together, &passing)?);
            }
        }
        Ok(())
    }

    /// The rows of a batch, each with its key.
    fn take(&self, side: usize, rows: &RecordBatch, at_us: impl Fn(usize) -> i64) -> Result<Taken> {
        let keys = self.matcher.keys(side, rows)?;
        Ok(keys.into_iter().enumerate().map(|(row, key)| (row, at_us(row), key)).collect())
    }
}

impl Operator for UpdatingJoinOperator {
    fn rows(&mut self, input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let side = usize::from(input != 0);
        self.counters.rows_in.add(rows.num_rows() as u64);
        let now_us = self.watermark_us;
        let taken = self.take(side, &rows, |_| now_us)?;
        let ids = self.kept[side].insert(&rows, taken);
        let mut change = Change::default();
        self.meet(side, &ids, &mut change)?;
        let (met, unmet): (Vec<Id>, Vec<Id>) = ids.into_iter().partition(|id| self.kept[side].matched(*id));
        change.come.extend(self.alone(side, &met, true)?);
        change.come.extend(self.alone(side, &unmet, false)?);
        let schema = &self.description.schema;
        out.changes(concat_batches(schema, &change.gone)?, concat_batches(schema, &change.come)?);
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        if self.first_us == i64::MIN {
            self.first_us = us;
        }
        self.watermark_us = us.max(self.watermark_us);
        let forgotten_us = if us == END_OF_TIME_US { us } else { us.saturating_sub(self.description.state_ttl_us) };
        for kept in &mut self.kept {
            for id in kept.until(forgotten_us) {
                if id.0 > i64::MIN || forgotten_us >= self.first_us {
                    kept.remove(id);
                }
            }
        }
        out.watermark(us);
        Ok(())
    }

    fn keeps_pace(&self) -> bool {
        true
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("watermark_us".into(), self.watermark_us);
        state.numbers.insert("first_us".into(), self.first_us);
        for (name, kept) in NAMES.iter().zip(&self.kept) {
            let mut tables = kept.snapshot()?;
            tables.push(kept.times()?);
            state.tables.insert((*name).to_owned(), tables);
        }
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        let number = |name: &str| state.numbers.get(name).copied().unwrap_or(i64::MIN);
        (self.watermark_us, self.first_us) = (number("watermark_us"), number("first_us"));
        for (side, name) in NAMES.iter().enumerate() {
            let Some([rows, matched, times]) = state.tables.get(*name).map(Vec::as_slice) else { continue };
            let times = Kept::times_of(times);
            let taken = self.take(side, rows, |row| times.get(row).copied().unwrap_or(i64::MIN))?;
            let ids = self.kept[side].insert(rows, taken);
            self.kept[side].restore_matched(&ids, matched);
        }
        Ok(())
    }
}
