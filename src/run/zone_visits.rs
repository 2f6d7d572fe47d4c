//! Visits of tracks to a zone: rows wait for the watermark, and a visit is given when it is over, as its track was seen outside or is away for too long.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{Int64Type, IntervalMonthDayNano, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::figure::zone::Zone;
use framesql_udfs::figure::{FigureKind, now};
use serde::{Deserialize, Serialize};

use super::Run;
use super::accumulate::table;
use super::operator::{Operator, Output, State};
use super::tracked::{Key, Reader, Seen, kept, keys};
use super::waiting::{self, Waiting};
use crate::event::END_OF_TIME_US;
use crate::plan::tracked::Tracks;
use crate::plan::zone_visits::Tolerance;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ZoneVisits {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: SchemaRef,
    /// Which of them is what.
    pub tracks: Tracks,
    /// The zone's name.
    pub name: String,
    /// The zone itself.
    pub zone: String,
    /// What ends no visit.
    pub tolerance: Tolerance,
    /// How far behind the watermark the time may still come, µs.
    pub lag_us: i64,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The partition's columns, the track's number, and when it came and went.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl ZoneVisits {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let Tolerance { max_gap_us, max_outside_us } = self.tolerance;
        format!("zone={} {}, max_gap={} ms, max_outside={} ms", self.name, self.zone, max_gap_us / 1_000, max_outside_us / 1_000)
    }

    pub(super) fn build(&self, run: &Run) -> Result<ZoneVisitsOperator> {
        let reader = waiting::Reader { operator: "ZoneVisits", sources: self.sources.clone(), columns: None };
        Ok(ZoneVisitsOperator {
            reader: Reader::try_new(&self.tracks, &self.input)?,
            waiting: Waiting::new(self.tracks.order.clone(), self.lag_us, Arc::clone(&self.input), reader, run),
            open: BTreeMap::new(),
            description: self.clone(),
        })
    }
}

/// A visit that is not over.
struct Visit {
    /// When its track was first inside, µs.
    enter_us: i64,
    /// When it was last inside.
    inside_us: i64,
    /// When it was last seen, inside or not.
    seen_us: i64,
    /// Whether it was seen outside since it was last inside.
    outside: bool,
}

pub(super) struct ZoneVisitsOperator {
    description: ZoneVisits,
    reader: Reader,
    waiting: Waiting,
    open: BTreeMap<Key, Visit>,
}

/// Visits that are over.
type Over = Vec<(Key, Visit)>;

impl ZoneVisitsOperator {
    fn see(&mut self, zone: &Zone, Seen { key, at_us, bbox }: Seen, over: &mut Over) {
        let Tolerance { max_gap_us, max_outside_us } = self.description.tolerance;
        let inside = zone.contains(&bbox);
        let ended = self.open.get(&key).is_some_and(|visit| {
            let lost = at_us.saturating_sub(visit.seen_us) > max_gap_us;
            let out = at_us.saturating_sub(visit.inside_us) > max_outside_us;
            lost || out && (!inside || visit.outside)
        });
        if ended && let Some(visit) = self.open.remove(&key) {
            over.push((key.clone(), visit));
        }
        match self.open.get_mut(&key) {
            Some(visit) => {
                visit.seen_us = at_us;
                visit.outside = !inside;
                if inside {
                    visit.inside_us = at_us;
                }
            }
            None if inside => {
                self.open.insert(key, Visit { enter_us: at_us, inside_us: at_us, seen_us: at_us, outside: false });
            }
            None => {}
        }
    }

    fn give(&self, over: Over, out: &mut Output) -> Result<()> {
        let (keys, visits): (Vec<Key>, Vec<Visit>) = over.into_iter().unzip();
        let times = |of: fn(&Visit) -> i64| TimestampMicrosecondArray::from_iter_values(visits.iter().map(of)).with_timezone("UTC");
        let dwell = |v: &Visit| IntervalMonthDayNano::new(0, 0, v.inside_us.saturating_sub(v.enter_us).saturating_mul(1_000));
        let mut columns = self.reader.columns(&keys, &self.description.schema)?;
        let dwells: IntervalMonthDayNanoArray = visits.iter().map(dwell).collect::<Vec<_>>().into();
        columns.extend([Arc::new(times(|v| v.enter_us)) as ArrayRef, Arc::new(times(|v| v.inside_us)), Arc::new(dwells)]);
        out.rows(RecordBatch::try_new(Arc::clone(&self.description.schema), columns)?);
        Ok(())
    }
}

impl Operator for ZoneVisitsOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.waiting.add(rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let Some((us, rows)) = self.waiting.pass(us)? else { return Ok(()) };
        let mut over = Over::new();
        if let Some(rows) = rows {
            let zone = Zone::parse(&now(FigureKind::Zone, &self.description.name, &self.description.zone))?;
            for seen in self.reader.read(&rows)? {
                self.see(&zone, seen, &mut over);
            }
        }
        let max_gap_us = self.description.tolerance.max_gap_us;
        let lost = |visit: &Visit| us == END_OF_TIME_US || us.saturating_sub(visit.seen_us) > max_gap_us;
        over.extend(self.open.extract_if(.., |_, visit| lost(visit)));
        if !over.is_empty() {
            self.give(over, out)?;
        }
        // No visit ends any more before the earliest moment at which one that goes on was last inside.
        let held = self.open.values().map(|visit| visit.inside_us).min();
        out.watermark(held.map_or(us, |held| held.min(us)));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.waiting.snapshot()?;
        let times = |of: fn(&Visit) -> i64| Arc::new(self.open.values().map(of).collect::<Int64Array>()) as ArrayRef;
        let outside: BooleanArray = self.open.values().map(|visit| Some(visit.outside)).collect();
        let mut columns = kept(self.open.keys()).to_vec();
        columns.extend([times(|v| v.enter_us), times(|v| v.inside_us), times(|v| v.seen_us), Arc::new(outside)]);
        state.tables.insert("open".into(), vec![table(columns)?]);
        Ok(state)
    }

    fn restore(&mut self, mut state: State) -> Result<()> {
        for open in state.tables.remove("open").unwrap_or_default() {
            let number = |column: usize, row: usize| open.column(column).as_primitive::<Int64Type>().value(row);
            for (row, key) in keys(&open).into_iter().enumerate() {
                let (enter_us, inside_us, seen_us) = (number(2, row), number(3, row), number(4, row));
                self.open.insert(key, Visit { enter_us, inside_us, seen_us, outside: open.column(5).as_boolean().value(row) });
            }
        }
        self.waiting.restore(state);
        Ok(())
    }
}
