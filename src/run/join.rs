//! Joins two inputs whose rows meet only within a stretch of event time: each side's rows are kept until no partner can come any more.

use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::JoinType;
use datafusion::error::Result;
use framesql_udfs::interrupt;
use serde::{Deserialize, Serialize};

use super::Run;
use super::condition::{Condition, Matcher, side_by_side};
use super::kept::{Id, Kept, Taken};
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use crate::metrics::JobCounters;
use crate::plan::join::{Timed, of_left, of_right};

/// Pairs that are looked at in one go: what a join makes of one batch may be much more than the batch.
const PAIRS: usize = 8192;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Join {
    /// What belongs together.
    pub condition: Condition,
    /// How far apart in time it may be.
    pub timed: Timed,
    /// What is read on the left and on the right, for those who ask where a late row came from.
    pub sources: [String; 2],
    /// Which rows stay that met none, and which are only asked whether they did.
    #[serde(with = "super::written")]
    pub join_type: JoinType,
    /// The columns that come out.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Join {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let t = &self.timed;
        let apart = if t.at_close { ", at window close".to_owned() } else { format!(", apart={} to {} µs", t.lower_us, t.upper_us) };
        format!("type={}, {}{apart}", self.join_type, self.condition.detail())
    }

    pub(super) fn build(&self, run: &Run) -> Result<JoinOperator> {
        let kept = |schema: &SchemaRef| Kept::new(Arc::clone(schema), Arc::clone(&run.counters));
        let (left, right) = (kept(self.condition.left.inner()), kept(self.condition.right.inner()));
        Ok(JoinOperator {
            matcher: self.condition.build()?,
            description: self.clone(),
            kept: [left, right],
            watermark_us: i64::MIN,
            input_us: [i64::MIN; 2],
            counters: Arc::clone(&run.counters),
        })
    }
}

pub(super) struct JoinOperator {
    description: Join,
    matcher: Matcher,
    kept: [Kept; 2],
    watermark_us: i64,
    input_us: [i64; 2],
    counters: Arc<JobCounters>,
}

/// What becomes of a side's rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They stand in pairs only.
    Paired,
    /// They stand in pairs, or with NULLs.
    Outer,
    /// They are given if they met one (semi).
    IfMet,
    /// If they met none (anti).
    IfNot,
    /// With whether they did.
    Marked,
    /// They are never given.
    Asked,
}

pub(super) fn fate(join_type: JoinType, side: usize) -> Fate {
    let other_only = if side == 0 { of_right(join_type) } else { of_left(join_type) };
    match (join_type, side) {
        _ if other_only => Fate::Asked,
        (JoinType::Full, _) | (JoinType::Left, 0) | (JoinType::Right, 1) => Fate::Outer,
        (JoinType::LeftSemi, _) | (JoinType::RightSemi, _) => Fate::IfMet,
        (JoinType::LeftAnti, _) | (JoinType::RightAnti, _) => Fate::IfNot,
        (JoinType::LeftMark, _) | (JoinType::RightMark, _) => Fate::Marked,
        _ => Fate::Paired,
    }
}

/// Rows of one side as they stand in the answer without a partner, having met one or not; None if they do not.
pub(super) fn alone(schema: &SchemaRef, fate: Fate, side: usize, rows: &RecordBatch, met: bool) -> Result<Option<RecordBatch>> {
    let n = rows.num_rows();
    let given = match fate {
        _ if n == 0 => return Ok(None),
        Fate::Outer if !met && side == 0 => side_by_side(schema, n, Some(rows), None)?,
        Fate::Outer if !met => side_by_side(schema, n, None, Some(rows))?,
        Fate::IfMet if met => side_by_side(schema, n, Some(rows), None)?,
        Fate::IfNot if !met => side_by_side(schema, n, Some(rows), None)?,
        Fate::Marked => {
            let mark: ArrayRef = Arc::new(BooleanArray::from(vec![met; n]));
            RecordBatch::try_new(Arc::clone(schema), rows.columns().iter().cloned().chain([mark]).collect())?
        }
        _ => return Ok(None),
    };
    Ok(Some(given))
}

impl JoinOperator {
    fn side(&self, side: usize) -> &Kept {
        &self.kept[usize::from(side != 0)]
    }

