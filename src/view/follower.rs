//! One who follows a view from a row on: the commits that are there, and then each that comes with its watermark.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::Result;
use tokio::sync::watch;

use super::commits::Commits;
use super::materialized::{End, MaterializedView};
use crate::error::Error;
use crate::event::{END_OF_TIME_US, Event};

/// Rows of which those are whole that are made ready at a time for one who has a claim on the others: what is ready is its own, and no longer counted.
const ROWS_AT_A_TIME: usize = 8192;

/// One who follows a view.
pub(super) struct Follower {
    pub(super) view: Arc<MaterializedView>,
    pub(super) changed: watch::Receiver<u64>,
    pub(super) next_row: u64,
    /// Under which number it has a claim on the rows that it has not taken.
    pub(super) claim: Option<u64>,
    /// The number of the row behind those that were there when it began: they share the watermark of the whole.
    pub(super) snapshot_to: u64,
    pub(super) watermark_us: i64,
    pub(super) ready: VecDeque<Event>,
    pub(super) ended: bool,
    /// Under which number its mail comes, from a view that takes rows back.
    pub(super) mail: Option<u64>,
    /// Where it says how far it has given the rows of a view that only grows.
    pub(super) position: Option<Arc<AtomicU64>>,
    /// For this: the number of the row behind each batch that is ready, and the rows given.
    pub(super) ends: VecDeque<u64>,
    pub(super) n_given: u64,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(number) = self.claim {
            self.view.stored.lock().claims.remove(number);
            self.view.taken.send_replace(());
        }
        if let Some(number) = self.mail
            && let Some(updating) = &mut self.view.stored.lock().updating
        {
            updating.unsubscribe(number);
        }
    }
}

impl Follower {
    /// The next event; None behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
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

    /// Makes ready what there is: of rows that are kept for it some at a time.
    pub(super) fn look(&mut self) -> Result<()> {
        let view = Arc::clone(&self.view);
        let mut stored = view.stored.lock();
        if let (Some(number), Some(updating)) = (self.mail, &mut stored.updating) {
            self.ready.extend(updating.mail(number));
            if let Some(Event::Watermark(us)) = self.ready.back() {
                self.watermark_us = *us;
            }
        }
        let dropped = stored.commits.first_row().saturating_sub(self.next_row);
        if dropped > 0 && stored.updating.is_none() {
            return Err(self.too_slow(dropped).into());
        }
        let all = self.take(&stored.commits);
        if let Some(number) = self.claim {
            stored.claims.moved(number, self.next_row);
            stored.drop_old(view.time())?;
            view.taken.send_replace(());
        }
        if !all {
            return Ok(());
        }
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

    /// Makes rows of the commits ready; whether those are all.
    fn take(&mut self, commits: &Commits) -> bool {
        let mut n_taken = 0;
        let mut commits = commits.from(self.next_row).peekable();
        while let Some(commit) = commits.next_if(|_| self.claim.is_none() || n_taken < ROWS_AT_A_TIME) {
            n_taken += commit.rows.num_rows();
            let skip = usize::try_from(self.next_row.saturating_sub(commit.first_row)).unwrap_or(usize::MAX).min(commit.rows.num_rows());
            self.ready.push_back(Event::Rows(commit.rows.slice(skip, commit.rows.num_rows() - skip)));
            self.next_row = commit.next_row();
            if self.position.is_some() {
                self.ends.push_back(self.next_row);
            }
            // Behind the last of one commit: those of the same that came after it would be late.
            let last = commits.peek().is_none_or(|next| next.watermark_us != commit.watermark_us);
            if self.next_row > self.snapshot_to && last && commit.watermark_us > self.watermark_us {
                self.watermark_us = commit.watermark_us;
                self.ready.push_back(Event::Watermark(self.watermark_us));
            }
        }
        commits.peek().is_none()
    }

    fn too_slow(&self, dropped: u64) -> Error {
        let message = format!("materialized view \"{}\" has dropped {dropped} rows by its retention before they were read", self.view.name);
        Error::State { message, hint: Some("Read faster, or create the view with a longer retention.".into()) }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::TimestampMicrosecondType;
    use datafusion::arrow::record_batch::RecordBatch;
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::frame::source::{Claim, EventStream, TimeColumn};
    use crate::view::materialized::Shape;

    const N_ROWS: i64 = 1_000;

    fn rows(from: i64) -> RecordBatch {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(from..from + N_ROWS));
        RecordBatch::try_from_iter([("ts", times)]).unwrap()
    }

    fn view() -> Arc<MaterializedView> {
        let time_columns = vec![TimeColumn { index: 0, lag_us: 0 }];
        let shape = Shape { schema: rows(0).schema(), time_columns, retention_us: Some(N_ROWS), live: true, updating: false };
        Arc::new(MaterializedView::try_new("v", shape, Arc::default()).unwrap())
    }

    fn commit(view: &MaterializedView, n: i64) {
        view.commit(&[rows(n * N_ROWS)], (n + 1) * N_ROWS).unwrap();
    }

    /// The times of the next rows that are there.
    fn next(events: &mut EventStream) -> Option<Vec<i64>> {
        while let Some(Some(event)) = events.next().now_or_never() {
            if let Event::Rows(rows) = event.unwrap() {
                return Some(rows.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec());
            }
        }
        None
    }

    #[test]
    fn retention_keeps_what_a_job_has_not_read_and_the_writer_waits_for_it() {
        let view = view();
        let mut job = view.follow_from(Some(0), Claim::RowsAndWriter, None);
        let mut n = 0;
        while view.room().now_or_never().is_some() {
            commit(&view, n);
            n += 1;
        }
        assert_eq!((n, view.first_row()), (68, 0), "what is old and unread is less than the room, or more");
        for read in 0..n {
            assert_eq!(next(&mut job).unwrap(), (read * N_ROWS..(read + 1) * N_ROWS).collect::<Vec<_>>());
        }
        assert_eq!(next(&mut job), None);
        assert!(view.room().now_or_never().is_some(), "nobody is waited for any more");
        assert_eq!(view.n_rows(), 1_000, "what was read is dropped at once");
        // One that has gone claims nothing.
        commit(&view, n);
        drop(job);
        commit(&view, n + 1);
        assert_eq!(view.n_rows(), 1_000);
    }

    #[test]
    fn a_client_that_falls_behind_the_retention_is_told_and_holds_up_nobody() {
        let view = view();
        commit(&view, 0);
        let mut client = view.follow_from(Some(0), Claim::None, None);
        commit(&view, 1);
        commit(&view, 2);
        assert_eq!(view.n_rows(), 1_000);
        assert_eq!(next(&mut client).unwrap().len(), 1_000, "what was there is its own");
        let mut told = None;
        while let Some(Some(event)) = client.next().now_or_never() {
            told = told.or(event.err());
        }
        let told = Error::from(told.expect("rows are missing in silence"));
        assert_eq!(told.sqlstate(), "55000");
        assert_eq!(told.to_string(), "materialized view \"v\" has dropped 1000 rows by its retention before they were read");
    }
}
