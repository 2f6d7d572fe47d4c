//! Drops the pixels and goes on to another thread: below it frames are decoded and looked at, above it rows are small.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::frame::{is_frame, without_pixels};
use framesql_udfs::interrupt;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Run;
use super::operator::{Operator, Output, row_by_row};
use crate::error::Error;
use crate::frame::source::{EventStream, until_end};

/// Events between the two threads; each holds rows without pixels.
const EVENTS_AHEAD: usize = 2;

/// The stack of the thread: expressions are as deep as they are written.
const STACK_BYTES: usize = 64 << 20;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detach {
    /// The columns, as they came.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Detach {
    pub(super) fn build(&self) -> DetachOperator {
        DetachOperator { schema: Arc::clone(&self.schema), frames: self.schema.fields().iter().map(|f| is_frame(f.data_type())).collect() }
    }
}

pub(super) struct DetachOperator {
    schema: SchemaRef,
    frames: Vec<bool>,
}

impl Operator for DetachOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        if !self.frames.contains(&true) {
            out.rows(rows);
            return Ok(());
        }
        let columns = rows
            .columns()
            .iter()
            .zip(&self.frames)
            .map(|(column, frame)| -> ArrayRef {
                if *frame { Arc::new(without_pixels(column.as_struct())) } else { Arc::clone(column) }
            })
            .collect();
        out.rows(RecordBatch::try_new(rows.schema(), columns)?);
        Ok(())
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let schema = Arc::clone(&self.schema);
        row_by_row(self, &schema, input, gone, come, out)
    }
}

/// Runs `events` on a thread of its own, so that no thread of the network or of other queries waits for a decoder or a model.
pub(super) fn on_thread(mut events: EventStream, run: &Run) -> Result<EventStream> {
    let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
    let handle = Handle::try_current().map_err(|e| Error::Internal(e.to_string()))?;
    let at_work = run.threads.start();
    // A function that is at one picture for minutes cannot see that its reader is gone: it looks at this.
    let unread = Unread::default();
    let flag = Arc::clone(&unread.0);
    let work = async move {
        loop {
            tokio::select! {
                // A reader that is gone is noticed even while a camera is silent.
                biased;
                () = sender.closed() => break,
                event = events.next() => match event {
                    Some(event) => if sender.send(event).await.is_err() { break },
                    None => break,
                },
            }
        }
    };
    std::thread::Builder::new()
        .name("frames".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            interrupt::heed(flag);
            handle.block_on(work);
            drop(at_work);
        })
        .map_err(|e| Error::io("could not start a thread", e))?;
    // It goes with the stream.
    Ok(Box::pin(until_end(receiver).inspect(move |_| {
        let _ = &unread;
    })))
}

/// Set when it is dropped.
#[derive(Default)]
struct Unread(Arc<AtomicBool>);

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
