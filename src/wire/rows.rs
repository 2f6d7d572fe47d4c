//! Rows to the client as they come: gathered while more are ready, flushed before a wait, never more of them in memory than one batch.

use std::task::Poll;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::cancel::Watch;
use super::columns::{Column, Format};
use super::errors::Ended;
use super::socket::Writer;
use super::{binary, text};
use crate::error::{Error, Result};

/// An answer that is being read. Dropping it cancels what makes it.
pub(super) struct Rows {
    stream: SendableRecordBatchStream,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    at: usize,
    ended: bool,
    scratch: String,
}

/// What one call of `send` did.
pub(super) struct Sent {
    /// Rows sent.
    pub(super) n_rows: usize,
    /// Whether there are no more.
    pub(super) ended: bool,
}

impl Rows {
    /// Rows of a stream that has not been read yet.
    pub(super) fn new(stream: SendableRecordBatchStream) -> Rows {
        Rows { stream, batch: None, at: 0, ended: false, scratch: String::new() }
    }

    /// Their schema.
    pub(super) fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.stream.schema()
    }

    /// Sends rows as DataRow until there are no more, or as many as `limit` have been sent.
    pub(super) async fn send(
        &mut self,
        watch: &mut Watch<'_>,
        writer: &mut Writer,
        columns: &[Column],
        limit: Option<usize>,
    ) -> Result<Sent, Ended> {
        self.each(watch, writer, limit, |out, scratch, batch, row| data_row(out, scratch, columns, batch, row)).await
    }

    /// Writes rows with `put`, which appends one message, as above. What it has appended when it errs is taken back.
    pub(super) async fn each(
        &mut self,
        watch: &mut Watch<'_>,
        writer: &mut Writer,
        limit: Option<usize>,
        mut put: impl FnMut(&mut BytesMut, &mut String, &RecordBatch, usize) -> Result<()>,
    ) -> Result<Sent, Ended> {
        let mut n_rows = 0;
        loop {
            if limit.is_some_and(|limit| n_rows >= limit) {
                return Ok(Sent { n_rows, ended: false });
            }
            let Some(batch) = &self.batch else {
                if self.fetch(watch, writer).await? {
                    continue;
                }
                return Ok(Sent { n_rows, ended: true });
            };
            if self.at >= batch.num_rows() {
                self.batch = None;
                continue;
            }
            let out = writer.buffer();
            let from = out.len();
            if let Err(e) = put(out, &mut self.scratch, batch, self.at) {
                out.truncate(from);
                return Err(e.into());
            }
            self.at += 1;
            n_rows += 1;
            if writer.full() {
                watch.over(writer.flush()).await??;
            }
        }
    }

    /// Takes the next batch; false if there is none. What is waiting to be written is written before it waits.
    async fn fetch(&mut self, watch: &mut Watch<'_>, writer: &mut Writer) -> Result<bool, Ended> {
        if self.ended {
            return Ok(false);
        }
        let mut waiting = writer.waiting();
        loop {
            let stream = &mut self.stream;
            let next = std::future::poll_fn(|context| match stream.poll_next_unpin(context) {
                Poll::Pending if waiting => Poll::Ready(None),
                other => other.map(Some),
            });
            match watch.over(next).await? {
                Some(Some(batch)) => {
                    self.batch = Some(batch.map_err(Error::from)?);
                    self.at = 0;
                    return Ok(true);
                }
                Some(None) => {
                    self.ended = true;
                    return Ok(false);
                }
                None => {
                    watch.over(writer.flush()).await??;
                    waiting = false;
                }
            }
        }
    }
}

fn data_row(out: &mut BytesMut, scratch: &mut String, columns: &[Column], batch: &RecordBatch, row: usize) -> Result<()> {
    out.put_u8(b'D');
    framed(out, |out| {
        out.put_i16(columns.len() as i16);
        for (column, array) in columns.iter().zip(batch.columns()) {
            value(out, scratch, column, array.as_ref(), row)?;
        }
        Ok(())
    })
}

/// Appends a value behind its length, -1 for NULL.
fn value(out: &mut BytesMut, scratch: &mut String, column: &Column, array: &dyn Array, row: usize) -> Result<()> {
    if column.format == Format::Binary {
        return binary::value(out, &column.data_type, array, row);
    }
    if array.is_null(row) || *array.data_type() == arrow::datatypes::DataType::Null {
        out.put_i32(-1);
        return Ok(());
    }
    scratch.clear();
    text::write(scratch, array, row)?;
    let length = i32::try_from(scratch.len()).map_err(|_| too_long())?;
    out.put_i32(length);
    out.put_slice(scratch.as_bytes());
    Ok(())
}

/// Appends the body of a message behind its length.
pub(super) fn framed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    let from = out.len();
    out.put_i32(0);
    body(out)?;
    let length = i32::try_from(out.len() - from).map_err(|_| too_long())?;
    if let Some(place) = out.get_mut(from..from + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn too_long() -> Error {
    Error::Encode { code: "54000", message: "a row is too long for the protocol".into() }
}
