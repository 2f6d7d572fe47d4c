//! Puts rows into sessions: a row joins the session of its key whose last row is less than a gap away; a session is given when it is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use datafusion::arrow::compute::{interleave_record_batch, take};
use datafusion::arrow::datatypes::{Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use serde::{Deserialize, Serialize};

use super::Run;
use super::assign::window_columns;
use super::groups::take_keys;
use super::keys::same;
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use crate::event::END_OF_TIME_US;
use crate::metrics::JobCounters;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The time column, as an index of the input.
    pub time: usize,
    /// The columns that a session's rows have in common, as indices of the input.
    pub keys: Vec<usize>,
    /// A row at this distance from the last, or more, opens a session of its own, µs.
    pub gap_us: i64,
    /// How far behind the watermark the time may still come, µs.
    pub lag_us: i64,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The input's columns and the three of the window.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Session {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let name = |at: &usize| self.schema.field(*at).name().as_str();
        let keys: Vec<&str> = self.keys.iter().map(name).collect();
        format!("time={}, gap={} ms, keys=[{}]", name(&self.time), self.gap_us / 1_000, keys.join(", "))
    }

    pub(super) fn build(&self, run: &Run) -> Result<SessionOperator> {
        let n_input = self.schema.fields().len().saturating_sub(3);
        Ok(SessionOperator {
            input: Arc::new(self.schema.project(&(0..n_input).collect::<Vec<_>>())?),
            key_schema: Arc::new(self.schema.project(&self.keys)?),
            description: self.clone(),
            continuous: run.continuous,
            watermark_us: i64::MIN,
            counters: Arc::clone(&run.counters),
            keys: None,
            open: Vec::new(),
            wakes: BinaryHeap::new(),
            batches: Vec::new(),
            n_stored: 0,
            n_open_rows: 0,
            scratch: Vec::new(),
        })
    }
}

/// A row by its batch and its place there; in order they are in the order of their coming.
pub(super) type Place = (u32, u32);

/// A session that is not over.
struct Open {
    last_us: i64,
    rows: Vec<Place>,
    /// The numbers under which an aggregate has taken rows of it over; those are not among `rows` any more.
    folded: Vec<i64>,
}

/// The open sessions of one key, by their first time; each is a gap or more from the next.
struct OfKey {
    sessions: BTreeMap<i64, Open>,
    /// When it is looked at next, µs.
    wake_us: i64,
}

/// A session that is over.
pub(super) struct Closed {
    pub(super) start_us: i64,
    pub(super) end_us: i64,
    pub(super) rows: Vec<Place>,
    pub(super) folded: Vec<i64>,
}

pub(super) struct SessionOperator {
    description: Session,
    input: SchemaRef,
    key_schema: SchemaRef,
    /// A SELECT sees all rows before it answers: none is late.
    continuous: bool,
    watermark_us: i64,
    counters: Arc<JobCounters>,
    /// The number of each key; None as long as no row came, and for good where there are no keys.
    keys: Option<Box<dyn GroupValues>>,
    /// By the number of their key.
    open: Vec<OfKey>,
    /// When each key is looked at next: the time, the key's number.
    wakes: BinaryHeap<Reverse<(i64, usize)>>,
    /// The batches that rows of open sessions are in.
    batches: Vec<RecordBatch>,
    n_stored: usize,
    n_open_rows: usize,
    /// The key of each row of the batch at hand.
    scratch: Vec<usize>,
}

/// Rows of one batch that goes out.
const ROWS_OUT: usize = 65_536;
/// Fewer rows than this are not worth the work of throwing away those of sessions that are over.
const ROWS_KEPT: usize = 8_192;

