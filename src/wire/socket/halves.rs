//! The two halves of a client's socket: messages in, messages out, and never more than a few buffers of either in memory.

use bytes::{Buf, BytesMut};
use pgwire::messages::startup::Authentication;
use pgwire::messages::startup::PasswordMessageFamily;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::decode;
use super::tls::Tls;
use crate::error::Error;
use crate::wire::errors::Ended;

/// Bytes that a client may send ahead while its query runs; beyond that it waits in its own socket.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// Bytes of answers that are gathered before they are written.
const WRITE_BYTES: usize = 32 << 10;

/// What the client says.
pub(in crate::wire) struct Reader {
    half: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    started: bool,
    let_in: bool,
    ended: bool,
    /// The type of the message that was read last.
    kind: u8,
}

/// What the client is told.
pub(in crate::wire) struct Writer {
    half: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: BytesMut,
    tag: Tag,
}

/// What becomes of the command tag of a statement.
enum Tag {
    /// It is told at once.
    Told,
    /// It waits for the COMMIT of its transaction; None until the statement is done.
    Waits(Option<PgWireBackendMessage>),
}

/// What the first eight bytes of a connection ask for, if they ask for a way of speaking: a length of 8 and one of these numbers.
const SSL: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// Agrees on encryption and splits the connection; true if it is encrypted.
pub(in crate::wire) async fn open(mut stream: TcpStream, tls: Option<&Tls>) -> Result<(Reader, Writer, bool), Ended> {
    loop {
        let mut first = [0; 8];
        stream.read_exact(&mut first).await.map_err(|_| Ended::Gone)?;
        match (first, tls) {
            (SSL, Some(tls)) => {
                stream.write_all(b"S").await.map_err(|_| Ended::Gone)?;
                let stream = tls.acceptor.accept(stream).await.map_err(|_| Ended::Gone)?;
                let (read, write) = tokio::io::split(stream);
                let (reader, writer) = halves(Box::new(read), Box::new(write), &[]);
                return Ok((reader, writer, true));
            }
            (SSL | GSS, _) => stream.write_all(b"N").await.map_err(|_| Ended::Gone)?,
            _ => {
                let (read, write) = stream.into_split();
                let (reader, writer) = halves(Box::new(read), Box::new(write), &first);
                return Ok((reader, writer, false));
            }
        }
    }
}

fn halves(read: Box<dyn AsyncRead + Send + Unpin>, write: Box<dyn AsyncWrite + Send + Unpin>, first: &[u8]) -> (Reader, Writer) {
    let mut buffer = BytesMut::with_capacity(8 << 10);
    buffer.extend_from_slice(first);
    let reader = Reader { half: read, buffer, started: false, let_in: false, ended: false, kind: 0 };
    (reader, Writer { half: write, buffer: BytesMut::with_capacity(8 << 10), tag: Tag::Told })
}

impl Reader {
    /// From here on messages have a type byte.
    pub(in crate::wire) fn started(&mut self) {
        self.started = true;
    }

    /// From here on messages may be long.
    pub(super) fn let_in(&mut self) {
        self.let_in = true;
    }

    /// The next message, which must be what answers a request for a password.
    pub(in crate::wire) async fn password(&mut self) -> Result<BytesMut, Ended> {
        match self.next().await? {
            Some(PgWireFrontendMessage::PasswordMessageFamily(PasswordMessageFamily::Raw(body))) => Ok(body),
            Some(_) => Err(Ended::Fatal(Error::Protocol("expected SASL response".into()))),
            None => Err(Ended::Gone),
        }
    }

    /// The next message; None when the client has closed. Errs when the bytes are no message: then nothing after them can be read.
    pub(in crate::wire) async fn next(&mut self) -> Result<Option<PgWireFrontendMessage>, Ended> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            if self.ended || self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The type of the last message, if its text was none.
    pub(in crate::wire) fn unreadable(&self) -> u8 {
        self.kind
    }

    fn buffered(&mut self) -> Result<Option<PgWireFrontendMessage>, Ended> {
        self.kind = self.buffer.first().copied().unwrap_or(0);
        let message = if self.started { decode::next(&mut self.buffer, self.let_in) } else { decode::first(&mut self.buffer) };
        message.map_err(|error| match error {
            // The message was whole: what comes behind it can be read.
            error @ Error::Encode { .. } if self.let_in => Ended::Failed(error),
            error => Ended::Fatal(error),
        })
    }

    /// Whether the client has sent Sync next, or behind nothing but Close.
    pub(in crate::wire) fn syncs(&self) -> bool {
        let mut rest = self.buffer.as_ref();
        while let [kind, length @ ..] = rest {
            match (kind, length.first_chunk().map(|length| u32::from_be_bytes(*length) as usize)) {
                (b'S', Some(_)) => return true,
                (b'C', Some(length)) => rest = rest.get(length.saturating_add(1)..).unwrap_or_default(),
                _ => return false,
            }
        }
        false
    }

    /// Ends when the client closes its side; what it sends before that is kept for `next`.
    pub(in crate::wire) async fn closed(&mut self) {
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
    pub(in crate::wire) fn put(&mut self, message: PgWireBackendMessage) -> Result<(), Ended> {
        message.encode(&mut self.buffer).map_err(Ended::from)
    }

    /// Puts the command tag of a statement that is done.
    pub(in crate::wire) fn put_tag(&mut self, message: PgWireBackendMessage) -> Result<(), Ended> {
        match &mut self.tag {
            Tag::Told => self.put(message),
            Tag::Waits(tag) => {
                *tag = Some(message);
                Ok(())
            }
        }
    }

    /// The next command tag is not told before `tell_tag`.
    pub(in crate::wire) fn keep_tag(&mut self) {
        self.tag = Tag::Waits(None);
    }

    /// Tells the command tag that was kept.
    pub(in crate::wire) fn tell_tag(&mut self) -> Result<(), Ended> {
        match std::mem::replace(&mut self.tag, Tag::Told) {
            Tag::Waits(Some(message)) => self.put(message),
            Tag::Waits(None) | Tag::Told => Ok(()),
        }
    }

    /// The statement whose command tag was kept has failed.
    pub(in crate::wire) fn forget_tag(&mut self) {
        self.tag = Tag::Told;
    }

    /// The one byte or word that answers a request for encryption, or AuthenticationOk.
    pub(super) fn put_authenticated(&mut self) -> Result<(), Ended> {
        self.put(PgWireBackendMessage::Authentication(Authentication::Ok))
    }

    /// Whether so much is waiting that it should be written before more is made.
    pub(in crate::wire) fn full(&self) -> bool {
        self.buffer.len() >= WRITE_BYTES
    }

    /// Where rows are written behind the messages that wait.
    pub(in crate::wire) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether anything is waiting.
    pub(in crate::wire) fn waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Writes what is waiting. May be dropped halfway: the rest stays for the next call.
    pub(in crate::wire) async fn flush(&mut self) -> Result<(), Ended> {
        while self.buffer.has_remaining() {
            if self.half.write_buf(&mut self.buffer).await.map_err(|_| Ended::Gone)? == 0 {
                return Err(Ended::Gone);
            }
        }
        // Encryption has a buffer of its own.
        self.half.flush().await.map_err(|_| Ended::Gone)
    }

    /// Tells the client that nothing more comes.
    pub(in crate::wire) async fn close(&mut self) {
        // It may be gone already: there is nobody left to tell.
        let _ = self.half.shutdown().await;
    }
}