    fn side_mut(&mut self, side: usize) -> &mut Kept {
        &mut self.kept[usize::from(side != 0)]
    }

    fn fate(&self, side: usize) -> Fate {
        fate(self.description.join_type, side)
    }

    /// The other side's times that a row of that time may meet, µs.
    fn partners(&self, side: usize, us: i64) -> RangeInclusive<i64> {
        let t = &self.description.timed;
        match side {
            0 => us.saturating_sub(t.upper_us)..=us.saturating_sub(t.lower_us),
            _ => us.saturating_add(t.lower_us)..=us.saturating_add(t.upper_us),
        }
    }

    /// What to add to a row's time to have the watermark at which all its partners have come, µs.
    fn finished_us(&self, side: usize) -> i64 {
        let t = &self.description.timed;
        match side {
            0 => t.right.complete_us.saturating_sub(t.lower_us),
            _ => t.left.complete_us.saturating_add(t.upper_us),
        }
    }

    /// Meets each row of `ids` with those of the other side that are there.
    fn meet(&mut self, side: usize, ids: &[Id], out: &mut Output) -> Result<()> {
        let mut pairs: Vec<(Id, Id)> = Vec::new();
        for id in ids {
            interrupt::check()?;
            let Some(key) = self.side(side).key(*id) else { continue };
            let times = self.partners(side, id.0);
            // Bounds that contradict each other are met by nothing.
            if times.is_empty() {
                continue;
            }
            let range = (*times.start(), 0)..=(*times.end(), u64::MAX);
            // One partner is enough for a row that is only asked whether it has one.
            let only_asked = !matches!(self.fate(1 - side), Fate::Paired | Fate::Outer | Fate::Asked);
            let partners = self.side(1 - side).of_key(key, range);
            let partners = partners.into_iter().filter(|p| !only_asked || !self.side(1 - side).matched(*p));
            pairs.extend(partners.map(|p| if side == 0 { (*id, p) } else { (p, *id) }));
            if pairs.len() >= PAIRS {
                self.settle(&std::mem::take(&mut pairs), out)?;
            }
        }
        self.settle(&pairs, out)
    }

