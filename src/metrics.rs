//! Every counter: its name, its unit and what one more of it means.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

/// A number that only grows, read by `framesql.source_stats` and by the tests that count things.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls, and the highest that it has been.
#[derive(Debug, Default)]
pub struct Level {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Level {
    /// `n` more.
    pub fn add(&self, n: u64) {
        let now = self.now.fetch_add(n, Ordering::Relaxed) + n;
        self.highest.fetch_max(now, Ordering::Relaxed);
    }

    /// `n` fewer.
    pub fn sub(&self, n: u64) {
        self.now.fetch_sub(n, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The highest that it has been.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }
}

/// What happened to the pictures of one source, over all its readers.
#[derive(Debug, Default)]
pub struct SourceCounters {
    /// Packets read from the container or camera.
    pub frames_demuxed: Counter,
    /// Pictures that a decoder gave.
    pub frames_decoded: Counter,
    /// Pictures on the timeline that could not be decoded though pixels were asked for: their rows have a NULL frame.
    pub frames_failed: Counter,
    /// Samples that the container names and whose bytes are not in the file: they make no row.
    pub samples_missing: Counter,
    /// Bytes of pixels copied between the decoder and a function; the decoder's own output does not count.
    pub bytes_copied: Counter,
    /// Rows given to readers.
    pub rows: Counter,
    /// Records of a file of rows that could not be read and were left out (`on_error = 'skip'`).
    pub rows_failed: Counter,
    /// Rows that a reader of a live source was too slow for.
    pub frames_shed: Counter,
}

/// What one model did.
#[derive(Debug, Default)]
pub struct ModelCounters {
    /// Inferences run.
    pub calls: Counter,
    /// Inferences answered from the cache of results.
    pub cached: Counter,
    /// Inferences whose outputs held a number that is not finite: their results are NULL.
    pub failed: Counter,
}

/// What happened to the rows of one job.
#[derive(Debug, Default)]
pub struct JobCounters {
    /// Rows that reached the job's first operator above its sources.
    pub rows_in: Counter,
    /// Rows that the job wrote.
    pub rows_out: Counter,
    /// Rows dropped because every window they belong to had fired.
    pub n_late: Counter,
    /// Rows dropped from some of their windows only (HOP).
    pub n_partly_late: Counter,
    /// Rows whose event time is NULL.
    pub n_null_time: Counter,
    /// Windows fired.
    pub windows_fired: Counter,
    /// Rows that its joins keep.
    pub state_rows: Level,
    /// The last of the rows dropped.
    pub late_rows: Mutex<LateRows>,
}

/// A row that came too late for every window it belongs to.
#[derive(Clone, Debug)]
pub struct LateRow {
    /// The sources that the operator reads.
    pub source: String,
    /// Its event time, µs.
    pub ts_us: Option<i64>,
    /// The watermark that was past it, µs.
    pub watermark_us: i64,
    /// Who dropped it.
    pub operator: &'static str,
    /// The row as the operator saw it, alone in its batch, frames without pixels.
    pub row: RecordBatch,
}

impl LateRow {
    /// So many are kept of a job.
    pub const MOST: usize = 1_000;
}

/// The last rows that a job dropped, the oldest first.
#[derive(Debug, Default)]
pub struct LateRows(VecDeque<LateRow>);

impl LateRows {
    /// Keeps more; the oldest go.
    pub fn keep(&mut self, rows: impl Iterator<Item = LateRow>) {
        for row in rows {
            if self.0.len() == LateRow::MOST {
                self.0.pop_front();
            }
            self.0.push_back(row);
        }
    }

    /// Those kept.
    pub fn all(&self) -> Vec<LateRow> {
        self.0.iter().cloned().collect()
    }
}
