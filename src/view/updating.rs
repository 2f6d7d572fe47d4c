//! The rows of a view that updates its answer: a bag of whole rows, read without holding up its writer, and the mail of those who follow it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, min};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::internal_err;
use datafusion::error::Result;

use super::net::Net;
use crate::event::Event;

/// Segments beside full ones, before they are put together.
const SEGMENTS: usize = 512;
/// Rows of a full segment.
const SEGMENT_ROWS: usize = 8192;
/// Events that a follower may lag behind, before what it has not seen is put together.
const MAIL: usize = 512;

/// The bag.
#[derive(Debug)]
pub(super) struct Updating {
    schema: SchemaRef,
    net: Net,
    /// By number: the rows of a commit, or of several.
    segments: BTreeMap<u64, Segment>,
    next_segment: u64,
    /// The column of event time by which rows are dropped.
    time: Option<usize>,
    /// No row that is there has an earlier event time, µs.
    oldest_us: i64,
    /// Where each row is: as often as it is there.
    places: HashMap<Box<[u8]>, Vec<(u64, usize)>>,
    followers: BTreeMap<u64, VecDeque<Event>>,
    next_follower: u64,
}

/// Rows that came together, and which of them are still there. Readers share both; the writer makes marks of its own when it changes them.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    rows: RecordBatch,
    there: Arc<Vec<bool>>,
    n_there: usize,
}

impl Segment {
    /// The rows that are there.
    pub(super) fn read(&self) -> Result<RecordBatch> {
        if self.n_there == self.rows.num_rows() {
            return Ok(self.rows.clone());
        }
        Ok(filter_record_batch(&self.rows, &BooleanArray::from(self.there.as_ref().clone()))?)
    }
}

impl Updating {
    /// An empty bag; rows are dropped by the column `time`, if there is one. Errs if a column's type cannot be compared.
    pub(super) fn try_new(schema: &SchemaRef, time: Option<usize>) -> Result<Updating> {
        Ok(Updating {
            schema: Arc::clone(schema),
            net: Net::try_new(schema)?,
            segments: BTreeMap::new(),
            next_segment: 0,
            time,
            oldest_us: i64::MAX,
            places: HashMap::new(),
            followers: BTreeMap::new(),
            next_follower: 0,
        })
    }

    /// One commit: rows go and rows come. With `forgiving`, a row that is not there any more (retention has dropped it) goes without a
    /// trace; else that is an error. Gives the number of rows that changed.
    pub(super) fn change(&mut self, gone: &RecordBatch, come: &RecordBatch, forgiving: bool) -> Result<usize> {
        let (gone, come) = self.net.of(gone, come)?;
        let mut found = Vec::with_capacity(gone.num_rows());
        for row in self.net.bytes(&gone)? {
            found.push(self.remove(&row));
        }
        if !forgiving && found.contains(&false) {
            return internal_err!("a row is taken back that never came");
        }
        let gone = filter_record_batch(&gone, &BooleanArray::from(found))?;
        self.add(&come)?;
        self.put_together()?;
        let n = gone.num_rows() + come.num_rows();
        self.post(gone, come)?;
        Ok(n)
    }

    /// Drops rows with an event time before `us`; those who follow are told.
    pub(super) fn drop_before(&mut self, us: i64) -> Result<()> {
        let Some(time) = self.time.filter(|_| self.oldest_us < us) else { return Ok(()) };
        let (mut gone, mut oldest_us) = (Vec::new(), i64::MAX);
        for segment in self.segments.values() {
            let times = segment.rows.column(time).as_primitive::<TimestampMicrosecondType>();
            let mut old = |(there, time): (&bool, Option<i64>)| {
                let Some(time) = time.filter(|_| *there) else { return false };
                if time >= us {
                    oldest_us = oldest_us.min(time);
                }
                time < us
            };
            let old: Vec<bool> = segment.there.iter().zip(times.iter()).map(&mut old).collect();
            if old.contains(&true) {
                gone.push(filter_record_batch(&segment.rows, &BooleanArray::from(old))?);
            }
        }
        self.oldest_us = oldest_us;
        if gone.is_empty() {
            return Ok(());
        }
        let gone = concat_batches(&self.schema, &gone)?;
        self.change(&gone, &RecordBatch::new_empty(Arc::clone(&self.schema)), false)?;
        Ok(())
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let number = self.next_segment;
        self.next_segment += 1;
        for (at, row) in self.net.bytes(rows)?.into_iter().enumerate() {
            self.places.entry(row).or_default().push((number, at));
        }
        if let Some(time) = self.time {
            let oldest = min(rows.column(time).as_primitive::<TimestampMicrosecondType>());
            self.oldest_us = self.oldest_us.min(oldest.unwrap_or(i64::MAX));
        }
        let n = rows.num_rows();
        self.segments.insert(number, Segment { rows: rows.clone(), there: Arc::new(vec![true; n]), n_there: n });
        Ok(())
    }

