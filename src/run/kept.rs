//! The rows that a join keeps of one side: found by key and by time, gone when time is past them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeBounds;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array, RecordBatchOptions, new_empty_array};
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;

use super::condition::Key;
use crate::metrics::JobCounters;

/// A row that is kept: its time, µs, and its number in the order of arrival.
pub(super) type Id = (i64, u64);

/// Rows of a batch to be kept: each its number there, its time, µs, and its key.
pub(super) type Taken = Vec<(usize, i64, Option<Key>)>;

/// The rows of one side.
pub(super) struct Kept {
    schema: SchemaRef,
    rows: BTreeMap<Id, Place>,
    by_key: HashMap<Key, BTreeSet<Id>>,
    batches: HashMap<u64, Batch>,
    next: u64,
    counters: Arc<JobCounters>,
}

/// Where a row is.
struct Place {
    batch: u64,
    row: usize,
    /// None for a key with a NULL, which meets nothing.
    key: Option<Key>,
    /// How many rows of the other side it has met.
    n_met: i64,
}

/// A batch some rows of which are kept.
struct Batch {
    rows: RecordBatch,
    n_kept: usize,
}

impl Kept {
    pub(super) fn new(schema: SchemaRef, counters: Arc<JobCounters>) -> Kept {
        Kept { schema, rows: BTreeMap::new(), by_key: HashMap::new(), batches: HashMap::new(), next: 0, counters }
    }

    /// Takes rows of a batch. Gives their ids, in order.
    pub(super) fn insert(&mut self, rows: &RecordBatch, taken: Taken) -> Vec<Id> {
        if taken.is_empty() {
            return Vec::new();
        }
        let batch = self.next;
        self.batches.insert(batch, Batch { rows: rows.clone(), n_kept: taken.len() });
        self.counters.state_rows.add(taken.len() as u64);
        let mut ids = Vec::with_capacity(taken.len());
        for (row, time, key) in taken {
            let id = (time, self.next);
            self.next += 1;
            if let Some(key) = &key {
                self.by_key.entry(Arc::clone(key)).or_default().insert(id);
            }
            self.rows.insert(id, Place { batch, row, key, n_met: 0 });
            ids.push(id);
        }
        ids
    }

    /// The key of a row.
    pub(super) fn key(&self, id: Id) -> Option<&Key> {
        self.rows.get(&id)?.key.as_ref()
    }

    /// The rows of that key whose ids are in the range, the earliest first.
    pub(super) fn of_key(&self, key: &Key, range: impl RangeBounds<Id>) -> Vec<Id> {
        self.by_key.get(key).map_or_else(Vec::new, |ids| ids.range(range).copied().collect())
    }

    /// The last row of that key whose id is in the range.
    pub(super) fn last_of_key(&self, key: &Key, range: impl RangeBounds<Id>) -> Option<Id> {
        self.by_key.get(key)?.range(range).next_back().copied()
    }

    /// The first row of that key whose id is in the range.
    pub(super) fn first_of_key(&self, key: &Key, range: impl RangeBounds<Id>) -> Option<Id> {
        self.by_key.get(key)?.range(range).next().copied()
    }

    /// The earliest time that a row has, µs.
    pub(super) fn earliest_us(&self) -> Option<i64> {
        self.rows.first_key_value().map(|((time, _), _)| *time)
    }

    /// The rows up to that time, µs, the earliest first.
    pub(super) fn until(&self, us: i64) -> Vec<Id> {
        self.rows.range(..=(us, u64::MAX)).map(|(id, _)| *id).collect()
    }

    pub(super) fn matched(&self, id: Id) -> bool {
        self.rows.get(&id).is_some_and(|place| place.n_met > 0)
    }

    /// Says that a row has met another; whether it had met none before.
    pub(super) fn set_matched(&mut self, id: Id) -> bool {
        let Some(place) = self.rows.get_mut(&id) else { return false };
        place.n_met += 1;
        place.n_met == 1
    }

    /// Says that a row that this one had met is taken back.
    pub(super) fn part(&mut self, id: Id) {
        if let Some(place) = self.rows.get_mut(&id) {
            place.n_met -= 1;
        }
    }

    pub(super) fn remove(&mut self, id: Id) {
        let Some(place) = self.rows.remove(&id) else { return };
        self.counters.state_rows.sub(1);
        if let Some(key) = place.key
            && let Some(ids) = self.by_key.get_mut(&key)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(&key);
            }
        }
        if let Some(batch) = self.batches.get_mut(&place.batch) {
            batch.n_kept -= 1;
            if batch.n_kept == 0 {
                self.batches.remove(&place.batch);
            }
        }
    }

    /// The rows of those ids as one batch, in their order.
    pub(super) fn gather(&self, ids: &[Id]) -> Result<RecordBatch> {
        let (mut batches, mut numbers, mut places) = (Vec::new(), HashMap::new(), Vec::with_capacity(ids.len()));
        for id in ids {
            let found = self.rows.get(id).and_then(|place| Some((place, self.batches.get(&place.batch)?)));
            let (place, batch) = found.ok_or_else(|| internal_datafusion_err!("a join lost a row that it keeps"))?;
            let number = *numbers.entry(place.batch).or_insert_with(|| {
                batches.push(&batch.rows);
                batches.len() - 1
            });
            places.push((number, place.row));
        }
        if batches.is_empty() || self.schema.fields().is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(ids.len()));
            let columns = self.schema.fields().iter().map(|f| new_empty_array(f.data_type())).collect();
            return Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        }
        Ok(interleave_record_batch(&batches, &places)?)
    }

    /// All rows, the earliest first, and how many each of them has met.
    pub(super) fn snapshot(&self) -> Result<Vec<RecordBatch>> {
        let ids: Vec<Id> = self.rows.keys().copied().collect();
        let met: Int64Array = self.rows.values().map(|place| Some(place.n_met)).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("met", DataType::Int64, false)]));
        Ok(vec![self.gather(&ids)?, RecordBatch::try_new(schema, vec![Arc::new(met)])?])
    }

    /// The times of all rows, the earliest first, for those whose rows do not tell.
    pub(super) fn times(&self) -> Result<RecordBatch> {
        let times: Int64Array = self.rows.keys().map(|(time, _)| *time).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("time", DataType::Int64, true)]));
        Ok(RecordBatch::try_new(schema, vec![Arc::new(times)])?)
    }

    /// The times that such a table has.
    pub(super) fn times_of(times: &RecordBatch) -> Vec<i64> {
        times.columns().first().map_or_else(Vec::new, |c| c.as_primitive::<Int64Type>().values().to_vec())
    }

    /// Says of the rows of those ids how many they had met, as a snapshot has it.
    pub(super) fn restore_met(&mut self, ids: &[Id], met: &RecordBatch) {
        let Some(met) = met.columns().first().map(|c| c.as_primitive::<Int64Type>()) else { return };
        for (id, n_met) in ids.iter().zip(met.values()) {
            if let Some(place) = self.rows.get_mut(id) {
                place.n_met = *n_met;
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.counters.state_rows.sub(self.rows.len() as u64);
    }
}
