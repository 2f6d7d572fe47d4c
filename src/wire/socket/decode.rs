//! Bytes to the messages of a client: every read is checked, so that a message that lies about itself is an error and never a panic.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::PgWireFrontendMessage as Message;
use pgwire::messages::SslNegotiationMetaMessage as Negotiation;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::copy::{CopyData, CopyDone, CopyFail};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Flush, Parse, Sync};
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::{GssEncRequest, PasswordMessageFamily, SecretKey, SslRequest, Startup};
use pgwire::messages::terminate::Terminate;

use crate::error::{Error, Result};

/// Bytes of the longest message that is read: a query or a parameter.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Bytes of the longest first message, as in Postgres.
const MAX_STARTUP_BYTES: usize = 10_000;

/// Protocol numbers that are none: what the first message asks for instead of a session.
const CANCEL: i32 = 80_877_102;
const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;

/// Takes the first message of a connection, which has no type byte; None until it is whole.
pub(in crate::wire) fn first(buffer: &mut BytesMut) -> Result<Option<Message>> {
    let Some(mut body) = frame(buffer, 0, MAX_STARTUP_BYTES)? else { return Ok(None) };
    let number = body.i32()?;
    Ok(Some(match number {
        SSL => Message::SslNegotiation(Negotiation::PostgresSsl(SslRequest::new())),
        GSS => Message::SslNegotiation(Negotiation::PostgresGss(GssEncRequest::new())),
        CANCEL => {
            let pid = body.i32()?;
            let secret = match <[u8; 4]>::try_from(body.0.as_ref()) {
                Ok(four) => SecretKey::I32(i32::from_be_bytes(four)),
                Err(_) => SecretKey::Bytes(body.0.split_off(0)),
            };
            Message::CancelRequest(CancelRequest::new(pid, secret))
        }
        _ => {
            let mut startup = Startup::new();
            startup.protocol_number_major = (number >> 16) as u16;
            startup.protocol_number_minor = number as u16;
            startup.parameters = parameters(&mut body)?;
            Message::Startup(startup)
        }
    }))
}

fn parameters(body: &mut Body) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    // The list ends with an empty name; some clients leave it out.
    while !body.0.is_empty() {
        let name = body.text()?;
        if name.is_empty() {
            break;
        }
        parameters.insert(name, body.text()?);
    }
    Ok(parameters)
}

/// Takes the next message; None until it is whole. Who has not been let in yet sends short ones only.
pub(in crate::wire) fn next(buffer: &mut BytesMut, let_in: bool) -> Result<Option<Message>> {
    let Some(&kind) = buffer.first() else { return Ok(None) };
    let Some(mut body) = frame(buffer, 1, if let_in { MAX_MESSAGE_BYTES } else { MAX_STARTUP_BYTES })? else { return Ok(None) };
    let message = match kind {
        b'Q' => Message::Query(Query::new(body.text()?)),
        b'P' => {
            let (name, sql) = (body.name()?, body.text()?);
            let n_types = body.count(4)?;
            let types = (0..n_types).map(|_| body.i32().map(|oid| oid as u32)).collect::<Result<_>>()?;
            Message::Parse(Parse::new(name, sql, types))
        }
        b'B' => {
            let (portal, statement) = (body.name()?, body.name()?);
            let formats = body.formats()?;
            let n_parameters = body.count(4)?;
            let parameters = (0..n_parameters).map(|_| body.value()).collect::<Result<_>>()?;
            Message::Bind(Bind::new(portal, statement, formats, parameters, body.formats()?))
        }
        b'D' => Message::Describe(Describe::new(body.u8()?, body.name()?)),
        b'E' => Message::Execute(Execute::new(body.name()?, body.i32()?)),
        b'C' => Message::Close(Close::new(body.u8()?, body.name()?)),
        b'S' => Message::Sync(Sync::new()),
        b'H' => Message::Flush(Flush::new()),
        b'X' => Message::Terminate(Terminate::new()),
        b'd' => Message::CopyData(CopyData::new(body.0.split_off(0))),
        b'c' => Message::CopyDone(CopyDone::new()),
        b'f' => Message::CopyFail(CopyFail::new(body.text()?)),
        b'p' => Message::PasswordMessageFamily(PasswordMessageFamily::Raw(BytesMut::from(body.0.split_off(0)))),
        other => return Err(Error::Protocol(format!("invalid frontend message type {other}"))),
    };
    match kind {
        b'd' => {}
        _ if !body.0.is_empty() => return Err(Error::Protocol("invalid message format".into())),
        _ => {}
    }
    Ok(Some(message))
}

