//! Tracks: rows wait for the watermark, are sorted by event time, and those of one moment and partition are one frame of its tracker.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, FixedSizeListArray, Float64Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::function::boxes::boxes;
use framesql_udfs::track::kalman::{BoxFilter, N_NUMBERS};
use framesql_udfs::track::{Parameters, Seen, Track as OneTrack, Tracked, Tracker};
use serde::{Deserialize, Serialize};

use super::Run;
use super::keys::KeyRows;
use super::operator::{Operator, Output, State};
use super::waiting::{self, Waiting};
use crate::plan::order::Order;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Track {
    /// The columns that come in.
    #[serde(with = "super::written")]
    pub input: SchemaRef,
    /// PARTITION BY: a tracker each.
    pub partition: Vec<usize>,
    /// ORDER BY: the event time, ascending, and what tells rows of one time apart.
    pub order: Vec<Order>,
    /// Where a detection is.
    pub bbox: usize,
    /// How sure the detector is; None is sure.
    pub score: Option<usize>,
    /// What the trackers go by.
    pub parameters: Parameters,
    /// How far behind the watermark the time may still come, µs.
    pub lag_us: i64,
    /// What is read, for those who ask where a late row came from.
    pub sources: String,
    /// The columns that come in, and those that it adds.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Track {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let keys: Vec<&str> =
            self.partition.iter().filter_map(|at| self.input.fields().get(*at)).map(|field| field.name().as_str()).collect();
        format!("partition=[{}], {}", keys.join(", "), self.parameters)
    }

    pub(super) fn build(&self, run: &Run) -> Result<TrackOperator> {
        let keys = self.partition.iter().filter_map(|at| self.input.fields().get(*at));
        let reader = waiting::Reader { operator: "Track", sources: self.sources.clone(), columns: None };
        Ok(TrackOperator {
            converter: KeyRows::try_new(keys.map(|field| field.data_type()))?,
            waiting: Waiting::new(self.order.clone(), self.lag_us, Arc::clone(&self.input), reader, run),
            trackers: BTreeMap::new(),
            description: self.clone(),
        })
    }
}

pub(super) struct TrackOperator {
    description: Track,
    converter: KeyRows,
    waiting: Waiting,
    /// By the key of the partition. One whose tracks are all gone keeps the number of its next.
    trackers: BTreeMap<Vec<u8>, Tracker>,
}

impl TrackOperator {
    /// Rows in order, each with what is known of its track.
    fn follow(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let d = &self.description;
        let time = d.order.first().map_or(0, |order| order.column);
        let times = rows.column(time).as_primitive::<TimestampMicrosecondType>();
        let keys = self.keys(rows)?;
        let seen = self.seen(rows)?;
        let mut found: Vec<Option<Tracked>> = vec![None; rows.num_rows()];
        let mut from = 0;
        while from < rows.num_rows() {
            let us = times.value(from);
            let to = (from..rows.num_rows()).find(|at| times.value(*at) != us).unwrap_or(rows.num_rows());
            let mut frames: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
            for (at, key) in keys.iter().enumerate().take(to).skip(from) {
                frames.entry(key.as_slice()).or_default().push(at);
            }
            for (key, members) in frames {
                let there: Vec<(usize, Seen)> = members.into_iter().filter_map(|at| Some((at, (*seen.get(at)?)?))).collect();
                let detections: Vec<Seen> = there.iter().map(|(_, seen)| *seen).collect();
                let tracker = self.trackers.entry(key.to_vec()).or_default();
                let tracked = tracker.step(&self.description.parameters, us, &detections);
                for ((at, _), tracked) in there.into_iter().zip(tracked) {
                    if let Some(place) = found.get_mut(at) {
                        *place = tracked;
                    }
                }
            }
            from = to;
        }
        let number = |of: fn(&Tracked) -> f64| -> ArrayRef { Arc::new(found.iter().map(|t| t.as_ref().map(of)).collect::<Float64Array>()) };
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(found.iter().map(|t| t.as_ref().map(|t| t.id)).collect::<Int64Array>()));
        columns.extend([number(|t| t.age_us as f64 / 1e6), number(|t| t.vx), number(|t| t.vy)]);
        Ok(RecordBatch::try_new(Arc::clone(&self.description.schema), columns)?)
    }

    /// The key of each row's partition.
    fn keys(&self, rows: &RecordBatch) -> Result<Vec<Vec<u8>>> {
        let partition = &self.description.partition;
        if partition.is_empty() {
            return Ok(vec![Vec::new(); rows.num_rows()]);
        }
        let columns: Vec<ArrayRef> = partition.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        Ok(self.converter.convert_columns(&columns)?.iter().map(|row| row.as_ref().to_vec()).collect())
    }

    /// What was detected; None is a row of a frame in which nothing was, or nowhere.
    fn seen(&self, rows: &RecordBatch) -> Result<Vec<Option<Seen>>> {
        let boxes = boxes(rows.column(self.description.bbox))?;
        let scores = self.description.score.map(|at| cast(rows.column(at), &DataType::Float64)).transpose()?;
        let score = |at: usize| match &scores {
            None => 1.0,
            Some(scores) if scores.is_valid(at) => scores.as_primitive::<Float64Type>().value(at),
            Some(_) => 0.0,
        };
        let area = |bbox: &framesql_udfs::detection::Box| bbox.w > 0.0 && bbox.h > 0.0;
        Ok(boxes.into_iter().enumerate().map(|(at, bbox)| Some(Seen { bbox: bbox.filter(area)?, score: score(at) })).collect())
    }
}

