//! A materialized view: the rows that its job has committed, read as snapshots that never block the writer, and followed from any of them on.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::commits::Commits;
use super::updating::{Segment, Updating};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, Request, Source, TimeColumn};
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
    name: String,
    shape: Shape,
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
        if let (Some(retention_us), Some(time)) = (self.shape.retention_us, self.shape.time_columns.first()) {
            // At the end of its input a view keeps what it has: no time passes any more.
            if watermark_us != END_OF_TIME_US {
                let from_us = watermark_us.saturating_sub(retention_us);
                match &mut stored.updating {
                    Some(updating) => updating.drop_before(from_us)?,
                    None => stored.commits.drop_before(time.index, from_us)?,
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

    /// Follows the view: what it holds, unless `snapshot` is false, and then every commit with its watermark; none twice, none missed.
    pub fn follow(self: &Arc<Self>, snapshot: bool) -> EventStream {
        let changed = self.changed.subscribe();
        let mut stored = self.stored.lock();
        let (at, watermark_us) = match snapshot {
            true => (stored.commits.first_row(), i64::MIN),
            false => (stored.commits.next_row(), stored.watermark_us.unwrap_or(i64::MIN)),
        };
        let now_us = stored.watermark_us;
        let (mail, held) = match &mut stored.updating {
            Some(updating) => (Some(updating.subscribe()), if snapshot { updating.segments() } else { Vec::new() }),
            None => (None, Vec::new()),
        };
        drop(stored);
        let mut follower =
            Follower { view: Arc::clone(self), changed, next_row: at, snapshot, watermark_us, ready: VecDeque::new(), ended: false, mail };
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
        for commit in stored.commits.from(self.next_row) {
            let skip = usize::try_from(self.next_row.saturating_sub(commit.first_row)).unwrap_or(usize::MAX).min(commit.rows.num_rows());
            self.ready.push_back(Event::Rows(commit.rows.slice(skip, commit.rows.num_rows() - skip)));
            self.next_row = commit.next_row();
            if !self.snapshot && commit.watermark_us > self.watermark_us {
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

/// A view as something to read from.
#[derive(Debug)]
pub struct ViewSource(pub Arc<MaterializedView>);

impl Source for ViewSource {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        self.0.shape.time_columns.clone()
    }

    fn live(&self) -> bool {
        self.0.shape.live
    }

    fn ended(&self) -> bool {
        self.0.ending().is_some()
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn now(&self) -> Option<Vec<RecordBatch>> {
        // Rows that could be filtered when they were asked for before can be filtered again.
        self.0.snapshot().ok()
    }

    fn takes_back(&self) -> bool {
        self.0.shape.updating
    }

    fn open(&self, request: &Request) -> Result<EventStream> {
        let projection = request.projection.clone();
        let skip = request.skip_rows;
        if request.continuous {
            let rows = self.0.follow(true);
            return Ok(Box::pin(stream::try_unfold((rows, projection, skip), |(mut rows, projection, mut skip)| async move {
                loop {
                    let Some(event) = rows.next().await.transpose()? else { return Ok(None) };
                    let event = match event {
                        Event::Rows(batch) => {
                            let n = usize::try_from(skip).unwrap_or(usize::MAX).min(batch.num_rows());
                            skip -= n as u64;
                            if n == batch.num_rows() {
                                continue;
                            }
                            Event::Rows(batch.slice(n, batch.num_rows() - n).project(&projection)?)
                        }
                        Event::Changes { .. } if skip > 0 => {
                            let message = "a query over a view that takes rows back cannot go on from a snapshot".to_owned();
                            return Err(Error::State { message, hint: Some("Start it again.".into()) }.into());
                        }
                        Event::Changes { gone, come } => {
                            Event::Changes { gone: gone.project(&projection)?, come: come.project(&projection)? }
                        }
                        other => other,
                    };
                    return Ok(Some((event, (rows, projection, skip))));
                }
            })));
        }
        if let Some(End::Failed { code, message }) = self.0.ending() {
            return Err(Error::Failed { name: self.0.name.clone(), code, message }.into());
        }
        let rows = self.0.snapshot()?.into_iter().map(move |b| Ok(Event::Rows(b.project(&projection)?)));
        Ok(Box::pin(stream::iter(rows.chain([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]))))
    }
}
