//! Crossings of a line by tracks: rows wait for the watermark, and a crossing is given with the first row that is clear of the line on its other side.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{Float64Type, Int64Type, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::figure::line::Line;
use framesql_udfs::figure::{FigureKind, now};
use serde::{Deserialize, Serialize};

use super::Run;
use super::accumulate::table;
use super::operator::{Operator, Output, State};
use super::tracked::{Key, Reader, Seen, kept, keys};
use super::waiting::{self, Waiting};
use crate::event::END_OF_TIME_US;
use crate::plan::line_crossings::Tolerance;
use crate::plan::tracked::Tracks;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineCrossings {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: SchemaRef,
    /// Which of them is what.
    pub tracks: Tracks,
    /// The line's name.
    pub name: String,
    /// The line itself.
    pub line: String,
    /// What is no crossing yet.
    pub tolerance: Tolerance,
    /// How far behind the watermark the time may still come, µs.
    pub lag_us: i64,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The partition's columns, the track's number, the time and the direction.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl LineCrossings {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let tolerance = self.tolerance;
        format!("line={} {}, hysteresis={}, max_gap={} ms", self.name, self.line, tolerance.hysteresis(), tolerance.max_gap_us / 1_000)
    }

    pub(super) fn build(&self, run: &Run) -> Result<LineCrossingsOperator> {
        let reader = waiting::Reader { operator: "LineCrossings", sources: self.sources.clone(), columns: None };
        Ok(LineCrossingsOperator {
            reader: Reader::try_new(&self.tracks, &self.input)?,
            waiting: Waiting::new(self.tracks.order.clone(), self.lag_us, Arc::clone(&self.input), reader, run),
            line: Line::parse(&self.line)?,
            tracks: BTreeMap::new(),
            description: self.clone(),
        })
    }
}

/// What is known of a track.
#[derive(Default)]
struct Track {
    /// When it was last seen, µs.
    seen_us: i64,
    /// The side on which it was last clear of the line: above 0 right, below 0 left; 0 while it has been clear of it on neither.
    side: i64,
    /// How often it has come through the line to the right since, less how often to the left.
    through: i64,
    /// Where it was last, px, leaving out places on the line itself.
    last: Option<(f64, f64)>,
}

impl Track {
    /// Takes the next place of the track, which is on a side when it is further than `clear` px from the line. Gives the side that it has crossed
    /// to, if it has crossed the line by now.
    fn go(&mut self, line: &Line, place: (f64, f64), clear: f64) -> Option<i64> {
        let far = line.side(place);
        let side = if far > 0.0 { 1 } else { -1 };
        if far == 0.0 || !far.is_finite() {
            return None;
        }
        if let Some(last) = self.last.replace(place)
            && (line.side(last) > 0.0) != (far > 0.0)
            && line.between(last, place)
        {
            self.through += side;
        }
        if far.abs() <= clear {
            return None;
        }
        let (before, through) = (std::mem::replace(&mut self.side, side), std::mem::take(&mut self.through));
        // Who walks around the end of the line comes to the other side, and does not cross it.
        (before == -side && through.signum() == side).then_some(side)
    }
}

pub(super) struct LineCrossingsOperator {
    description: LineCrossings,
    reader: Reader,
    waiting: Waiting,
    line: Line,
    tracks: BTreeMap<Key, Track>,
}

impl LineCrossingsOperator {
    /// Takes the line up as it is now. On which side of another line a track was is not known.
    fn draw(&mut self) -> Result<()> {
        let line = Line::parse(&now(FigureKind::Line, &self.description.name, &self.description.line))?;
        if line != self.line {
            self.tracks.values_mut().for_each(|track| *track = Track { seen_us: track.seen_us, ..Track::default() });
            self.line = line;
        }
        Ok(())
    }

    fn see(&mut self, Seen { key, at_us, bbox }: Seen, crossed: &mut Vec<(Key, i64, i64)>) {
        let Tolerance { max_gap_us, .. } = self.description.tolerance;
        let clear = self.description.tolerance.hysteresis() * f64::from(bbox.h.max(0.0));
        let track = self.tracks.entry(key.clone()).or_default();
        if track.last.is_some() && at_us.saturating_sub(track.seen_us) > max_gap_us {
            *track = Track::default();
        }
        track.seen_us = at_us;
        if let Some(side) = track.go(&self.line, self.line.place(&bbox), clear) {
            crossed.push((key, at_us, side));
        }
    }