impl SessionOperator {
    /// Takes a batch in; with `drop_late`, without the rows whose sessions are over already.
    fn insert(&mut self, rows: &RecordBatch, drop_late: bool) -> Result<Vec<u32>> {
        let times = rows.column(self.description.time).as_primitive::<TimestampMicrosecondType>();
        self.number_keys(rows)?;
        let batch = self.batches.len() as u32;
        let (gap_us, before) = (self.description.gap_us, self.n_open_rows);
        let mut late = Vec::new();
        for (row, (time, key)) in times.iter().zip(&self.scratch).enumerate() {
            let (Some(time), Some(of_key)) = (time, self.open.get_mut(*key)) else { continue };
            let (end_us, place) = (time.saturating_add(gap_us), (batch, row as u32));
            // Sessions of a key lie a gap apart, so only the one before and the one behind can be near enough.
            let earlier = of_key.sessions.range_mut(..=time).next_back();
            let joins_earlier = earlier.filter(|(_, open)| time < open.last_us.saturating_add(gap_us)).map(|(first, open)| {
                let last_us = open.last_us;
                open.last_us = last_us.max(time);
                open.rows.push(place);
                (*first, time > last_us)
            });
            if let Some((_, false)) = joins_earlier {
                self.n_open_rows += 1;
                continue;
            }
            let behind = of_key.sessions.range((std::ops::Bound::Excluded(time), std::ops::Bound::Unbounded)).next();
            let joins_behind = behind.map(|(first, _)| *first).filter(|first| *first < end_us);
            match (joins_earlier, joins_behind) {
                (Some((first, _)), Some(second)) => {
                    // The row is the bridge between two.
                    if let (Some(second), Some(open)) = (of_key.sessions.remove(&second), of_key.sessions.get_mut(&first)) {
                        open.last_us = open.last_us.max(second.last_us);
                        open.rows.extend(second.rows);
                        open.folded.extend(second.folded);
                    }
                }
                (Some(_), None) => {}
                (None, Some(second)) => {
                    if let Some(mut open) = of_key.sessions.remove(&second) {
                        open.rows.push(place);
                        of_key.sessions.insert(time, open);
                    }
                }
                (None, None) if drop_late && end_us <= self.watermark_us => {
                    late.push(row as u32);
                    continue;
                }
                (None, None) => {
                    of_key.sessions.insert(time, Open { last_us: time, rows: vec![place], folded: Vec::new() });
                    if end_us < of_key.wake_us {
                        of_key.wake_us = end_us;
                        self.wakes.push(Reverse((end_us, *key)));
                    }
                }
            }
            self.n_open_rows += 1;
        }
        if self.n_open_rows > before {
            self.n_stored += rows.num_rows();
            self.batches.push(rows.clone());
        }
        Ok(late)
    }

    /// The number of each row's key, in `scratch`.
    fn number_keys(&mut self, rows: &RecordBatch) -> Result<()> {
        self.scratch.clear();
        let n_keys = if self.description.keys.is_empty() {
            self.scratch.resize(rows.num_rows(), 0);
            1
        } else {
            let columns: Vec<ArrayRef> = self.description.keys.iter().map(|at| same(rows.column(*at))).collect();
            let keys = match &mut self.keys {
                Some(keys) => keys,
                none => none.insert(new_group_values(Arc::clone(&self.key_schema), &GroupOrdering::None)?),
            };
            keys.intern(&columns, &mut self.scratch)?;
            keys.len()
        };
        self.open.resize_with(n_keys.max(self.open.len()), || OfKey { sessions: BTreeMap::new(), wake_us: i64::MAX });
        Ok(())
    }

    /// Takes out the sessions that are over at this watermark, the earliest end first.
    pub(super) fn close(&mut self, us: i64) -> Vec<Closed> {
        let (gap_us, mut closed) = (self.description.gap_us, Vec::new());
        while let Some(Reverse((wake_us, key))) = self.wakes.peek().copied() {
            if wake_us > us {
                break;
            }
            self.wakes.pop();
            let Some(of_key) = self.open.get_mut(key) else { continue };
            if of_key.wake_us != wake_us {
                // An earlier look has been taken since.
                continue;
            }
            while let Some(entry) = of_key.sessions.first_entry() {
                let end_us = entry.get().last_us.saturating_add(gap_us);
                if end_us > us {
                    break;
                }
                let (start_us, open) = entry.remove_entry();
                closed.push(Closed { start_us, end_us, rows: open.rows, folded: open.folded });
            }
            let next = of_key.sessions.first_key_value().map(|(_, open)| open.last_us.saturating_add(gap_us));
            of_key.wake_us = next.unwrap_or(i64::MAX);
            self.wakes.extend(next.map(|next| Reverse((next, key))));
        }
        for session in &mut closed {
            // In the order of their coming, also where two sessions became one.
            session.rows.sort_unstable();
            self.n_open_rows -= session.rows.len();
        }
        closed.sort_unstable_by(|a, b| (a.end_us, a.start_us, &a.rows).cmp(&(b.end_us, b.start_us, &b.rows)));
        closed
    }

