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

use super::commits::{Commit, Commits};
use super::held::Held;
use super::updating::{Segment, Updating};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, TimeColumn};
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
    stored: Mutex<Stored>,
    /// Changes with every commit and at the end.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Stored {
    commits: Commits,
    watermark_us: Option<i64>,
    end: Option<End>,
    /// The rows of a view that updates its answer; one that only grows has commits.
    updating: Option<Updating>,
    /// Whether retention waits: the queries over a view that was restored are still to be started, and have not read all of it.
    retention_waits: bool,
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
        Ok(MaterializedView { name: name.to_owned(), shape, counters, stored, changed: watch::Sender::new(0) })
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
        let retention_us = self.shape.retention_us.filter(|_| !stored.retention_waits);
        if let (Some(retention_us), Some(time)) = (retention_us, self.shape.time_columns.first()) {
            // At the end of its input a view keeps what it has: no time passes any more.
            if watermark_us != END_OF_TIME_US {
                let from_us = watermark_us.saturating_sub(retention_us);
                match &mut stored.updating {
                    Some(updating) => updating.drop_before(from_us)?,
                    None => stored.commits.drop_before(time.index, from_us),
                }
            }
        }
        drop(stored);
        self.changed.send_modify(|version| *version += 1);
        Ok(())
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
        self.follow_from(snapshot.then_some(0), None)
    }

    /// Errs if it has not come to the row of that number, from which a query over it would go on.
    pub(super) fn check_holds(&self, row: u64) -> Result<()> {
        let stored = self.stored.lock();
        if stored.updating.is_some() || row <= stored.commits.next_row() {
            return Ok(());
        }
        let message = format!("materialized view \"{}\" does not hold the rows that a query over it had", self.name);
        Err(Error::State { message, hint: Some("Start the query again.".into()) }.into())
    }

    /// The same from the row of that number on, or from the next that comes; `position` is told what is to be added to the rows given, so that
    /// it is the number of the next.
    pub(super) fn follow_from(self: &Arc<Self>, row: Option<u64>, position: Option<Arc<AtomicU64>>) -> EventStream {
        let snapshot = row.is_some();
        let changed = self.changed.subscribe();
        let mut stored = self.stored.lock();
        let (at, watermark_us) = match row {
            Some(row) => (stored.commits.first_row().max(row), i64::MIN),
            None => (stored.commits.next_row(), stored.watermark_us.unwrap_or(i64::MIN)),
        };
        let position = position.filter(|_| stored.updating.is_none()).inspect(|position| position.store(at, Ordering::Release));
        let now_us = stored.watermark_us;
        let (mail, held) = match &mut stored.updating {
            Some(updating) => (Some(updating.subscribe()), if snapshot { updating.segments() } else { Vec::new() }),
            None => (None, Vec::new()),
        };
        drop(stored);
        let mut follower = Follower {
            view: Arc::clone(self),
            changed,
            next_row: at,
            snapshot,
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

/// One who follows a view.
struct Follower {
    view: Arc<MaterializedView>,
    changed: watch::Receiver<u64>,
    next_row: u64,
    /// Whether the first look is still to come, whose rows share the watermark of the whole.
    snapshot: bool,
    watermark_us: i64,
    ready: VecDeque<Event>,
    ended: bool,
    /// Under which number its mail comes, from a view that takes rows back.
    mail: Option<u64>,
    /// Where it says how far it has given the rows of a view that only grows.
    position: Option<Arc<AtomicU64>>,
    /// For this: the number of the row behind each batch that is ready, and the rows given.
    ends: VecDeque<u64>,
    n_given: u64,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(number) = self.mail
            && let Some(updating) = &mut self.view.stored.lock().updating
        {
            updating.unsubscribe(number);
        }
    }
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if let (Event::Rows(rows), Some(position)) = (&event, &self.position)
                    && let Some(end) = self.ends.pop_front()
                {
                    self.n_given += rows.num_rows() as u64;
                    position.store(end.saturating_sub(self.n_given), Ordering::Release);
                }
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            // Marked as seen before the look, so that a commit between the two wakes it again.
            self.changed.borrow_and_update();
            self.look()?;
            if self.ready.is_empty() && !self.ended && self.changed.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn look(&mut self) -> Result<()> {
        let mut stored = self.view.stored.lock();
        if let (Some(number), Some(updating)) = (self.mail, &mut stored.updating) {
            self.ready.extend(updating.mail(number));
            if let Some(Event::Watermark(us)) = self.ready.back() {
                self.watermark_us = *us;
            }
        }
        let mut commits = stored.commits.from(self.next_row).peekable();
        while let Some(commit) = commits.next() {
            let skip = usize::try_from(self.next_row.saturating_sub(commit.first_row)).unwrap_or(usize::MAX).min(commit.rows.num_rows());
            self.ready.push_back(Event::Rows(commit.rows.slice(skip, commit.rows.num_rows() - skip)));
            self.next_row = commit.next_row();
            if self.position.is_some() {
                self.ends.push_back(self.next_row);
            }
            // Behind the last of one commit: those of the same that came after it would be late.
            let last = commits.peek().is_none_or(|next| next.watermark_us != commit.watermark_us);
            if !self.snapshot && last && commit.watermark_us > self.watermark_us {
                self.watermark_us = commit.watermark_us;
                self.ready.push_back(Event::Watermark(self.watermark_us));
            }
        }
        self.snapshot = false;
        if let Some(us) = stored.watermark_us.filter(|us| *us > self.watermark_us) {
            self.watermark_us = us;
            self.ready.push_back(Event::Watermark(us));
        }
        match &stored.end {
            None => {}
            Some(End::Whole) => {
                self.ended = true;
                if self.watermark_us != END_OF_TIME_US {
                    self.ready.push_back(Event::Watermark(END_OF_TIME_US));
                }
                self.ready.push_back(Event::End);
            }
            Some(End::Failed { code, message }) => {
                return Err(Error::Failed { name: self.view.name.clone(), code, message: message.clone() }.into());
            }
            Some(End::Dropped) => {
                let message = format!("materialized view \"{}\" was dropped", self.view.name);
                return Err(Error::State { message, hint: None }.into());
            }
        }
        Ok(())
    }
}