    fn give(&self, crossed: Vec<(Key, i64, i64)>, out: &mut Output) -> Result<()> {
        let times = TimestampMicrosecondArray::from_iter_values(crossed.iter().map(|(_, at_us, _)| *at_us)).with_timezone("UTC");
        let directions = crossed.iter().map(|(_, _, side)| if *side > 0 { "left_to_right" } else { "right_to_left" });
        let directions = StringArray::from_iter_values(directions);
        let keys: Vec<Key> = crossed.into_iter().map(|(key, ..)| key).collect();
        let mut columns = self.reader.columns(&keys, &self.description.schema)?;
        columns.extend([Arc::new(times) as ArrayRef, Arc::new(directions)]);
        out.rows(RecordBatch::try_new(Arc::clone(&self.description.schema), columns)?);
        Ok(())
    }
}

impl Operator for LineCrossingsOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.waiting.add(rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let Some((us, rows)) = self.waiting.pass(us)? else { return Ok(()) };
        if let Some(rows) = rows {
            self.draw()?;
            let mut crossed = Vec::new();
            for seen in self.reader.read(&rows)? {
                self.see(seen, &mut crossed);
            }
            if !crossed.is_empty() {
                self.give(crossed, out)?;
            }
        }
        let max_gap_us = self.description.tolerance.max_gap_us;
        self.tracks.retain(|_, track| us != END_OF_TIME_US && us.saturating_sub(track.seen_us) <= max_gap_us);
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.waiting.snapshot()?;
        let number = |of: fn(&Track) -> i64| Arc::new(self.tracks.values().map(of).collect::<Int64Array>()) as ArrayRef;
        let place =
            |of: fn((f64, f64)) -> f64| Arc::new(self.tracks.values().map(|t| t.last.map(of)).collect::<Float64Array>()) as ArrayRef;
        let mut columns = kept(self.tracks.keys()).to_vec();
        columns.extend([number(|t| t.seen_us), number(|t| t.side), number(|t| t.through), place(|p| p.0), place(|p| p.1)]);
        state.tables.insert("tracks".into(), vec![table(columns)?]);
        Ok(state)
    }

    fn restore(&mut self, mut state: State) -> Result<()> {
        for tracks in state.tables.remove("tracks").unwrap_or_default() {
            let number = |column: usize, row: usize| tracks.column(column).as_primitive::<Int64Type>().value(row);
            let place = |column: usize, row: usize| {
                let places = tracks.column(column).as_primitive::<Float64Type>();
                places.is_valid(row).then(|| places.value(row))
            };
            for (row, key) in keys(&tracks).into_iter().enumerate() {
                let (seen_us, side, through) = (number(2, row), number(3, row), number(4, row));
                self.tracks.insert(key, Track { seen_us, side, through, last: place(5, row).zip(place(6, row)) });
            }
        }
        self.waiting.restore(state);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framesql_udfs::figure::anchor::Anchor;

    /// The directions of a way over the line from (100, 200) up to (100, 0), clear of it from 5 px on.
    fn crossed(way: &[(f64, f64)]) -> Vec<i64> {
        let line = Line::new("(100 200, 100 0)", Anchor::default()).unwrap();
        let mut track = Track::default();
        way.iter().filter_map(|place| track.go(&line, *place, 5.0)).collect()
    }

    #[test]
    fn one_crossing_is_one_row_and_jitter_is_none() {
        let at = |xs: &[f64]| crossed(&xs.iter().map(|x| (*x, 100.0)).collect::<Vec<_>>());
        assert_eq!(at(&[80.0, 90.0, 102.0, 110.0, 120.0]), [1]);
        assert_eq!(at(&[80.0, 120.0, 80.0]), [1, -1]);
        assert_eq!(at(&[80.0, 98.0, 102.0, 99.0, 104.0, 97.0, 103.0, 90.0]), [] as [i64; 0]);
        assert_eq!(at(&[80.0, 98.0, 102.0, 99.0, 104.0, 97.0, 103.0, 120.0]), [1]);
        // First seen on the line itself, and a stop on it.
        assert_eq!(at(&[100.0, 101.0, 120.0, 100.0, 80.0]), [-1]);
        assert_eq!(at(&[80.0, 100.0, 120.0]), [1]);
    }

    #[test]
    fn the_way_around_the_end_is_no_crossing() {
        assert_eq!(crossed(&[(80.0, 100.0), (80.0, 250.0), (120.0, 250.0), (120.0, 100.0)]), [] as [i64; 0]);
        // Back through the line from there it is one.
        assert_eq!(crossed(&[(80.0, 250.0), (120.0, 250.0), (120.0, 100.0), (80.0, 100.0)]), [-1]);
        // Through the line, around its end, and through it again.
        assert_eq!(crossed(&[(80.0, 190.0), (103.0, 190.0), (97.0, 210.0), (103.0, 190.0), (120.0, 190.0)]), [1]);
    }
}
