//! Rows to the client as they come: gathered while more are ready, flushed before a wait, never more of them in memory than one batch.

use std::task::Poll;
use std::time::Duration;

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use pgwire::api::Type;

use super::errors::Ended;
use super::session::cancel::Watch;
use super::socket::halves::Writer;
use super::value::binary;
use super::value::columns::{Column, Format};
use crate::engine::relation::value_text as text;
use crate::error::{Error, Result};
use crate::settings::TimeZone;

/// An answer that is being read. Dropping it cancels what makes it.
pub(super) struct Rows {
    stream: SendableRecordBatchStream,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    at: usize,
    ended: bool,
    scratch: String,
    /// The zone in which times are shown.
    zone: TimeZone,
}

/// What one call of `send` did.
pub(super) struct Sent {
    /// Rows sent.
    pub(super) n_rows: usize,
    /// Whether there are no more.
    pub(super) ended: bool,
}

impl Rows {
    /// Rows of a stream that has not been read yet, whose times are shown in that zone.
    pub(super) fn new(stream: SendableRecordBatchStream, zone: TimeZone) -> Rows {
        Rows { stream, batch: None, at: 0, ended: false, scratch: String::new(), zone }
    }

    /// The zone in which their times are shown.
    pub(super) fn zone(&self) -> TimeZone {
        self.zone
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
        patience: Patience,
    ) -> Result<Sent, Ended> {
        let zone = self.zone;
        self.each(watch, writer, limit, patience, |out, scratch, batch, row| data_row(out, scratch, columns, batch, row, zone)).await
    }

    /// Writes rows with `put`, which appends one message, as above. What it has appended when it errs is taken back.
    pub(super) async fn each(
        &mut self,
        watch: &mut Watch<'_>,
        writer: &mut Writer,
        limit: Option<usize>,
        patience: Patience,
        mut put: impl FnMut(&mut BytesMut, &mut String, &RecordBatch, usize) -> Result<()>,
    ) -> Result<Sent, Ended> {
        let mut n_rows = 0;
        loop {
            if limit.is_some_and(|limit| n_rows >= limit) {
                return Ok(Sent { n_rows, ended: false });
            }
            let Some(batch) = &self.batch else {
                match self.fetch(watch, writer, patience.now(n_rows)).await? {
                    Next::Rows => continue,
                    Next::End => return Ok(Sent { n_rows, ended: true }),
                    Next::NotYet => return Ok(Sent { n_rows, ended: false }),
                }
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

    /// Takes the next batch. What is waiting to be written is written before it waits.
    async fn fetch(&mut self, watch: &mut Watch<'_>, writer: &mut Writer, at_most: Option<Duration>) -> Result<Next, Ended> {
        if self.ended {
            return Ok(Next::End);
        }
        let mut waiting = writer.waiting();
        loop {
            let stream = &mut self.stream;
            let next = std::future::poll_fn(|context| match stream.poll_next_unpin(context) {
                Poll::Pending if waiting => Poll::Ready(None),
                other => other.map(Some),
            });
            let next = watch.over(next);
            let next = match at_most {
                // It is asked once even if there is no time to wait.
                Some(time) if !waiting => match tokio::time::timeout(time, next).await {
                    Ok(next) => next?,
                    Err(_) => return Ok(Next::NotYet),
                },
                _ => next.await?,
            };
            match next {
                Some(Some(batch)) => {
                    self.batch = Some(batch.map_err(Error::from)?);
                    self.at = 0;
                    return Ok(Next::Rows);
                }
                Some(None) => {
                    self.ended = true;
                    return Ok(Next::End);
                }
                None => {
                    watch.over(writer.flush()).await??;
                    waiting = false;
                }
            }
        }
    }
}

/// What came of waiting for a batch.
enum Next {
    Rows,
    End,
    NotYet,
}

/// How long rows are waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Patience {
    /// Until there are as many as were asked for.
    All,
    /// At most so long for the first; those that are there then are enough.
    First(Duration),
}

impl Patience {
    /// The time left to wait with so many rows at hand.
    fn now(self, n_rows: usize) -> Option<Duration> {
        match self {
            Patience::All => None,
            Patience::First(time) => Some(if n_rows == 0 { time } else { Duration::ZERO }),
        }
    }
}

fn data_row(out: &mut BytesMut, scratch: &mut String, columns: &[Column], batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
    out.put_u8(b'D');
    framed(out, |out| {
        out.put_i16(columns.len() as i16);
        for (column, array) in columns.iter().zip(batch.columns()) {
            value(out, scratch, column, array.as_ref(), row, zone)?;
        }
        Ok(())
    })
}

/// Appends a value behind its length, -1 for NULL.
fn value(out: &mut BytesMut, scratch: &mut String, column: &Column, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    if column.format == Format::Binary {
        return binary::value(out, &column.data_type, array, row, zone);
    }
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.put_i32(-1);
        return Ok(());
    }
    scratch.clear();
    match column.data_type {
        Type::INT2_VECTOR | Type::OID_VECTOR if matches!(array.data_type(), DataType::List(_)) => text::vector(scratch, array, row, zone)?,
        _ => text::write(scratch, array, row, zone)?,
    }
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
