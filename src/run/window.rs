//! Aggregates by time window: rows are accumulated once, by pane; a window fires once, when the watermark reaches its end, from the panes in it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, physical};
use super::fill::Fill;
use super::groups::{Aggregates, Arguments, Groups, Kept};
use super::late::late_rows;
use super::operator::{Operator, Output, State};
use crate::event::END_OF_TIME_US;
use crate::frame::batch::ts_type;
use crate::metrics::JobCounters;
use crate::plan::grouping;
use crate::plan::window::{Shape, TIME_BEFORE_END_US, Windows};

/// The description: SQL's GROUP BY with the window among the keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: DFSchemaRef,
    /// The keys; `window_key` of them is the window's start or end.
    #[serde(with = "super::written")]
    pub keys: Vec<Expr>,
    /// For each grouping set, the keys left out; empty for a plain GROUP BY.
    pub left_out: Vec<Vec<bool>>,
    /// The aggregates.
    #[serde(with = "super::written")]
    pub aggregates: Vec<Expr>,
    /// Which key is the window's.
    pub window_key: usize,
    /// What to add to that key to have the window's end, µs; of a pane's, the pane's end.
    pub to_end_us: i64,
    /// How each key follows from the window's end; None for one that tells groups of a window apart.
    pub by_end: Vec<Option<ByEnd>>,
    /// The windows whose panes come in; None where each row comes once a window.
    pub panes: Option<Windows>,
    /// Whether windows without rows are given too, for the keys that are known by then; only with `panes`.
    pub fill: bool,
    /// Whether all rows of a window come together, right before the watermark that closes it (a session's).
    pub at_once: bool,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The keys, with grouping sets the id of the set, then the aggregates.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

/// A key that is the same for all rows of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ByEnd {
    /// window_start.
    Start,
    /// The window's end less so many µs.
    Before(i64),
}

impl Window {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let text = |all: &[Expr]| all.iter().map(|e| e.to_string()).collect::<Vec<_>>().join(", ");
        let mut text = format!("keys=[{}], aggregates=[{}]", text(&self.keys), text(&self.aggregates));
        if !self.left_out.is_empty() {
            text.push_str(&format!(", grouping sets={}", self.left_out.len()));
        }
        if let Some(windows) = self.panes.filter(Windows::overlap) {
            text.push_str(&format!(", panes of {windows}"));
        }
        text
    }

    /// Which keys tell the groups of one window apart.
    fn own_keys(&self) -> impl Iterator<Item = usize> {
        self.by_end.iter().enumerate().filter(|(_, by_end)| by_end.is_none()).map(|(at, _)| at)
    }

    pub(super) fn build(&self, run: &Run) -> Result<WindowOperator> {
        let keys = self.keys.iter().map(|k| physical(k, &self.input)).collect::<Result<Vec<_>>>()?;
        // The id of the grouping set is a key as well, behind the others.
        let id = (!self.left_out.is_empty()).then_some(self.keys.len());
        let fields: Vec<Field> =
            self.own_keys().chain(id).filter_map(|at| self.schema.fields().get(at)).map(|f| f.as_ref().clone()).collect();
        let key_schema = Arc::new(Schema::new(fields));
        let aggregates = Aggregates::try_new(&self.aggregates, &self.input, Arc::clone(&key_schema))?;
        Ok(WindowOperator {
            keys,
            ids: grouping::ids(&self.left_out),
            aggregates,
            fill: if self.fill { Some(Fill::new(&key_schema)?) } else { None },
            no_rows: RecordBatch::new_empty(Arc::clone(self.input.inner())),
            description: self.clone(),
            panes: BTreeMap::new(),
            watermark_us: i64::MIN,
            counters: Arc::clone(&run.counters),
            scratch: Vec::new(),
        })
    }
}

/// Rows of one pane: those that come since it was last read, and what was kept of those before.
#[derive(Default)]
struct Pane {
    coming: Option<Groups>,
    kept: Vec<Kept>,
}

pub(super) struct WindowOperator {
    description: Window,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The id of each grouping set.
    ids: Vec<u64>,
    aggregates: Aggregates,
    fill: Option<Fill>,
    no_rows: RecordBatch,
    /// By the pane's end, µs.
    panes: BTreeMap<i64, Pane>,
    watermark_us: i64,
    counters: Arc<JobCounters>,
    /// The group of each row of the batch at hand; kept so that a batch allocates nothing.
    scratch: Vec<usize>,
}