    fn remove(&mut self, row: &[u8]) -> bool {
        let Some(places) = self.places.get_mut(row) else { return false };
        let Some((number, at)) = places.pop() else { return false };
        if places.is_empty() {
            self.places.remove(row);
        }
        if let Some(segment) = self.segments.get_mut(&number) {
            if let Some(there) = Arc::make_mut(&mut segment.there).get_mut(at) {
                *there = false;
            }
            segment.n_there -= 1;
            if segment.n_there == 0 {
                self.segments.remove(&number);
            }
        }
        true
    }

    /// Puts small and half empty segments together, so that a view of a million changes is not a million segments; the others are not touched.
    fn put_together(&mut self) -> Result<()> {
        let sparse = |s: &Segment| s.n_there < SEGMENT_ROWS / 2 || 2 * s.n_there < s.rows.num_rows();
        let (n_rows, n_held) = self.segments.values().fold((0, 0), |(there, held), s| (there + s.n_there, held + s.rows.num_rows()));
        if self.segments.values().filter(|s| sparse(s)).count() <= SEGMENTS && n_held <= 2 * n_rows + SEGMENTS * 16 {
            return Ok(());
        }
        let numbers: Vec<u64> = self.segments.iter().filter(|(_, s)| sparse(s)).map(|(number, _)| *number).collect();
        let mut there = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(segment) = self.segments.remove(&number) else { continue };
            let rows = segment.read()?;
            for row in self.net.bytes(&rows)? {
                let Some(places) = self.places.get_mut(&row) else { continue };
                // Any of its places in that segment: all of them go.
                if let Some(at) = places.iter().position(|(of, _)| *of == number) {
                    places.swap_remove(at);
                }
            }
            there.push(rows);
        }
        let all = concat_batches(&self.schema, &there)?;
        for from in (0..all.num_rows()).step_by(SEGMENT_ROWS) {
            self.add(&all.slice(from, SEGMENT_ROWS.min(all.num_rows() - from)))?;
        }
        Ok(())
    }

    /// What is there now, shared and not copied; it is read without the bag.
    pub(super) fn segments(&self) -> Vec<Segment> {
        self.segments.values().cloned().collect()
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.segments.values().map(|s| s.n_there as u64).sum()
    }

    pub(super) fn n_bytes(&self) -> u64 {
        let rows: usize = self.segments.values().map(|s| s.rows.get_array_memory_size() + s.there.len()).sum();
        let places: usize = self.places.iter().map(|(row, places)| row.len() + size_of_val(places.as_slice())).sum();
        (rows + places) as u64
    }

    /// One more who follows from here on; it reads its mail under the number given.
    pub(super) fn subscribe(&mut self) -> u64 {
        let number = self.next_follower;
        self.next_follower += 1;
        self.followers.insert(number, VecDeque::new());
        number
    }

    /// One less.
    pub(super) fn unsubscribe(&mut self, number: u64) {
        self.followers.remove(&number);
    }

    /// What has come since the last call.
    pub(super) fn mail(&mut self, number: u64) -> VecDeque<Event> {
        self.followers.get_mut(&number).map(std::mem::take).unwrap_or_default()
    }

    /// Tells everybody how far the view is.
    pub(super) fn watermark(&mut self, us: i64) {
        for mail in self.followers.values_mut() {
            if let Some(Event::Watermark(last)) = mail.back_mut() {
                *last = us;
            } else {
                mail.push_back(Event::Watermark(us));
            }
        }
    }

    fn post(&mut self, gone: RecordBatch, come: RecordBatch) -> Result<()> {
        if gone.num_rows() + come.num_rows() == 0 {
            return Ok(());
        }
        for mail in self.followers.values_mut() {
            mail.push_back(Event::Changes { gone: gone.clone(), come: come.clone() });
            if mail.len() > MAIL {
                // One who lags sees the steps that it has missed as one: its mail is never more than what it has and what is there now.
                let empty = || RecordBatch::new_empty(Arc::clone(&self.schema));
                let (mut step, mut watermark) = ((empty(), empty()), None);
                for event in mail.drain(..) {
                    match event {
                        Event::Changes { gone, come } => step = self.net.both(&step, &(gone, come))?,
                        Event::Watermark(us) => watermark = Some(us),
                        _ => {}
                    }
                }
                mail.push_back(Event::Changes { gone: step.0, come: step.1 });
                mail.extend(watermark.map(Event::Watermark));
            }
        }
        Ok(())
    }
}
