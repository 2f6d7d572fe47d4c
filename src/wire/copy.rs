//! COPY TO STDOUT: rows as text, csv or Postgres' binary form, one message a row, as they come.

use arrow::array::Array;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

use super::cancel::Watch;
use super::errors::Ended;
use super::rows::{self, Patience, Rows};
use super::socket::Writer;
use super::{binary, columns, text};
use crate::error::Result;
use crate::plan::column_names::{self as names, Names};
use crate::plan::parse::CopyFormat;
use crate::settings::TimeZone;

/// What a binary COPY begins with: a signature, no flags, no extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Sends all rows, times in that zone, and gives their number.
pub(super) async fn send(
    watch: &mut Watch<'_>,
    writer: &mut Writer,
    rows: &mut Rows,
    names: &Names,
    format: CopyFormat,
) -> Result<usize, Ended> {
    let zone = rows.zone();
    let schema = rows.schema();
    let n_columns = schema.fields().len();
    let code = i16::from(format == CopyFormat::Binary);
    writer.put(Message::CopyOutResponse(CopyOutResponse::new(code as i8, n_columns as i16, vec![code; n_columns])))?;
    match format {
        CopyFormat::Csv { header: true } => message(writer.buffer(), |out| {
            header(out, &schema, names);
            Ok(())
        })?,
        CopyFormat::Text | CopyFormat::Csv { .. } | CopyFormat::Binary => {}
    }
    // With the first row, as Postgres sends it: there are clients that look for both in one message.
    let mut head = (format == CopyFormat::Binary).then_some(BINARY_HEADER);
    let types: Vec<_> = schema.fields().iter().map(|field| columns::of_field(field)).collect();
    let sent = rows.each(watch, writer, None, Patience::All, |out, scratch, batch, row| {
        message(out, |out| match format {
            CopyFormat::Text => text_line(out, scratch, batch, row, zone),
            CopyFormat::Csv { .. } => csv_line(out, scratch, batch, row, zone),
            CopyFormat::Binary => {
                out.put_slice(head.take().unwrap_or_default());
                out.put_i16(batch.num_columns() as i16);
                types.iter().zip(batch.columns()).try_for_each(|(data_type, array)| binary::value(out, data_type, array.as_ref(), row))
            }
        })
    });
    let sent = sent.await?;
    if format == CopyFormat::Binary {
        message(writer.buffer(), |out| {
            out.put_slice(head.take().unwrap_or_default());
            out.put_i16(-1);
            Ok(())
        })?;
    }
    writer.put(Message::CopyDone(CopyDone::new()))?;
    Ok(sent.n_rows)
}

/// CopyData.
fn message(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    out.put_u8(b'd');
    rows::framed(out, body)
}

fn header(out: &mut BytesMut, schema: &Schema, names: &Names) {
    let n_columns = schema.fields().len();
    for (at, field) in schema.fields().iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        csv_value(out, names.of(at, n_columns).unwrap_or_else(|| names::without_mark(field.name())), n_columns);
    }
    out.put_u8(b'\n');
}

/// Reads a value as text; false for NULL.
fn read(scratch: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<bool> {
    scratch.clear();
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(false);
    }
    text::write(scratch, array, row, zone)?;
    Ok(true)
}

fn text_line(out: &mut BytesMut, scratch: &mut String, batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
    for (at, array) in batch.columns().iter().enumerate() {
        if at > 0 {
            out.put_u8(b'\t');
        }
        if read(scratch, array.as_ref(), row, zone)? {
            text_value(out, scratch);
        } else {
            out.put_slice(b"\\N");
        }
    }
    out.put_u8(b'\n');
    Ok(())
}

fn text_value(out: &mut BytesMut, value: &str) {
    for byte in value.bytes() {
        let escaped = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            11 => b'v',
            plain => {
                out.put_u8(plain);
                continue;
            }
        };
        out.put_slice(&[b'\\', escaped]);
    }
}

fn csv_line(out: &mut BytesMut, scratch: &mut String, batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
    for (at, array) in batch.columns().iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        // NULL is nothing, an empty text is quoted.
        if read(scratch, array.as_ref(), row, zone)? {
            csv_value(out, scratch, batch.num_columns());
        }
    }
    out.put_u8(b'\n');
    Ok(())
}

fn csv_value(out: &mut BytesMut, value: &str, n_columns: usize) {
    // `\.` alone on a line would end the data.
    let quoted = value.is_empty() || value.contains([',', '"', '\n', '\r']) || n_columns == 1 && value == "\\.";
    if !quoted {
        return out.put_slice(value.as_bytes());
    }
    out.put_u8(b'"');
    out.put_slice(value.replace('"', "\"\"").as_bytes());
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        put(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_escaped_as_copy_reads_them() {
        assert_eq!(written(|out| text_value(out, "a\tb\\c\nd")), "a\\tb\\\\c\\nd");
        for (value, csv) in [("a", "a"), ("", "\"\""), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("\\.", "\"\\.\"")] {
            assert_eq!(written(|out| csv_value(out, value, 1)), csv);
        }
    }
}