impl WindowOperator {
    /// The end of the last window that a pane is in.
    fn last_end(&self, pane_end_us: i64) -> i64 {
        match &self.description.panes {
            Some(windows) => windows.last_end(pane_end_us.saturating_sub(windows.slide_us)),
            None => pane_end_us,
        }
    }

    /// The end of the first window that a pane is in and that has not fired.
    fn next_end(&self, pane_end_us: i64) -> Option<i64> {
        if pane_end_us > self.watermark_us || self.description.at_once {
            return Some(pane_end_us);
        }
        let windows = self.description.panes.as_ref()?;
        let n_fired = (self.watermark_us.saturating_sub(pane_end_us) / windows.slide_us).saturating_add(1);
        let next = pane_end_us.saturating_add(n_fired.saturating_mul(windows.slide_us));
        (next <= self.last_end(pane_end_us)).then_some(next)
    }

    /// Takes rows that are all of one pane.
    fn update(&mut self, pane_end_us: i64, keys: &[ArrayRef], arguments: &Arguments, n_rows: usize) -> Result<()> {
        let id_type = self.description.schema.fields().get(self.keys.len()).map_or(DataType::UInt64, |f| f.data_type().clone());
        let pane = self.panes.entry(pane_end_us).or_default();
        let groups = match &mut pane.coming {
            Some(groups) => groups,
            empty => empty.insert(self.aggregates.open()?),
        };
        if self.ids.is_empty() {
            let own: Vec<ArrayRef> = self.description.own_keys().filter_map(|at| keys.get(at)).map(Arc::clone).collect();
            return groups.update(&own, arguments, n_rows, &mut self.scratch);
        }
        for (set, id) in self.description.left_out.iter().zip(&self.ids) {
            let mut own = Vec::with_capacity(keys.len() + 1);
            for at in self.description.own_keys() {
                let (Some(key), Some(left_out)) = (keys.get(at), set.get(at)) else { continue };
                own.push(if *left_out { new_null_array(key.data_type(), n_rows) } else { Arc::clone(key) });
            }
            own.push(ScalarValue::UInt64(Some(*id)).cast_to(&id_type)?.to_array_of_size(n_rows)?);
            groups.update(&own, arguments, n_rows, &mut self.scratch)?;
        }
        Ok(())
    }

    /// The groups of the window that ends there.
    fn gather(&mut self, end_us: i64) -> Result<Groups> {
        let windows = self.description.panes;
        let start_us = windows.map_or(end_us.saturating_sub(1), |w| w.start_of(end_us));
        let in_window = (Bound::Excluded(start_us), Bound::Included(end_us));
        let members: Vec<i64> = if start_us < end_us { self.panes.range(in_window).map(|(end, _)| *end).collect() } else { vec![end_us] };
        // The panes whose last window this is give all they have; no other window reads them.
        if let [only] = members.as_slice()
            && self.last_end(*only) <= end_us
            && self.panes.get(only).is_some_and(|p| p.kept.is_empty())
        {
            return self.panes.remove(only).and_then(|p| p.coming).map_or_else(|| self.aggregates.open(), Ok);
        }
        let mut whole = self.aggregates.open()?;
        let mut together = Vec::new();
        for member in &members {
            let last = self.last_end(*member) <= end_us;
            let Some(pane) = self.panes.get_mut(member) else { continue };
            if let Some(coming) = pane.coming.take() {
                pane.kept.push(coming.keep()?);
            }
            for kept in &pane.kept {
                whole.merge(kept, &mut self.scratch)?;
            }
            if last {
                self.panes.remove(member);
            } else if windows.is_some_and(|w| w.shape == Shape::Cumulate) {
                together.push(*member);
            }
        }
        if !together.is_empty() {
            // Every window that is still to fire holds all of them: from here on they are one.
            together.iter().for_each(|member| drop(self.panes.remove(member)));
            let kept = whole.keep()?;
            whole = self.aggregates.open()?;
            whole.merge(&kept, &mut self.scratch)?;
            self.panes.insert(end_us, Pane { coming: None, kept: vec![kept] });
        }
        Ok(whole)
    }

