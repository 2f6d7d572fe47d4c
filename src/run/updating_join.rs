//! Joins without a bound in time: rows are kept for the state TTL, and what was said of a row that had met none is taken back when it meets one.
//!
//! Where a side takes rows back itself, so are the pairs that they made. A row that is forgotten makes no more pairs, and those that it made stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{JoinType, internal_err};
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::Run;
use super::condition::{Condition, Key, Matcher, side_by_side};
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
    /// Whether rows of the left and of the right side are taken back.
    pub retracted: [bool; 2],
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
        let (left, right) = (self.condition.left.inner(), self.condition.right.inner());
        let values = |side: usize, schema: &SchemaRef| self.retracted[side].then(|| Values::try_new(schema)).transpose();
        Ok(UpdatingJoinOperator {
            matcher: self.condition.build()?,
            kept: [kept(left), kept(right)],
            values: [values(0, left)?, values(1, right)?],
            description: self.clone(),
            watermark_us: i64::MIN,
            first_us: i64::MIN,
            counters: Arc::clone(&run.counters),
        })
    }
}

/// The kept rows of a side that takes rows back, by their values.
struct Values {
    converter: RowConverter,
    ids: HashMap<Key, BTreeSet<Id>>,
    of: HashMap<Id, Key>,
}

impl Values {
    fn try_new(schema: &SchemaRef) -> Result<Values> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(Values { converter: RowConverter::new(fields)?, ids: HashMap::new(), of: HashMap::new() })
    }

    fn keys(&self, rows: &RecordBatch) -> Result<Vec<Key>> {
        if rows.num_columns() == 0 {
            return Ok(vec![Arc::from([].as_slice()); rows.num_rows()]);
        }
        Ok(self.converter.convert_columns(rows.columns())?.iter().map(|row| Key::from(row.data())).collect())
    }

    fn insert(&mut self, rows: &RecordBatch, ids: &[Id]) -> Result<()> {
        for (key, id) in self.keys(rows)?.into_iter().zip(ids) {
            self.ids.entry(Arc::clone(&key)).or_default().insert(*id);
            self.of.insert(*id, key);
        }
        Ok(())
    }

    fn remove(&mut self, id: Id) {
        let Some(key) = self.of.remove(&id) else { return };
        if let Some(ids) = self.ids.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.ids.remove(&key);
            }
        }
    }

    /// One kept row for each of those given: of equal rows the one that came last. None for a row that is forgotten.
    fn find(&self, rows: &RecordBatch) -> Result<Vec<Id>> {
        let mut found = BTreeSet::new();
        for key in self.keys(rows)? {
            found.extend(self.ids.get(&key).and_then(|ids| ids.iter().rev().find(|id| !found.contains(*id)).copied()));
        }
        Ok(found.into_iter().collect())
    }
}

pub(super) struct UpdatingJoinOperator {
    description: UpdatingJoin,
    matcher: Matcher,
    /// The rows of both sides, each with the watermark at which it came as its time.
    kept: [Kept; 2],
    /// Where a side takes rows back, its rows by their values.
    values: [Option<Values>; 2],
    watermark_us: i64,
    /// The first watermark: rows that came before it have waited since then.
    first_us: i64,
    counters: Arc<JobCounters>,
}

/// What one event changes.
#[derive(Default)]
struct Change {
    gone: Vec<RecordBatch>,
    come: Vec<RecordBatch>,
    /// The rows of the other side that met or lost one, and whether each had met any before the event.
    touched: BTreeMap<Id, bool>,
}

impl UpdatingJoinOperator {
    fn fate(&self, side: usize) -> Fate {
        fate(self.description.join_type, side)
    }

    fn alone(&self, side: usize, ids: &[Id], met: bool) -> Result<Option<RecordBatch>> {
        let rows = self.kept[usize::from(side != 0)].gather(ids)?;
        alone(&self.description.schema, self.fate(side), side, &rows, met)
    }

    /// What rows say that stand alone: those that have met, and those that have not.
    fn each_alone(&self, side: usize, ids: Vec<Id>) -> Result<Vec<RecordBatch>> {
        let (met, unmet): (Vec<Id>, Vec<Id>) = ids.into_iter().partition(|id| self.kept[side].matched(*id));
        Ok(self.alone(side, &met, true)?.into_iter().chain(self.alone(side, &unmet, false)?).collect())
    }

    /// The pairs that rows of one side make with those of the other come, or go.
    fn pairs(&mut self, side: usize, ids: &[Id], come: bool, change: &mut Change) -> Result<()> {
        let other = usize::from(side == 0);
        let mut pairs: Vec<(Id, Id)> = Vec::new();
        for id in ids {
            let Some(key) = self.kept[1 - other].key(*id) else { continue };
            let partners = self.kept[other].of_key(key, ..).into_iter();
            pairs.extend(partners.map(|p| if side == 0 { (*id, p) } else { (p, *id) }));
            if pairs.len() >= PAIRS {
                self.settle(other, &std::mem::take(&mut pairs), come, change)?;
            }
        }
        self.settle(other, &pairs, come, change)
    }