    /// Gives those pairs that pass the filter, and the rows that met their first partner by it.
    fn settle(&mut self, pairs: &[(Id, Id)], out: &mut Output) -> Result<()> {
        for pairs in pairs.chunks(PAIRS) {
            interrupt::check()?;
            let (lefts, rights): (Vec<Id>, Vec<Id>) = pairs.iter().copied().unzip();
            let (left, right) = (self.side(0).gather(&lefts)?, self.side(1).gather(&rights)?);
            let passing = self.matcher.passing(&left, &right)?;
            let mut met: [Vec<Id>; 2] = Default::default();
            for ((l, r), _) in pairs.iter().zip(passing.iter()).filter(|(_, passes)| *passes == Some(true)) {
                for (side, (id, met)) in [*l, *r].into_iter().zip(&mut met).enumerate() {
                    if self.side_mut(side).set_matched(id) {
                        met.push(id);
                    }
                }
            }
            if matches!(self.fate(0), Fate::Paired | Fate::Outer) && passing.true_count() > 0 {
                let together = side_by_side(&self.description.schema, pairs.len(), Some(&left), Some(&right))?;
                out.rows(filter_record_batch(&together, &passing)?);
            }
            for (side, met) in met.iter().enumerate() {
                match self.fate(side) {
                    Fate::IfMet | Fate::Marked => self.give(side, self.side(side).gather(met)?, true, out)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Gives rows of one side without a partner beside them.
    fn give(&self, side: usize, rows: RecordBatch, met: bool, out: &mut Output) -> Result<()> {
        if let Some(rows) = alone(&self.description.schema, self.fate(side), side, &rows, met)? {
            out.rows(rows);
        }
        Ok(())
    }

    /// Gives those rows that met none, where they are given.
    fn unmet(&self, side: usize, ids: &[Id], out: &mut Output) -> Result<()> {
        if !matches!(self.fate(side), Fate::Outer | Fate::IfNot | Fate::Marked) {
            return Ok(());
        }
        let unmet: Vec<Id> = ids.iter().copied().filter(|id| !self.side(side).matched(*id)).collect();
        self.give(side, self.side(side).gather(&unmet)?, false, out)
    }

    /// Lets go of the rows up to that time, which have no partners to come.
    fn finish(&mut self, side: usize, until_us: i64, out: &mut Output) -> Result<()> {
        let ids = self.side(side).until(until_us);
        self.unmet(side, &ids, out)?;
        ids.into_iter().for_each(|id| self.side_mut(side).remove(id));
        Ok(())
    }

    /// Joins each window that closes with the watermark, the earliest first; each is a commit of its own.
    fn close(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let t = self.description.timed;
        let complete_us = t.left.complete_us.max(t.right.complete_us);
        while let Some(time) = self.kept.iter().filter_map(Kept::earliest_us).min() {
            let closed_us = time.saturating_add(complete_us);
            if closed_us > us {
                break;
            }
            let lefts = self.side(0).until(time);
            self.meet(0, &lefts, out)?;
            self.finish(0, time, out)?;
            self.finish(1, time, out)?;
            self.counters.windows_fired.add(1);
            out.watermark(closed_us);
        }
        Ok(())
    }

    /// The rows of a batch that are kept: its number, time and key; and those without a time, which meet nothing.
    fn take(&self, side: usize, rows: &RecordBatch) -> Result<(Taken, Vec<usize>)> {
        let t = &self.description.timed;
        let time = if side == 0 { t.left } else { t.right };
        let keys = self.matcher.keys(side, rows)?;
        let times = rows.column(time.column).as_primitive::<TimestampMicrosecondType>();
        let passed_us = self.watermark_us.max(self.input_us.get(side).copied().unwrap_or(i64::MIN));
        let (mut taken, mut timeless, mut late) = (Vec::with_capacity(rows.num_rows()), Vec::new(), Vec::new());
        for (row, (us, key)) in times.iter().zip(keys).enumerate() {
            match us {
                None => timeless.push(row),
                // Late: its partners may be gone.
                Some(us) if us.saturating_add(time.complete_us) <= passed_us => late.push(row as u32),
                Some(us) => taken.push((row, us, key)),
            }
        }
        let sources = self.description.sources.get(side).map_or("", String::as_str);
        late_rows(&self.counters, sources, "TimedJoin", times, passed_us, rows, late)?;
        Ok((taken, timeless))
    }
}

impl Operator for JoinOperator {
    fn rows(&mut self, input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let (taken, timeless) = self.take(input, &rows)?;
        self.counters.rows_in.add(rows.num_rows() as u64);
        self.counters.n_null_time.add(timeless.len() as u64);
        if !timeless.is_empty() && matches!(self.fate(input), Fate::Outer | Fate::IfNot | Fate::Marked) {
            let timeless: BooleanArray = (0..rows.num_rows()).map(|row| Some(timeless.binary_search(&row).is_ok())).collect();
            self.give(input, filter_record_batch(&rows, &timeless)?, false, out)?;
        }
        let ids = self.side_mut(input).insert(&rows, taken);
        if !self.description.timed.at_close {
            self.meet(input, &ids, out)?;
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
        if self.description.timed.at_close {
            self.close(us, out)?;
        } else {
            for side in 0..2 {
                // At the end of time all is finished, whatever is added.
                self.finish(side, if us == i64::MAX { us } else { us.saturating_sub(self.finished_us(side)) }, out)?;
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
        for (side, name) in NAMES.iter().enumerate() {
            state.numbers.insert(format!("{name}_us"), self.input_us[side]);
            state.tables.insert((*name).to_owned(), self.side(side).snapshot()?);
        }
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        let number = |name: &str| state.numbers.get(name).copied().unwrap_or(i64::MIN);
        let (left_us, right_us, watermark_us) = (number("left_us"), number("right_us"), number("watermark_us"));
        for (side, name) in NAMES.iter().enumerate() {
            let Some([rows, met]) = state.tables.get(*name).map(Vec::as_slice) else { continue };
            // None of them was late when it came.
            let (taken, _) = self.take(side, rows)?;
            let ids = self.side_mut(side).insert(rows, taken);
            self.side_mut(side).restore_met(&ids, met);
        }
        (self.input_us, self.watermark_us) = ([left_us, right_us], watermark_us);
        Ok(())
    }
}

/// The sides, as a snapshot names them.
const NAMES: [&str; 2] = ["left", "right"];
