//! COPY TO STDOUT: rows as text, csv or Postgres' binary form, one message a row, as they come.

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

use super::written::Written;
use super::{binary, columns};
use crate::engine::relation::value_text as text;
use crate::error::Result;
use crate::plan::column_names as names;
use crate::plan::parse::copy::{CopyForm, CopyFormat, CopyHeader};
use crate::settings::TimeZone;
use crate::wire::errors::Ended;
use crate::wire::rows::{self, Patience, Rows};
use crate::wire::session::cancel::Watch;
use crate::wire::socket::halves::Writer;

/// What a binary COPY begins with: a signature, no flags, no extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Sends all rows, times in that zone, and gives their number.
pub(in crate::wire) async fn send(
    watch: &mut Watch<'_>,
    writer: &mut Writer,
    rows: &mut Rows,
    written: &Written,
    form: &CopyForm,
) -> Result<usize, Ended> {
    let (zone, format) = (rows.zone(), form.format);
    let schema = rows.schema();
    let n_columns = schema.fields().len();
    let shown: Vec<&str> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| written.names.of(at, n_columns).unwrap_or_else(|| names::without_mark(field.name())))
        .collect();
    let lines = Lines { form, forced: form.force_quote.among(&shown)? };
    let code = i16::from(format == CopyFormat::Binary);
    writer.put(Message::CopyOutResponse(CopyOutResponse::new(code as i8, n_columns as i16, vec![code; n_columns])))?;
    if form.header != CopyHeader::None {
        message(writer.buffer(), |out| {
            lines.header(out, &shown);
            Ok(())
        })?;
    }
    // With the first row, as Postgres sends it: there are clients that look for both in one message.
    let mut head = (format == CopyFormat::Binary).then_some(BINARY_HEADER);
    let types: Vec<_> = schema.fields().iter().enumerate().map(|(at, field)| columns::told(field, written.of(at, n_columns))).collect();
    let sent = rows.each(watch, writer, None, Patience::All, |out, scratch, batch, row| {
        message(out, |out| match format {
            CopyFormat::Text | CopyFormat::Csv => lines.row(out, scratch, batch, row, zone),
            CopyFormat::Binary => {
                out.put_slice(head.take().unwrap_or_default());
                out.put_i16(batch.num_columns() as i16);
                types
                    .iter()
                    .zip(batch.columns())
                    .try_for_each(|(data_type, array)| binary::value(out, data_type, array.as_ref(), row, zone))
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

/// Reads a value as text; false for NULL.
fn read(scratch: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<bool> {
    scratch.clear();
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(false);
    }
    text::write(scratch, array, row, zone)?;
    Ok(true)
}

/// How rows become lines.
struct Lines<'a> {
    form: &'a CopyForm,
    /// Which columns are always in quotes.
    forced: Vec<bool>,
}

impl Lines<'_> {
    fn header(&self, out: &mut BytesMut, names: &[&str]) {
        for (at, name) in names.iter().enumerate() {
            self.delimit(out, at);
            self.value(out, name, false, names.len());
        }
        out.put_u8(b'\n');
    }

    fn row(&self, out: &mut BytesMut, scratch: &mut String, batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
        for (at, array) in batch.columns().iter().enumerate() {
            self.delimit(out, at);
            if read(scratch, array.as_ref(), row, zone)? {
                self.value(out, scratch, self.forced.get(at).copied().unwrap_or(false), batch.num_columns());
            } else {
                out.put_slice(self.form.null.as_bytes());
            }
        }
        out.put_u8(b'\n');
        Ok(())
    }

    fn delimit(&self, out: &mut BytesMut, at: usize) {
        if at > 0 {
            out.put_u8(self.form.delimiter as u8);
        }
    }

    fn value(&self, out: &mut BytesMut, value: &str, forced: bool, n_columns: usize) {
        match self.form.format {
            CopyFormat::Csv => self.csv_value(out, value, forced, n_columns),
            _ => self.text_value(out, value),
        }
    }

    fn text_value(&self, out: &mut BytesMut, value: &str) {
        for byte in value.bytes() {
            let escaped = match byte {
                b'\\' => b'\\',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                8 => b'b',
                12 => b'f',
                11 => b'v',
                other if other == self.form.delimiter as u8 => other,
                plain => {
                    out.put_u8(plain);
                    continue;
                }
            };
            out.put_slice(&[b'\\', escaped]);
        }
    }

    fn csv_value(&self, out: &mut BytesMut, value: &str, forced: bool, n_columns: usize) {
        let CopyForm { delimiter, quote, escape, null, .. } = self.form;
        // What stands for NULL is quoted to be told from it; `\.` alone on a line would end the data.
        let alone = n_columns == 1 && value == "\\.";
        if !forced && !alone && value != null && !value.contains([*delimiter, *quote, '\n', '\r']) {
            return out.put_slice(value.as_bytes());
        }
        out.put_u8(*quote as u8);
        for byte in value.bytes() {
            if byte == *quote as u8 || byte == *escape as u8 {
                out.put_u8(*escape as u8);
            }
            out.put_u8(byte);
        }
        out.put_u8(*quote as u8);
    }
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
        let text = |form: &CopyForm, value: &str| written(|out| Lines { form, forced: Vec::new() }.text_value(out, value));
        let form = CopyForm::default();
        assert_eq!(text(&form, "a\tb\\c\nd|"), "a\\tb\\\\c\\nd|");
        assert_eq!(text(&CopyForm { delimiter: '|', ..form.clone() }, "a|b\t"), "a\\|b\\t");
        let csv = CopyForm { format: CopyFormat::Csv, delimiter: ',', null: String::new(), ..form };
        let value =
            |form: &CopyForm, value: &str, forced| written(|out| Lines { form, forced: Vec::new() }.csv_value(out, value, forced, 1));
        for (plain, quoted) in [("a", "a"), ("", "\"\""), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("\\.", "\"\\.\"")] {
            assert_eq!(value(&csv, plain, false), quoted);
        }
        assert_eq!(value(&csv, "a", true), "\"a\"");
        let other = CopyForm { delimiter: ';', null: "NULL".into(), quote: '\'', escape: '\\', ..csv };
        for (plain, quoted) in [("", ""), ("a,b", "a,b"), ("NULL", "'NULL'"), ("it's;\\", "'it\\'s;\\\\'")] {
            assert_eq!(value(&other, plain, false), quoted);
        }
    }
}