    fn settle(&mut self, other: usize, pairs: &[(Id, Id)], come: bool, change: &mut Change) -> Result<()> {
        for pairs in pairs.chunks(PAIRS) {
            let (lefts, rights): (Vec<Id>, Vec<Id>) = pairs.iter().copied().unzip();
            let (left, right) = (self.kept[0].gather(&lefts)?, self.kept[1].gather(&rights)?);
            let passing: BooleanArray = self.matcher.passing(&left, &right)?;
            for ((l, r), _) in pairs.iter().zip(passing.iter()).filter(|(_, passes)| *passes == Some(true)) {
                let partner = if other == 0 { *l } else { *r };
                let before = self.kept[other].matched(partner);
                change.touched.entry(partner).or_insert(before);
                for (side, id) in [*l, *r].into_iter().enumerate() {
                    if come {
                        self.kept[side].set_matched(id);
                    } else {
                        self.kept[side].part(id);
                    }
                }
            }
            if matches!(self.fate(0), Fate::Paired | Fate::Outer) && passing.true_count() > 0 {
                let together =
                    filter_record_batch(&side_by_side(&self.description.schema, pairs.len(), Some(&left), Some(&right))?, &passing)?;
                if come { change.come.push(together) } else { change.gone.push(together) }
            }
        }
        Ok(())
    }

    /// What the partners say that have met their first, or lost their last, by all that the event changed.
    fn partners(&self, other: usize, change: &mut Change) -> Result<()> {
        let turned = std::mem::take(&mut change.touched).into_iter().filter(|(id, before)| self.kept[other].matched(*id) != *before);
        let (lost, met): (Vec<_>, Vec<_>) = turned.partition(|(_, before)| *before);
        for (ids, before) in [(met, false), (lost, true)] {
            let ids: Vec<Id> = ids.into_iter().map(|(id, _)| id).collect();
            change.gone.extend(self.alone(other, &ids, before)?);
            change.come.extend(self.alone(other, &ids, !before)?);
        }
        Ok(())
    }

    /// The rows of a batch, each with its key.
    fn take(&self, side: usize, rows: &RecordBatch, at_us: impl Fn(usize) -> i64) -> Result<Taken> {
        let keys = self.matcher.keys(side, rows)?;
        Ok(keys.into_iter().enumerate().map(|(row, key)| (row, at_us(row), key)).collect())
    }

    fn keep(&mut self, side: usize, rows: &RecordBatch, at_us: impl Fn(usize) -> i64) -> Result<Vec<Id>> {
        let taken = self.take(side, rows, at_us)?;
        let ids = self.kept[side].insert(rows, taken);
        if let Some(values) = &mut self.values[side] {
            values.insert(rows, &ids)?;
        }
        Ok(ids)
    }

    fn remove(&mut self, side: usize, id: Id) {
        self.kept[side].remove(id);
        if let Some(values) = &mut self.values[side] {
            values.remove(id);
        }
    }
}

impl Operator for UpdatingJoinOperator {
    fn rows(&mut self, input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let none = RecordBatch::new_empty(rows.schema());
        self.changes(input, none, rows, out)
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let side = usize::from(input != 0);
        self.counters.rows_in.add(come.num_rows() as u64);
        let mut change = Change::default();
        if gone.num_rows() > 0 {
            let Some(values) = &self.values[side] else { return internal_err!("rows taken back from a side of a join that only grows") };
            let ids = values.find(&gone)?;
            change.gone.extend(self.each_alone(side, ids.clone())?);
            self.pairs(side, &ids, false, &mut change)?;
            ids.into_iter().for_each(|id| self.remove(side, id));
        }
        let now_us = self.watermark_us;
        let ids = self.keep(side, &come, |_| now_us)?;
        self.pairs(side, &ids, true, &mut change)?;
        change.come.extend(self.each_alone(side, ids)?);
        self.partners(1 - side, &mut change)?;
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
        for side in 0..2 {
            for id in self.kept[side].until(forgotten_us) {
                if id.0 > i64::MIN || forgotten_us >= self.first_us {
                    self.remove(side, id);
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
            let Some([rows, met, times]) = state.tables.get(*name).map(Vec::as_slice) else { continue };
            let times = Kept::times_of(times);
            let ids = self.keep(side, rows, |row| times.get(row).copied().unwrap_or(i64::MIN))?;
            self.kept[side].restore_met(&ids, met);
        }
        Ok(())
    }
}