    fn fire(&mut self, end_us: i64, out: &mut Output) -> Result<()> {
        let (n_groups, mut keys, mut results) = self.gather(end_us)?.finish()?;
        let mut n_rows = n_groups;
        if let Some(fill) = &mut self.fill {
            let missing = fill.fired(end_us, &keys, n_groups)?;
            let nothing = self.aggregates.of_nothing(missing.n_groups, &self.no_rows)?;
            n_rows += missing.n_groups;
            let below = |above: Vec<ArrayRef>, below: Vec<ArrayRef>| -> Result<Vec<ArrayRef>> {
                above.into_iter().zip(below).map(|(a, b)| Ok(concat(&[a.as_ref(), b.as_ref()])?)).collect()
            };
            keys = below(keys, missing.keys)?;
            results = below(results, nothing)?;
        }
        self.counters.windows_fired.add(1);
        let mut own = keys.into_iter();
        let mut columns = Vec::with_capacity(self.description.schema.fields().len());
        for by_end in &self.description.by_end {
            columns.extend(match by_end {
                None => own.next(),
                Some(_) if end_us == END_OF_TIME_US => Some(new_null_array(&ts_type(), n_rows)),
                Some(ByEnd::Start) => Some(times(self.description.panes.map_or(end_us, |w| w.start_of(end_us)), n_rows)),
                Some(ByEnd::Before(us)) => Some(times(end_us.saturating_sub(*us), n_rows)),
            });
        }
        // The id of the grouping set.
        columns.extend(own);
        columns.extend(results);
        out.rows(conform(columns, &self.description.schema, n_rows)?);
        Ok(())
    }

    /// The end of the window that fires next, at this watermark.
    fn due(&self, us: i64) -> Option<i64> {
        // Of the panes behind the watermark there are as many as are in one window; of those before it the first is the earliest, however many wait.
        let again = self.panes.range(..=self.watermark_us).filter_map(|(end, _)| self.next_end(*end)).min();
        let first =
            self.panes.range((Bound::Excluded(self.watermark_us), Bound::Unbounded)).next().and_then(|(end, _)| self.next_end(*end));
        let with_rows = again.into_iter().chain(first).min();
        let filled = match (&self.fill, &self.description.panes) {
            // Where the input ends says its last watermark before the end of time, and not that one.
            (Some(fill), Some(windows)) if us != END_OF_TIME_US => fill.next_end(windows),
            _ => None,
        };
        with_rows.into_iter().chain(filled).min().filter(|end| *end <= us)
    }
}

fn times(us: i64, n_rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_value(us, n_rows).with_timezone("UTC"))
}

/// A batch of the described schema; accumulators may differ in the name of a list's field, which is cast away.
pub(super) fn conform(columns: Vec<ArrayRef>, schema: &SchemaRef, n_rows: usize) -> Result<RecordBatch> {
    let columns = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(c, f)| if c.data_type() == f.data_type() { Ok(c) } else { cast(&c, f.data_type()) })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Stretches of rows that follow one another in one pane: the pane's end, the first row, how many.
fn stretches(window_key: &TimestampMicrosecondArray, to_end_us: i64) -> Vec<(Option<i64>, usize, usize)> {
    let mut found: Vec<(Option<i64>, usize, usize)> = Vec::new();
    let mut before = None;
    for (row, time) in window_key.iter().enumerate() {
        match found.last_mut() {
            Some(last) if before == Some(time) => last.2 += 1,
            _ => found.push((time.map(|t| t.saturating_add(to_end_us)), row, 1)),
        }
        before = Some(time);
    }
    found
}

/// A stretch shorter than this, on average, is not worth an update of its own.
const SHORT_STRETCH: usize = 32;

