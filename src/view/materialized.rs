//! A materialized view: the rows that its job has committed, read as snapshots that never block the writer, and followed from any of them on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::stream;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::claims::Claims;
use super::commits::{Commit, Commits};
use super::follower::Follower;
use super::held::Held;
use super::updating::{Segment, Updating};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{Claim, EventStream, TimeColumn};
use crate::metrics::JobCounters;

/// What a view is made of, known when it is created.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its columns.
    pub schema: SchemaRef,
    /// Those that carry event time.
    pub time_columns: Vec<TimeColumn>,
    /// Rows whose event time is further behind the watermark are dropped, µs; None keeps all.
    pub retention_us: Option<i64>,
    /// Whether its sources never end by themselves.
    pub live: bool,
    /// Whether its job takes rows back.
    pub updating: bool,
}

/// A view of the catalogue.
#[derive(Debug)]
pub struct MaterializedView {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// What its job counts.
    pub counters: Arc<JobCounters>,
    pub(super) stored: Mutex<Stored>,
    /// Changes with every commit and at the end.
    changed: watch::Sender<u64>,
    /// Changes when one whom the writer may wait for has taken rows, or has gone.
    pub(super) taken: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) commits: Commits,
    pub(super) watermark_us: Option<i64>,
    pub(super) end: Option<End>,
    /// The rows of a view that updates its answer; one that only grows has commits.
    pub(super) updating: Option<Updating>,
    /// Whose rows are kept for them.
    pub(super) claims: Claims,
    /// Rows before that time are old, µs; None before retention has begun.
    old_before_us: Option<i64>,
    /// Whether retention waits: the queries over a view that was restored are still to be started, and have not read all of it.
    retention_waits: bool,
}

impl Stored {
    /// Drops the old rows, but of those that somebody has a claim on no more than there is room for. `time` is the column of their event time.
    pub(super) fn drop_old(&mut self, time: Option<usize>) -> Result<()> {
        let (Some(us), Some(time)) = (self.old_before_us, time) else { return Ok(()) };
        match &mut self.updating {
            Some(updating) => updating.drop_before(us),
            None => {
                let kept_from = self.claims.kept_from(self.commits.old_up_to(us));
                self.commits.drop_before(time, us, kept_from);
                Ok(())
            }
        }
    }

    /// Whether the writer is to wait until somebody has taken old rows.
    fn crowded(&self) -> bool {
        self.old_before_us.is_some_and(|us| self.claims.crowded(self.commits.old_up_to(us)))
    }
}

/// How a view came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its sources ended: it holds the whole answer.
    Whole,
    /// Its job failed, for this reason.
    Failed {
        /// The SQLSTATE.
        code: &'static str,
        /// The message.
        message: String,
    },
    /// It was dropped.
    Dropped,
}

impl MaterializedView {
    /// An empty view; its job counts in `counters`. Errs if rows are to be taken back and have a column whose values cannot be compared.
    pub fn try_new(name: &str, shape: Shape, counters: Arc<JobCounters>) -> Result<MaterializedView> {
        let time = shape.time_columns.first().map(|time| time.index);
        let updating = shape.updating.then(|| Updating::try_new(&shape.schema, time)).transpose()?;
        let stored = Mutex::new(Stored { updating, ..Stored::default() });
        let (changed, taken) = (watch::Sender::new(0), watch::Sender::new(()));
        Ok(MaterializedView { name: name.to_owned(), shape, counters, stored, changed, taken })
    }

    /// Whether its job takes rows back.
    pub fn updating(&self) -> bool {
        self.shape.updating
    }

