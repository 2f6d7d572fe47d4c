//! The commits of a view that only grows: apart while they are new, for those who follow; together for those who read, and when they are old.

use std::collections::VecDeque;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;

/// Commits that are kept apart, so that one who follows sees each with its watermark; older ones are put together.
const COMMITS_APART: usize = 256;
/// Rows of a stored batch, once commits are put together.
const STORED_ROWS: usize = 8192;
/// Rows of the commits kept apart up to which those who read have them in one batch, which is kept beside them.
const RECENT_ROWS: usize = 65_536;

/// The rows of one firing, or of one batch.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    /// The number of its first row.
    pub(super) first_row: u64,
    /// Its rows.
    pub(super) rows: RecordBatch,
    /// Up to where the view was complete with it, µs.
    pub(super) watermark_us: i64,
}

impl Commit {
    /// The number of the row behind its last.
    pub(super) fn next_row(&self) -> u64 {
        self.first_row + self.rows.num_rows() as u64
    }
}

/// All commits, in their order.
#[derive(Debug, Default)]
pub(super) struct Commits {
    commits: VecDeque<Commit>,
    /// How many at the front have been put together already.
    n_full: usize,
    /// The number of the first row that is kept: what is before it, retention has dropped.
    first_row: u64,
    /// Those kept apart in one batch, made by the first who read it; it stands for them as long as its rows are theirs.
    recent: Option<Commit>,
}

/// What a snapshot is read from.
pub(super) struct Pieces {
    full: Vec<RecordBatch>,
    apart: Vec<Commit>,
}

impl Commits {
    /// Adds rows that are complete up to that time.
    pub(super) fn push(&mut self, rows: RecordBatch, watermark_us: i64) {
        let first_row = self.next_row();
        self.commits.push_back(Commit { first_row, rows, watermark_us });
    }

    /// The number of the first row that is kept.
    pub(super) fn first_row(&self) -> u64 {
        self.first_row
    }

    /// The number of the next row.
    pub(super) fn next_row(&self) -> u64 {
        self.commits.back().map_or(self.first_row, Commit::next_row)
    }

    /// The commits that hold that row and those behind it.
    pub(super) fn from(&self, row: u64) -> impl Iterator<Item = &Commit> {
        self.commits.range(self.commits.partition_point(|c| c.next_row() <= row)..)
    }

    /// Begins with the row of that number; nothing has been added yet.
    pub(super) fn begin_at(&mut self, row: u64) {
        self.first_row = row;
    }

    /// How many rows are kept.
    pub(super) fn n_rows(&self) -> u64 {
        self.next_row() - self.first_row
    }

    /// How many bytes they take in memory.
    pub(super) fn n_bytes(&self) -> u64 {
        self.commits.iter().chain(&self.recent).map(|c| c.rows.get_array_memory_size() as u64).sum()
    }

    /// What is there now, to be read without the lock of who holds it.
    pub(super) fn pieces(&self) -> Pieces {
        let n_full = self.n_full.min(self.commits.len());
        let full = self.commits.iter().take(n_full).map(|c| c.rows.clone()).collect();
        let first_row = self.commits.get(n_full).map(|c| c.first_row);
        let recent = self.recent.as_ref().filter(|c| Some(c.first_row) == first_row && c.next_row() == self.next_row());
        let apart = match recent {
            Some(recent) => vec![recent.clone()],
            None => self.commits.range(n_full..).cloned().collect(),
        };
        Pieces { full, apart }
    }

    /// Keeps the newest commits in the one batch that a reader has made of them.
    pub(super) fn keep(&mut self, recent: Commit) {
        self.recent = Some(recent);
    }

    /// Puts old small commits together, so that a view of a million windows is not a million batches.
    pub(super) fn put_together(&mut self, schema: &SchemaRef) -> Result<()> {
        if self.commits.len() < self.n_full + 2 * COMMITS_APART {
            return Ok(());
        }
        let newer = self.commits.split_off(self.n_full + COMMITS_APART);
        let mut old: Vec<Commit> = self.commits.split_off(self.n_full).into();
        let mut together = Vec::new();
        while !old.is_empty() {
            let full = old.iter().scan(0, |n_rows, c| {
                *n_rows += c.rows.num_rows();
                Some(*n_rows)
            });
            let n = full.take_while(|n_rows| *n_rows <= STORED_ROWS).count().clamp(1, old.len());
            let part: Vec<Commit> = old.drain(..n).collect();
            together.extend(in_one(schema, &part)?);
        }
        // The last of them may still take its neighbours.
        self.n_full += together.len().saturating_sub(1);
        self.commits.extend(together);
        self.commits.extend(newer);
        Ok(())
    }