impl Operator for TrackOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, _out: &mut Output) -> Result<()> {
        self.waiting.add(rows)
    }

    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        let Some((us, rows)) = self.waiting.pass(us)? else { return Ok(()) };
        if let Some(rows) = rows {
            out.rows(self.follow(&rows)?);
        }
        let max_age_us = self.description.parameters.max_age_us;
        self.trackers.values_mut().for_each(|tracker| tracker.forget(us, max_age_us));
        out.watermark(us);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let mut state = self.waiting.snapshot()?;
        let keys: Vec<&[u8]> = self.trackers.keys().map(Vec::as_slice).collect();
        let of = |value: fn(&Tracker) -> Option<i64>| -> ArrayRef { Arc::new(self.trackers.values().map(value).collect::<Int64Array>()) };
        let columns: Vec<ArrayRef> =
            vec![Arc::new(BinaryArray::from(keys)), of(|t| t.last_us), of(|t| Some(t.n_frames)), of(|t| Some(t.next_id))];
        state.tables.insert("trackers".into(), vec![RecordBatch::try_new(trackers_schema(), columns)?]);
        let tracks: Vec<(&[u8], &OneTrack)> =
            self.trackers.iter().flat_map(|(key, tracker)| tracker.tracks.iter().map(|track| (key.as_slice(), track))).collect();
        let of =
            |value: fn(&OneTrack) -> Option<i64>| -> ArrayRef { Arc::new(tracks.iter().map(|(_, t)| value(t)).collect::<Int64Array>()) };
        let numbers = Float64Array::from_iter_values(tracks.iter().flat_map(|(_, track)| track.filter.numbers()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_iter_values(tracks.iter().map(|(key, _)| *key))),
            of(|t| t.id),
            of(|t| Some(t.first_us)),
            of(|t| Some(t.last_us)),
            of(|t| Some(i64::from(t.n_hits))),
            Arc::new(FixedSizeListArray::try_new(number_field(), N_NUMBERS as i32, Arc::new(numbers), None)?),
        ];
        state.tables.insert("tracks".into(), vec![RecordBatch::try_new(tracks_schema(), columns)?]);
        Ok(state)
    }

    fn restore(&mut self, mut state: State) -> Result<()> {
        let trackers = state.tables.remove("trackers").unwrap_or_default();
        let tracks = state.tables.remove("tracks").unwrap_or_default();
        self.waiting.restore(state);
        let whole = |batch: &RecordBatch, column: usize| batch.column(column).as_primitive::<Int64Type>().clone();
        let value = |all: &Int64Array, at: usize| all.is_valid(at).then(|| all.value(at));
        for batch in &trackers {
            let numbers = [1, 2, 3].map(|column| whole(batch, column));
            for (at, key) in batch.column(0).as_binary::<i32>().iter().enumerate() {
                let [last_us, n_frames, next_id] = numbers.each_ref().map(|all| value(all, at));
                let tracker = Tracker { last_us, n_frames: n_frames.unwrap_or(0), next_id: next_id.unwrap_or(1), tracks: Vec::new() };
                self.trackers.insert(key.unwrap_or_default().to_vec(), tracker);
            }
        }
        for batch in &tracks {
            let numbers = [1, 2, 3, 4].map(|column| whole(batch, column));
            let filters = batch.column(5).as_fixed_size_list().values().as_primitive::<Float64Type>().values();
            for ((at, key), filter) in batch.column(0).as_binary::<i32>().iter().enumerate().zip(filters.chunks_exact(N_NUMBERS)) {
                let [id, first_us, last_us, n_hits] = numbers.each_ref().map(|all| value(all, at));
                let filter = BoxFilter::of_numbers(filter);
                let n_hits = n_hits.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                let track = OneTrack { id, first_us: first_us.unwrap_or(0), last_us: last_us.unwrap_or(0), n_hits, filter };
                self.trackers.entry(key.unwrap_or_default().to_vec()).or_default().tracks.push(track);
            }
        }
        Ok(())
    }
}

fn trackers_schema() -> SchemaRef {
    let whole = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![Field::new("key", DataType::Binary, false), whole("last_us"), whole("n_frames"), whole("next_id")]))
}

fn number_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float64, false))
}

fn tracks_schema() -> SchemaRef {
    let whole = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Binary, false),
        whole("id"),
        whole("first_us"),
        whole("last_us"),
        whole("n_hits"),
        Field::new("filter", DataType::FixedSizeList(number_field(), N_NUMBERS as i32), false),
    ]))
}