    /// Takes rows back and adds others: readers see all of it or nothing. Its time is that of the next commit.
    pub fn change(&self, gone: &RecordBatch, come: &RecordBatch) -> Result<()> {
        let mut stored = self.stored.lock();
        let Some(updating) = &mut stored.updating else {
            return Err(Error::Internal("changes in a view that only grows".into()).into());
        };
        let n_changed = updating.change(gone, come, self.shape.retention_us.is_some())?;
        drop(stored);
        self.counters.rows_out.add(n_changed as u64);
        self.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    /// Adds the rows of one firing, or of one batch: readers see all of them or none. A watermark of i64::MIN is none yet.
    pub fn commit(&self, rows: &[RecordBatch], watermark_us: i64) -> Result<()> {
        let mut stored = self.stored.lock();
        for rows in rows.iter().filter(|r| r.num_rows() > 0) {
            stored.commits.push(rows.clone(), watermark_us);
            self.counters.rows_out.add(rows.num_rows() as u64);
        }
        stored.watermark_us = stored.watermark_us.max(Some(watermark_us).filter(|us| *us != i64::MIN));
        stored.commits.put_together(&self.shape.schema)?;
        if let Some(updating) = &mut stored.updating {
            updating.watermark(watermark_us);
        }
        // At the end of its input a view keeps what it has: no time passes any more.
        if let Some(retention_us) = self.shape.retention_us.filter(|_| !stored.retention_waits && watermark_us != END_OF_TIME_US) {
            stored.old_before_us = Some(watermark_us.saturating_sub(retention_us));
            stored.drop_old(self.time())?;
        }
        drop(stored);
        self.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    /// The column by whose time its rows get old.
    pub(super) fn time(&self) -> Option<usize> {
        self.shape.time_columns.first().map(|time| time.index)
    }

    /// Waits, before the next commit, for those who read the view by themselves: what they have not read is kept for them beyond its retention, and that has an end.
    pub async fn room(&self) {
        if self.shape.retention_us.is_none() || self.shape.updating {
            return;
        }
        let mut taken = self.taken.subscribe();
        loop {
            // Marked as seen before the look, so that what is taken between the two wakes it again.
            taken.borrow_and_update();
            if !self.stored.lock().crowded() || taken.changed().await.is_err() {
                return;
            }
        }
    }

    /// Says that no more commits come.
    pub fn end(&self, end: End) {
        let mut stored = self.stored.lock();
        // A drop tells more than the end of the job that it causes.
        if stored.end.is_none() || end == End::Dropped {
            stored.end = Some(end);
        }
        drop(stored);
        self.changed.send_modify(|version| *version += 1);
    }

    /// Changes with every commit, and at its end.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How it ended; None while its job runs.
    pub fn ending(&self) -> Option<End> {
        self.stored.lock().end.clone()
    }

    /// Waits for its end.
    pub async fn ended_with(&self) -> End {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(end) = self.ending() {
                return end;
            }
            if changed.changed().await.is_err() {
                return End::Dropped;
            }
        }
    }

    /// Up to where it is complete, µs; None before the first watermark.
    pub fn watermark_us(&self) -> Option<i64> {
        self.stored.lock().watermark_us
    }

    /// How many rows it holds.
    pub fn n_rows(&self) -> u64 {
        let stored = self.stored.lock();
        match &stored.updating {
            Some(updating) => updating.n_rows(),
            None => stored.commits.n_rows(),
        }
    }

    /// How many bytes its rows take in memory.
    pub fn n_bytes(&self) -> u64 {
        let stored = self.stored.lock();
        match &stored.updating {
            Some(updating) => updating.n_bytes(),
            None => stored.commits.n_bytes(),
        }
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    /// The rows that are committed now. The view is held only while what it shares is named, and not while it is read.
    pub fn snapshot(&self) -> Result<Vec<RecordBatch>> {
        let stored = self.stored.lock();
        let segments = match &stored.updating {
            Some(updating) => updating.segments(),
            None => {
                let pieces = stored.commits.pieces();
                drop(stored);
                let (rows, recent) = pieces.read(&self.shape.schema)?;
                if let Some(recent) = recent {
                    self.stored.lock().commits.keep(recent);
                }
                return Ok(rows);
            }
        };
        drop(stored);
        segments.iter().map(Segment::read).collect()
    }

    /// What it holds, shared and not copied; of a view that only grows, the rows from that number on.
    pub fn held(&self, from_row: u64) -> Result<Held> {
        let stored = self.stored.lock();
        let watermark_us = stored.watermark_us;
        if let Some(updating) = &stored.updating {
            let segments = updating.segments();
            drop(stored);
            let rows = segments.iter().map(Segment::read).collect::<Result<_>>()?;
            return Ok(Held { rows, watermark_us, ..Held::default() });
        }
        let commits = &stored.commits;
        let first_row = commits.first_row().max(from_row);
        let part = |commit: &Commit| {
            let skip = usize::try_from(first_row.saturating_sub(commit.first_row)).unwrap_or(usize::MAX).min(commit.rows.num_rows());
            commit.rows.slice(skip, commit.rows.num_rows() - skip)
        };
        Ok(Held { first_row, rows: commits.from(first_row).map(part).collect(), next_row: commits.next_row(), watermark_us })
    }

    /// The number of its first row; those before it, retention has dropped.
    pub fn first_row(&self) -> u64 {
        self.stored.lock().commits.first_row()
    }

    /// Retention begins again: those that read what was restored have been started.
    pub fn all_started(&self) {
        self.stored.lock().retention_waits = false;
    }

    /// Takes up what it held before the program was started again; nobody has written to it yet. Until `all_started` retention drops nothing.
    pub fn restore(&self, held: Held) -> Result<()> {
        let mut stored = self.stored.lock();
        stored.retention_waits = true;
        stored.watermark_us = held.watermark_us;
        match &mut stored.updating {
            Some(updating) => {
                for rows in &held.rows {
                    updating.change(&RecordBatch::new_empty(Arc::clone(&self.shape.schema)), rows, false)?;
                }
            }
            None => {
                stored.commits.begin_at(held.first_row);
                for rows in held.rows.into_iter().filter(|r| r.num_rows() > 0) {
                    stored.commits.push(rows, held.watermark_us.unwrap_or(i64::MIN));
                }
                if stored.commits.next_row() != held.next_row {
                    return Err(Error::Internal("rows of a view are missing in its checkpoint".into()).into());
                }
            }
        }
        Ok(())
    }

    /// Follows the view: what it holds, unless `snapshot` is false, and then every commit with its watermark; none twice, none missed.
    pub fn follow(self: &Arc<Self>, snapshot: bool) -> EventStream {
        self.follow_from(snapshot.then_some(0), Claim::None, None)
    }

    /// Errs if it has not come to the row of that number, from which a query over it would go on.
    pub(super) fn check_holds(&self, row: u64) -> Result<()> {
        let stored = self.stored.lock();
        // A live one that ended by itself goes on from before its end: what only the end has given is given again, and was read.
        if stored.updating.is_some() || self.shape.live || row <= stored.commits.next_row() {
            return Ok(());
        }
        let message = format!("materialized view \"{}\" does not hold the rows that a query over it had", self.name);
        Err(Error::State { message, hint: Some("Start the query again.".into()) }.into())
    }

    /// The same from the row of that number on, or from the next that comes. Retention respects `claim`: one who has none, and has not taken rows when they are
    /// dropped, gets an error. `position` is told what is to be added to the rows given, so that it is the number of the next.
    pub(super) fn follow_from(self: &Arc<Self>, row: Option<u64>, claim: Claim, position: Option<Arc<AtomicU64>>) -> EventStream {
        let snapshot = row.is_some();
        let changed = self.changed.subscribe();
        let mut stored = self.stored.lock();
        let (at, watermark_us) = match row {
            Some(row) => (stored.commits.first_row().max(row), i64::MIN),
            None => (stored.commits.next_row(), stored.watermark_us.unwrap_or(i64::MIN)),
        };
        if let Some(row) = row.filter(|row| *row > 0 && *row < at) {
            let missing = at - row;
            tracing::warn!(
                view = self.name,
                missing,
                "a query over it was behind its retention at the last checkpoint: it goes on without these rows"
            );
        }
        let position = position.filter(|_| stored.updating.is_none()).inspect(|position| position.store(at, Ordering::Release));
        let now_us = stored.watermark_us;
        let snapshot_to = if snapshot { stored.commits.next_row() } else { 0 };
        let claim = if stored.updating.is_none() { stored.claims.add(claim, at) } else { None };
        let (mail, held) = match &mut stored.updating {
            Some(updating) => (Some(updating.subscribe()), if snapshot { updating.segments() } else { Vec::new() }),
            None => (None, Vec::new()),
        };
        drop(stored);
        let mut follower = Follower {
            view: Arc::clone(self),
            changed,
            next_row: at,
            claim,
            snapshot_to,
            watermark_us,
            ready: VecDeque::new(),
            ended: false,
            mail,
            position,
            ends: VecDeque::new(),
            n_given: 0,
        };
        for segment in &held {
            match segment.read() {
                Ok(rows) => follower.ready.push_back(Event::Rows(rows)),
                Err(e) => return Box::pin(stream::iter([Err(e)])),
            }
        }
        if let (Some(_), Some(us)) = (mail, now_us.filter(|us| *us > watermark_us)) {
            follower.watermark_us = us;
            follower.ready.push_back(Event::Watermark(us));
        }
        // What is there is its own from now on, though retention may drop it before it is asked for.
        if let Err(e) = follower.look() {
            return Box::pin(stream::iter([Err(e)]));
        }
        Box::pin(stream::try_unfold(follower, |mut f| async move { Ok(f.next().await?.map(|event| (event, f))) }))
    }
}
