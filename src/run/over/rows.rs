//! The rows of one partition that a frame may yet reach, each by its number from the first on, in few pieces: what comes is not copied with all that is there.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::compute::{SortOptions, concat_batches, interleave, take_record_batch};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::utils::{compare_rows, get_row_at_idx};
use datafusion::common::{ScalarValue, internal_datafusion_err};
use datafusion::error::Result;

use crate::plan::order::Order;

/// Rows of the longest piece that others are added to.
const MOST_ROWS: usize = 8_192;

/// What the rows are ordered by: the event time first.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    time: usize,
    others: Vec<usize>,
    options: Vec<SortOptions>,
}

impl Keys {
    pub(super) fn new(order: &[Order]) -> Keys {
        let others = order.get(1..).unwrap_or_default();
        Keys {
            time: order.first().map_or(0, |o| o.column),
            others: others.iter().map(|o| o.column).collect(),
            options: others.iter().map(|o| SortOptions { descending: o.descending, nulls_first: o.nulls_first }).collect(),
        }
    }

    /// The column of the event time.
    pub(super) fn time(&self) -> usize {
        self.time
    }
}

/// The rows. Numbers of rows that are gone, or have not come, are those of no row.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pieces: VecDeque<Piece>,
    first: usize,
    end: usize,
}

/// Rows that follow one another, from the one of that number on.
#[derive(Debug)]
struct Piece {
    first: usize,
    rows: RecordBatch,
    times: ScalarBuffer<i64>,
}

impl Piece {
    fn new(first: usize, rows: RecordBatch, keys: &Keys) -> Piece {
        let times = rows.column(keys.time).as_primitive::<TimestampMicrosecondType>().values().clone();
        Piece { first, rows, times }
    }

    fn end(&self) -> usize {
        self.first + self.rows.num_rows()
    }
}

impl Rows {
    /// The number of the first row that is kept.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// The number that the next row will have.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The time of the last row, µs.
    pub(super) fn last_us(&self) -> Option<i64> {
        self.pieces.back().and_then(|piece| piece.times.last().copied())
    }

    /// Rows come, none of them before those that are there. Of two pieces the earlier is the longer: a row is copied as often as the length can double.
    pub(super) fn push(&mut self, rows: RecordBatch, keys: &Keys) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let (mut first, mut rows) = (self.end, rows);
        self.end += rows.num_rows();
        while let Some(before) = self
            .pieces
            .pop_back_if(|before| before.rows.num_rows() <= rows.num_rows() && before.rows.num_rows() + rows.num_rows() <= MOST_ROWS)
        {
            let n_gone = self.first.saturating_sub(before.first).min(before.rows.num_rows());
            let kept = before.rows.slice(n_gone, before.rows.num_rows() - n_gone);
            rows = concat_batches(&rows.schema(), [&kept, &rows])?;
            first = before.first + n_gone;
        }
        self.pieces.push_back(Piece::new(first, rows, keys));
        Ok(())
    }

    /// The rows before that number go.
    pub(super) fn release(&mut self, until: usize, keys: &Keys) -> Result<()> {
        self.first = self.first.max(until.min(self.end));
        while self.pieces.pop_front_if(|piece| piece.end() <= self.first).is_some() {}
        if let Some(piece) = self.pieces.front_mut() {
            let (n_gone, n_rows) = (self.first - piece.first, piece.rows.num_rows());
            // A slice would keep the memory of all that it was cut from, and a copy of every row that stays costs more than half of them are worth.
            if n_gone > 0 && n_gone * 2 >= n_rows {
                let kept = UInt32Array::from_iter_values(n_gone as u32..n_rows as u32);
                *piece = Piece::new(self.first, take_record_batch(&piece.rows, &kept)?, keys);
            }
        }
        Ok(())
    }

    fn piece(&self, at: usize) -> Option<&Piece> {
        self.pieces.get(self.pieces.partition_point(|piece| piece.end() <= at))
    }

    /// The time of a row, µs; of one that has not come, the end of time.
    pub(super) fn time_us(&self, at: usize) -> i64 {
        let time = self.piece(at).and_then(|piece| piece.times.get(at.checked_sub(piece.first)?).copied());
        time.unwrap_or(i64::MAX)
    }

    /// The number of the first row that is not earlier, µs.
    pub(super) fn first_from(&self, us: i64) -> usize {
        let before = self.pieces.partition_point(|piece| piece.times.last().is_some_and(|last| *last < us));
        let Some(piece) = self.pieces.get(before) else { return self.end };
        (piece.first + piece.times.partition_point(|time| *time < us)).max(self.first)
    }

    /// How a row stands to a time, µs, and, if that is the time of a `peer`, to the peer by what else they are ordered by.
    pub(super) fn compare(&self, at: usize, us: i64, peer: Option<usize>, keys: &Keys) -> Result<Ordering> {
        let by_time = self.time_us(at).cmp(&us);
        match peer {
            Some(peer) if by_time.is_eq() && !keys.others.is_empty() && peer != at => {
                compare_rows(&self.others(at, keys)?, &self.others(peer, keys)?, &keys.options)
            }
            _ => Ok(by_time),
        }
    }

    fn others(&self, at: usize, keys: &Keys) -> Result<Vec<ScalarValue>> {
        let piece = self.piece(at).ok_or_else(|| internal_datafusion_err!("OVER lost a row that it keeps"))?;
        let columns: Vec<ArrayRef> = keys.others.iter().map(|column| Arc::clone(piece.rows.column(*column))).collect();
        get_row_at_idx(&columns, at - piece.first)
    }

    /// Rows that follow one another, in pieces.
    pub(super) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = RecordBatch> {
        let Range { start, end } = if range.is_empty() { 0..0 } else { range };
        let from = self.pieces.partition_point(|piece| piece.end() <= start);
        self.pieces.iter().skip(from).take_while(move |piece| piece.first < end).map(move |piece| {
            let (start, end) = (start.max(piece.first), end.min(piece.end()));
            piece.rows.slice(start - piece.first, end - start)
        })
    }

    /// Rows that follow one another, as one batch.
    pub(super) fn batch(&self, range: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch> {
        let pieces: Vec<RecordBatch> = self.pieces(range).collect();
        match pieces.as_slice() {
            [one] => Ok(one.clone()),
            several => Ok(concat_batches(schema, several)?),
        }
    }

    /// The values of a column in the rows of those numbers, and the one value of `otherwise` for None.
    pub(super) fn values(&self, column: usize, numbers: &[Option<usize>], otherwise: &ArrayRef) -> Result<ArrayRef> {
        let mut arrays: Vec<&dyn Array> = vec![otherwise.as_ref()];
        arrays.extend(self.pieces.iter().map(|piece| piece.rows.column(column).as_ref()));
        let place = |at: usize| {
            let number = self.pieces.partition_point(|piece| piece.end() <= at);
            Some((number + 1, at.checked_sub(self.pieces.get(number)?.first)?))
        };
        let places: Vec<(usize, usize)> = numbers.iter().map(|at| at.and_then(place).unwrap_or((0, 0))).collect();
        Ok(interleave(&arrays, &places)?)
    }

    /// Whether the value of a column is not NULL in a row.
    pub(super) fn valid(&self, column: usize, at: usize) -> bool {
        self.piece(at).is_some_and(|piece| at >= piece.first && piece.rows.column(column).is_valid(at - piece.first))
    }
}