    /// Rows of the stored batches, in the order given.
    pub(super) fn gather(&self, places: &[Place]) -> Result<RecordBatch> {
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.input)));
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let places: Vec<(usize, usize)> = places.iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect();
        Ok(interleave_record_batch(&batches, &places)?)
    }

    fn give(&self, closed: Vec<Closed>, out: &mut Output) -> Result<()> {
        let (mut places, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut flush = |places: &mut Vec<Place>, starts: &mut Vec<i64>, ends: &mut Vec<i64>| -> Result<()> {
            let mut columns = self.gather(places)?.columns().to_vec();
            columns.extend(window_columns(std::mem::take(starts), std::mem::take(ends)));
            places.clear();
            out.rows(RecordBatch::try_new(Arc::clone(&self.description.schema), columns)?);
            Ok(())
        };
        for session in closed {
            starts.resize(starts.len() + session.rows.len(), session.start_us);
            ends.resize(ends.len() + session.rows.len(), session.end_us);
            places.extend(session.rows);
            if places.len() >= ROWS_OUT {
                flush(&mut places, &mut starts, &mut ends)?;
            }
        }
        flush(&mut places, &mut starts, &mut ends)
    }

    /// The rows of open sessions, in the order of their coming.
    fn open_places(&self) -> Vec<Place> {
        let sessions = self.open.iter().flat_map(|of_key| of_key.sessions.values());
        let mut places: Vec<Place> = sessions.flat_map(|open| open.rows.iter().copied()).collect();
        places.sort_unstable();
        places
    }

    /// Goes on to a watermark, which is behind that of the input by as much as the times may be.
    pub(super) fn advance(&mut self, us: i64) -> i64 {
        self.watermark_us = if us == END_OF_TIME_US { us } else { us.saturating_sub(self.description.lag_us) };
        self.watermark_us
    }

    /// How many rows of open sessions are kept.
    pub(super) fn n_open_rows(&self) -> usize {
        self.n_open_rows
    }

    /// Hands the rows of all open sessions over, in the order of their coming, each with the number that its session has from here on.
    pub(super) fn take_rows(&mut self, next_number: &mut i64) -> Result<(RecordBatch, Vec<i64>)> {
        let mut taken: Vec<(Place, i64)> = Vec::with_capacity(self.n_open_rows);
        for open in self.open.iter_mut().flat_map(|of_key| of_key.sessions.values_mut()).filter(|open| !open.rows.is_empty()) {
            let number = open.folded.first().copied().unwrap_or(*next_number);
            if open.folded.is_empty() {
                open.folded.push(number);
                *next_number += 1;
            }
            taken.extend(std::mem::take(&mut open.rows).into_iter().map(|place| (place, number)));
        }
        taken.sort_unstable();
        let (places, numbers): (Vec<Place>, Vec<i64>) = taken.into_iter().unzip();
        let rows = self.gather(&places)?;
        (self.n_open_rows, self.n_stored) = (0, 0);
        self.batches.clear();
        Ok((rows, numbers))
    }

    /// The sessions of which rows have been taken over: the columns of their keys, then first and last time and number, a row a number.
    fn folded(&mut self) -> Result<RecordBatch> {
        let (mut of, mut firsts, mut lasts, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, of_key) in self.open.iter().enumerate() {
            for (first_us, open) in &of_key.sessions {
                for number in &open.folded {
                    of.push(key as u32);
                    firsts.push(*first_us);
                    lasts.push(open.last_us);
                    numbers.push(*number);
                }
            }
        }
        let mut columns = Vec::new();
        if let Some(keys) = &mut self.keys {
            let all = take_keys(keys.as_mut())?;
            // Distinct keys get the numbers that they had.
            keys.intern(&all, &mut Vec::new())?;
            let of = UInt32Array::from(of);
            columns = all.iter().map(|c| take(c, &of, None)).collect::<Result<Vec<_>, _>>()?;
        }
        columns.extend([firsts, lasts, numbers].map(|us| -> ArrayRef { Arc::new(Int64Array::from(us)) }));
        let field = |(at, c): (usize, &ArrayRef)| Field::new(format!("folded{at}"), c.data_type().clone(), true);
        let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }

    fn restore_folded(&mut self, kept: &RecordBatch) -> Result<()> {
        let Some((keys, [firsts, lasts, numbers])) = kept.columns().split_last_chunk::<3>() else { return Ok(()) };
        let mut of = vec![0; kept.num_rows()];
        if !keys.is_empty() {
            let values = self.keys.insert(new_group_values(Arc::clone(&self.key_schema), &GroupOrdering::None)?);
            of.clear();
            values.intern(keys, &mut of)?;
        }
        let n_keys = of.iter().max().map_or(0, |last| last + 1);
        self.open.resize_with(n_keys, || OfKey { sessions: BTreeMap::new(), wake_us: i64::MAX });
        let [firsts, lasts, numbers] = [firsts, lasts, numbers].map(|c| c.as_primitive::<Int64Type>().values().iter().copied());
        for (((key, first_us), last_us), number) in of.into_iter().zip(firsts).zip(lasts).zip(numbers) {
            let Some(of_key) = self.open.get_mut(key) else { continue };
            let empty = || Open { last_us, rows: Vec::new(), folded: Vec::new() };
            of_key.sessions.entry(first_us).or_insert_with(empty).folded.push(number);
            let end_us = last_us.saturating_add(self.description.gap_us);
            if end_us < of_key.wake_us {
                of_key.wake_us = end_us;
                self.wakes.push(Reverse((end_us, key)));
            }
        }
        Ok(())
    }

    /// Throws away the rows, and the keys, of sessions that are over once they are the greater part.
    pub(super) fn compact(&mut self) -> Result<()> {
        if self.n_open_rows == 0 {
            self.batches.clear();
            self.n_stored = 0;
        } else if self.n_stored > ROWS_KEPT && self.n_open_rows.saturating_mul(2) < self.n_stored {
            let places = self.open_places();
            let rows = self.gather(&places)?;
            for open in self.open.iter_mut().flat_map(|of_key| of_key.sessions.values_mut()) {
                for place in &mut open.rows {
                    let at = places.binary_search(place).expect("every row of an open session is among the places");
                    *place = (0, at as u32);
                }
            }
            self.n_stored = rows.num_rows();
            self.batches = vec![rows];
        }
        let Some(keys) = self.keys.as_mut().filter(|_| self.open.len() > ROWS_KEPT) else { return Ok(()) };
        let in_use: Vec<bool> = self.open.iter().map(|of_key| !of_key.sessions.is_empty()).collect();
        if in_use.iter().filter(|used| **used).count().saturating_mul(2) > in_use.len() {
            return Ok(());
        }
        let all = take_keys(keys.as_mut())?;
        let rows: UInt32Array = in_use.iter().enumerate().filter(|(_, used)| **used).map(|(at, _)| at as u32).collect();
        let kept = all.iter().map(|c| take(c, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        // Distinct keys get their numbers in the order in which they are given.
        keys.intern(&kept, &mut Vec::new())?;
        self.open.retain(|of_key| !of_key.sessions.is_empty());
        self.wakes = self.open.iter().enumerate().map(|(key, of_key)| Reverse((of_key.wake_us, key))).collect();
        Ok(())
    }
}

impl Operator for SessionOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.counters.rows_in.add(rows.num_rows() as u64);
        // A row without a time is in no session.
        self.counters.n_null_time.add(rows.column(self.description.time).null_count() as u64);
        let late = self.insert(&rows, self.continuous)?;
        if !late.is_empty() {
            let d = &self.description;
            let times = rows.column(d.time).as_primitive::<TimestampMicrosecondType>();
            late_rows(&self.counters, &d.sources, "Session", times, self.watermark_us, &rows, late)?;
        }
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let us = self.advance(us);
        let closed = self.close(us);
        if !closed.is_empty() {
            self.give(closed, out)?;
            self.compact()?;
        }
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("watermark_us".into(), self.watermark_us);
        state.tables.insert("rows".into(), vec![self.gather(&self.open_places())?]);
        state.tables.insert("folded".into(), vec![self.folded()?]);
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watermark_us = state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN);
        for kept in state.tables.get("folded").into_iter().flatten() {
            self.restore_folded(kept)?;
        }
        // The rows of open sessions make the same sessions again.
        for rows in state.tables.get("rows").into_iter().flatten() {
            self.insert(rows, false)?;
        }
        Ok(())
    }
}