    /// The number of the row behind those that were complete before that time, µs.
    pub(super) fn old_up_to(&self, us: i64) -> u64 {
        let young = self.commits.partition_point(|c| c.watermark_us < us);
        self.commits.get(young).map_or_else(|| self.next_row(), |c| c.first_row)
    }

    /// Drops rows with an event time before that one, or without any, from the front up to the first that stays, and no commit with the row `kept_from` or
    /// one behind it: the numbers of rows never change.
    pub(super) fn drop_before(&mut self, time: usize, us: i64, kept_from: u64) {
        while let Some(front) = self.commits.front().filter(|front| front.next_row() <= kept_from) {
            let times = front.rows.column(time).as_primitive::<TimestampMicrosecondType>();
            let (n_rows, n_old) = (front.rows.num_rows(), times.iter().take_while(|t| t.is_none_or(|t| t < us)).count());
            if n_old == 0 {
                break;
            }
            let (first_row, watermark_us) = (front.first_row + n_old as u64, front.watermark_us);
            let rows = front.rows.slice(n_old, n_rows - n_old);
            self.commits.pop_front();
            self.n_full = self.n_full.saturating_sub(1);
            self.recent = None;
            self.first_row = first_row;
            if n_old < n_rows {
                self.commits.push_front(Commit { first_row, rows, watermark_us });
                break;
            }
        }
    }
}

impl Pieces {
    /// The rows, and the commits kept apart in one batch if it was made for this: a short query must not begin a few hundred times.
    pub(super) fn read(self, schema: &SchemaRef) -> Result<(Vec<RecordBatch>, Option<Commit>)> {
        let Pieces { full: mut rows, apart } = self;
        let n_apart: usize = apart.iter().map(|c| c.rows.num_rows()).sum();
        if apart.len() < 2 || n_apart > RECENT_ROWS {
            rows.extend(apart.into_iter().map(|c| c.rows));
            return Ok((rows, None));
        }
        let recent = in_one(schema, &apart)?;
        rows.extend(recent.iter().map(|c| c.rows.clone()));
        Ok((rows, recent))
    }
}

/// Neighbours in one batch; None of none.
fn in_one(schema: &SchemaRef, commits: &[Commit]) -> Result<Option<Commit>> {
    let (Some(first), Some(last)) = (commits.first(), commits.last()) else { return Ok(None) };
    let rows = match commits {
        [one] => one.rows.clone(),
        several => concat_batches(schema, several.iter().map(|c| &c.rows))?,
    };
    Ok(Some(Commit { first_row: first.first_row, rows, watermark_us: last.watermark_us }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn row(n: i64) -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] =
            [("n", Arc::new(Int64Array::from(vec![n]))), ("ts", Arc::new(TimestampMicrosecondArray::from(vec![n])))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// The rows that a reader sees, in how many batches, and whether he made one.
    fn read(commits: &mut Commits) -> (Vec<i64>, usize, bool) {
        let (rows, recent) = commits.pieces().read(&row(0).schema()).unwrap();
        let made = recent.is_some();
        recent.into_iter().for_each(|recent| commits.keep(recent));
        let numbers = rows.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        (numbers, rows.len(), made)
    }

    #[test]
    fn readers_have_the_newest_commits_in_one_batch_that_is_made_once() {
        let mut commits = Commits::default();
        for n in 0..2_000 {
            commits.push(row(n), n);
            commits.put_together(&row(0).schema()).unwrap();
            if n % 7 == 0 {
                let (rows, n_batches, made) = read(&mut commits);
                assert_eq!(rows, (0..=n).collect::<Vec<_>>());
                assert!(n_batches <= 2, "{n_batches} batches of {n} rows");
                assert_eq!(made, n > 0);
                assert!(!read(&mut commits).2, "made twice");
            }
        }
        assert_eq!(commits.from(1_990).map(|c| (c.first_row, c.watermark_us)).next(), Some((1_990, 1_990)));
        commits.drop_before(1, 1_995, 1_990);
        assert_eq!(commits.first_row(), 1_990, "a row is still wanted");
        assert_eq!(commits.old_up_to(1_995), 1_995);
        commits.drop_before(1, 1_995, u64::MAX);
        assert_eq!(read(&mut commits).0, [1_995, 1_996, 1_997, 1_998, 1_999]);
        assert_eq!((commits.first_row(), commits.n_rows()), (1_995, 5));
    }
}
