//! The two halves of a client's socket: messages in, messages out, and never more than a few buffers of either in memory.

use bytes::{Buf, BytesMut};
use pgwire::messages::startup::Authentication;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::decode;
use super::errors::Ended;

/// Bytes that a client may send ahead while its query runs; beyond that it waits in its own socket.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// Bytes of answers that are gathered before they are written.
const WRITE_BYTES: usize = 32 << 10;

/// What the client says.
pub(super) struct Reader {
    half: OwnedReadHalf,
    buffer: BytesMut,
    started: bool,
    ended: bool,
}

/// What the client is told.
pub(super) struct Writer {
    half: OwnedWriteHalf,
    buffer: BytesMut,
}

/// Splits a new connection.
pub(super) fn split(stream: TcpStream) -> (Reader, Writer) {
    let (read, write) = stream.into_split();
    let reader = Reader { half: read, buffer: BytesMut::with_capacity(8 << 10), started: false, ended: false };
    (reader, Writer { half: write, buffer: BytesMut::with_capacity(8 << 10) })
}

impl Reader {
    /// From here on messages have a type byte.
    pub(super) fn started(&mut self) {
        self.started = true;
    }

    /// The next message; None when the client has closed. Errs when the bytes are no message: then nothing after them can be read.
    pub(super) async fn next(&mut self) -> Result<Option<PgWireFrontendMessage>, Ended> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            if self.ended || self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<PgWireFrontendMessage>, Ended> {
        let message = if self.started { decode::next(&mut self.buffer) } else { decode::first(&mut self.buffer) };
        message.map_err(Ended::Fatal)
    }

    /// Ends when the client closes its side; what it sends before that is kept for `next`.
    pub(super) async fn closed(&mut self) {
        loop {
            if self.ended {
                return;
            }
            if self.buffer.len() >= READ_AHEAD_BYTES {
                // It is still there and pipelines; a dead one is found by the next write.
                std::future::pending::<()>().await;
            }
            if !matches!(self.fill().await, Ok(1..)) {
                self.ended = true;
            }
        }
    }

    async fn fill(&mut self) -> Result<usize, Ended> {
        self.buffer.reserve(4 << 10);
        let n = self.half.read_buf(&mut self.buffer).await.map_err(|_| Ended::Gone)?;
        self.ended |= n == 0;
        Ok(n)
    }
}

impl Writer {
    /// Puts a message behind those that wait to be written.
    pub(super) fn put(&mut self, message: PgWireBackendMessage) -> Result<(), Ended> {
        message.encode(&mut self.buffer).map_err(Ended::from)
    }

    /// The one byte or word that answers a request for encryption, or AuthenticationOk.
    pub(super) fn put_authenticated(&mut self) -> Result<(), Ended> {
        self.put(PgWireBackendMessage::Authentication(Authentication::Ok))
    }

    /// Whether so much is waiting that it should be written before more is made.
    pub(super) fn full(&self) -> bool {
        self.buffer.len() >= WRITE_BYTES
    }

    /// Where rows are written behind the messages that wait.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether anything is waiting.
    pub(super) fn waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Writes what is waiting. May be dropped halfway: the rest stays for the next call.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        while self.buffer.has_remaining() {
            if self.half.write_buf(&mut self.buffer).await.map_err(|_| Ended::Gone)? == 0 {
                return Err(Ended::Gone);
            }
        }
        Ok(())
    }

    /// Tells the client that nothing more comes.
    pub(super) async fn close(&mut self) {
        // It may be gone already: there is nobody left to tell.
        let _ = self.half.shutdown().await;
    }
}