impl Operator for WindowOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        let keys = self.keys.iter().map(|k| evaluate(k, &rows)).collect::<Result<Vec<_>>>()?;
        let arguments = self.aggregates.arguments(&rows)?;
        if self.description.at_once {
            return self.update(self.watermark_us, &keys, &arguments, rows.num_rows());
        }
        let Some(window_key) = keys.get(self.description.window_key) else { return Ok(()) };
        let window_key = if *window_key.data_type() == ts_type() { Arc::clone(window_key) } else { cast(window_key, &ts_type())? };
        let times = window_key.as_primitive::<TimestampMicrosecondType>();
        let all = stretches(times, self.description.to_end_us);
        let mut late = Vec::new();
        let mut on_time = Vec::with_capacity(all.len());
        for (end_us, from, n_rows) in all {
            match end_us {
                // What puts rows into windows drops those without a time. Here it is the time of a row that met none in an outer join:
                // nothing closes its group but the end.
                None => on_time.push((END_OF_TIME_US, from, n_rows)),
                // Late for a window that has fired: what puts rows into windows drops and counts them, so only a group by another
                // operator's time comes here.
                Some(end_us) if self.last_end(end_us) <= self.watermark_us => late.extend((from..from + n_rows).map(|row| row as u32)),
                Some(end_us) => on_time.push((end_us, from, n_rows)),
            }
        }
        if !late.is_empty() {
            late_rows(&self.counters, &self.description.sources, "WindowAggregate", times, self.watermark_us, &rows, late)?;
        }
        if let [(end_us, 0, n_rows)] = on_time.as_slice()
            && *n_rows == rows.num_rows()
        {
            return self.update(*end_us, &keys, &arguments, *n_rows);
        }
        if rows.num_rows() >= on_time.len().saturating_mul(SHORT_STRETCH) {
            for (end_us, from, n_rows) in on_time {
                let part: Vec<ArrayRef> = keys.iter().map(|k| k.slice(from, n_rows)).collect();
                self.update(end_us, &part, &arguments.slice(from, n_rows), n_rows)?;
            }
            return Ok(());
        }
        // The rows of each pane, in their order.
        let mut by_pane: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (end_us, from, n_rows) in on_time {
            by_pane.entry(end_us).or_default().extend((from..from + n_rows).map(|row| row as u32));
        }
        for (end_us, members) in by_pane {
            let members = UInt32Array::from(members);
            let part = keys.iter().map(|k| take(k, &members, None)).collect::<Result<Vec<_>, _>>()?;
            self.update(end_us, &part, &arguments.take(&members)?, members.len())?;
        }
        Ok(())
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        // The earliest first; each firing is a commit of its own, marked by the end of its window.
        while let Some(end_us) = self.due(us) {
            self.fire(end_us, out)?;
            if !self.description.at_once {
                self.watermark_us = end_us;
                out.watermark(end_us);
            }
        }
        self.watermark_us = us;
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("watermark_us".into(), self.watermark_us);
        for (end_us, pane) in &mut self.panes {
            if let Some(coming) = pane.coming.take() {
                pane.kept.push(coming.keep()?);
            }
            // One more piece a checkpoint; so that a long window is not all pieces, none stays beside one that is not twice as large.
            while let [.., before, last] = pane.kept.as_slice()
                && n_groups(before) < 2 * n_groups(last)
            {
                let mut both = self.aggregates.open()?;
                both.merge(before, &mut self.scratch)?;
                both.merge(last, &mut self.scratch)?;
                pane.kept.truncate(pane.kept.len() - 2);
                pane.kept.push(both.keep()?);
            }
            for (number, kept) in pane.kept.iter().enumerate() {
                // They are read in the order of their names.
                state.tables.insert(format!("pane {end_us} {number:04}"), kept.clone());
            }
        }
        if let Some(fill) = &mut self.fill {
            fill.snapshot(&mut state)?;
        }
        Ok(state)
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watermark_us = state.numbers.get("watermark_us").copied().unwrap_or(i64::MIN);
        for (name, kept) in &state.tables {
            let mut words = name.split(' ');
            let (Some("pane"), Some(Ok(end_us))) = (words.next(), words.next().map(str::parse)) else { continue };
            self.panes.entry(end_us).or_default().kept.push(kept.clone());
        }
        if let Some(fill) = &mut self.fill {
            fill.restore(&state)?;
        }
        Ok(())
    }
}

/// How many groups are kept there.
fn n_groups(kept: &Kept) -> usize {
    kept.first().map_or(0, RecordBatch::num_rows)
}

/// How a column of a window, by its place among the three, follows from the window's end.
pub(super) fn by_end(which: usize) -> ByEnd {
    match which {
        0 => ByEnd::Start,
        1 => ByEnd::Before(0),
        _ => ByEnd::Before(TIME_BEFORE_END_US),
    }
}