/// Cuts off one whole message after `n_type` bytes of type; None until all of it is there.
fn frame(buffer: &mut BytesMut, n_type: usize, most: usize) -> Result<Option<Body>> {
    let Some(length) = buffer.get(n_type..n_type + 4) else { return Ok(None) };
    let length = length.try_into().map_or(0, u32::from_be_bytes) as usize;
    if !(4..=most).contains(&length) {
        return Err(Error::Protocol("invalid message length".into()));
    }
    if buffer.len() < n_type + length {
        return Ok(None);
    }
    let mut message = buffer.split_to(n_type + length);
    message.advance(n_type + 4);
    Ok(Some(Body(message.freeze())))
}

/// The rest of one message.
struct Body(Bytes);

impl Body {
    fn take(&mut self, n_bytes: usize) -> Result<Bytes> {
        if self.0.len() < n_bytes {
            return Err(Error::Protocol("insufficient data left in message".into()));
        }
        Ok(self.0.split_to(n_bytes))
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?.get_u8())
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(self.take(2)?.get_i16())
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(self.take(4)?.get_i32())
    }

    /// Text up to its zero byte. Errs with 22021 if it is none.
    fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|b| *b == 0).ok_or_else(|| Error::Protocol("invalid string in message".into()))?;
        let text = self.take(end + 1)?;
        match std::str::from_utf8(text.get(..end).unwrap_or_default()) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Error::Encode { code: "22021", message: "invalid byte sequence for encoding \"UTF8\"".into() }),
        }
    }

    /// A name; None is the unnamed one.
    fn name(&mut self) -> Result<Option<String>> {
        Ok(Some(self.text()?).filter(|name| !name.is_empty()))
    }

    /// A count of items of at least `n_bytes` each.
    fn count(&mut self, n_bytes: usize) -> Result<usize> {
        let count = usize::from(self.i16()? as u16);
        if count * n_bytes > self.0.len() {
            return Err(Error::Protocol("insufficient data left in message".into()));
        }
        Ok(count)
    }

    fn formats(&mut self) -> Result<Vec<i16>> {
        let n_formats = self.count(2)?;
        (0..n_formats).map(|_| self.i16()).collect()
    }

    /// A parameter; None is NULL.
    fn value(&mut self) -> Result<Option<Bytes>> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| Error::Protocol("invalid parameter length".into()))?).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(message: &Message) -> BytesMut {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes).unwrap();
        bytes
    }

    fn samples() -> Vec<Message> {
        vec![
            Message::Query(Query::new("SELECT 1".into())),
            Message::Parse(Parse::new(Some("s".into()), "SELECT $1".into(), vec![23, 0])),
            Message::Bind(Bind::new(None, Some("s".into()), vec![1], vec![Some(Bytes::from_static(b"\0\0\0\x07")), None], vec![1])),
            Message::Describe(Describe::new(b'S', Some("s".into()))),
            Message::Execute(Execute::new(None, 5)),
            Message::Close(Close::new(b'P', None)),
            Message::Sync(Sync::new()),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for message in samples() {
            assert_eq!(format!("{:?}", next(&mut encoded(&message), true).unwrap().unwrap()), format!("{message:?}"));
        }
        let mut startup = Startup::new();
        startup.parameters.insert("user".into(), "ada".into());
        let mut bytes = encoded(&Message::Startup(startup));
        let Some(Message::Startup(read)) = first(&mut bytes).unwrap() else { panic!("no startup message") };
        assert_eq!(read.parameters.get("user").map(String::as_str), Some("ada"));
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_part_of_a_message_waits_for_the_rest() {
        for message in samples() {
            let whole = encoded(&message);
            for length in 0..whole.len() {
                assert!(next(&mut BytesMut::from(&whole[..length]), true).unwrap().is_none());
            }
        }
    }

    #[test]
    fn changed_bytes_are_a_message_or_an_error() {
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..20_000 {
            let samples = samples();
            let mut bytes = encoded(&samples[round % samples.len()]);
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..bytes.len());
                bytes[at] = random.u8(..);
            }
            // Each call takes a whole message or errs, so this ends.
            while let Ok(Some(_)) = next(&mut bytes, true) {}
            let _ = first(&mut bytes);
        }
    }
}
