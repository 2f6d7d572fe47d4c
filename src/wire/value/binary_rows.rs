//! COPY FROM STDIN in binary: its signature, then rows of fields behind their lengths, then its end, cut into messages anywhere.

use arrow::datatypes::FieldRef;
use bytes::{Buf, Bytes, BytesMut};
use datafusion::common::ScalarValue;
use pgwire::api::Type;

use super::{columns, parameters};
use crate::error::{Error, Result};

/// What every such COPY begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, and the length of an extension that no version has.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// Reads rows from bytes as they come.
pub(super) struct BinaryRows {
    /// The columns that come, with their types.
    columns: Vec<(Type, FieldRef)>,
    buffer: BytesMut,
    begun: bool,
    ended: bool,
    n_rows: usize,
}

impl BinaryRows {
    pub(in crate::wire) fn new(columns: Vec<FieldRef>) -> BinaryRows {
        let columns = columns.into_iter().map(|field| (columns::of_field(&field), field)).collect();
        BinaryRows { columns, buffer: BytesMut::new(), begun: false, ended: false, n_rows: 0 }
    }

    /// The rows that are whole now. Errs with 22P04 for bytes that are no rows of so many columns, and with 22P03 for a value that cannot be read.
    pub(in crate::wire) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<ScalarValue>>> {
        self.buffer.extend_from_slice(bytes);
        let mut rows = Vec::new();
        if !self.begin()? {
            return Ok(rows);
        }
        while !self.ended {
            let Some(row) = self.row()? else { break };
            rows.extend(row);
        }
        Ok(rows)
    }

    /// Errs with 22P04 if the last row is not whole. As in Postgres the trailer may be missing.
    pub(in crate::wire) fn finish(&self) -> Result<()> {
        match (self.begun, self.ended || self.buffer.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(bad("unexpected EOF in COPY data".into())),
            (false, _) => Err(bad("COPY file signature not recognized".into())),
        }
    }

    /// Whether the header has been read.
    fn begin(&mut self) -> Result<bool> {
        if self.begun {
            return Ok(true);
        }
        let Some(header) = self.buffer.get(..HEADER_BYTES) else { return Ok(false) };
        if !header.starts_with(SIGNATURE) {
            return Err(bad("COPY file signature not recognized".into()));
        }
        let mut rest = header.get(SIGNATURE.len()..).unwrap_or_default();
        let (flags, n_extension) = (rest.get_u32(), rest.get_u32() as usize);
        // The high half are flags without which the rest would be misread.
        if flags >> 16 != 0 {
            return Err(bad("unrecognized critical flags in COPY file header".into()));
        }
        if n_extension > u16::MAX.into() {
            return Err(bad("invalid COPY file header (wrong length)".into()));
        }
        if self.buffer.len() < HEADER_BYTES + n_extension {
            return Ok(false);
        }
        self.buffer.advance(HEADER_BYTES + n_extension);
        self.begun = true;
        Ok(true)
    }

    /// The next row; None until it is whole, and an inner None for the end.
    fn row(&mut self) -> Result<Option<Option<Vec<ScalarValue>>>> {
        let mut rest = self.buffer.as_ref();
        let Ok(n_fields) = rest.try_get_i16() else { return Ok(None) };
        if n_fields == -1 {
            self.ended = true;
            return Ok(Some(None));
        }
        if usize::try_from(n_fields).ok() != Some(self.columns.len()) {
            return Err(bad(format!("row field count is {n_fields}, expected {}", self.columns.len())));
        }
        let mut lengths = Vec::with_capacity(self.columns.len());
        for _ in &self.columns {
            let Ok(length) = rest.try_get_i32() else { return Ok(None) };
            let length = match length {
                -1 => None,
                length => Some(usize::try_from(length).map_err(|_| bad("invalid field size".into()))?),
            };
            if rest.len() < length.unwrap_or(0) {
                return Ok(None);
            }
            rest.advance(length.unwrap_or(0));
            lengths.push(length);
        }
        self.n_rows += 1;
        self.buffer.advance(2);
        let mut values = Vec::with_capacity(lengths.len());
        for (length, (data_type, field)) in lengths.into_iter().zip(&self.columns) {
            self.buffer.advance(4);
            let bytes: Option<Bytes> = length.map(|length| self.buffer.split_to(length).freeze());
            values.push(match bytes {
                None => ScalarValue::try_from(field.data_type())?,
                Some(bytes) => {
                    let wrong = || Error::Encode {
                        code: "22P03",
                        message: format!("incorrect binary data format in column \"{}\" of row {}", field.name(), self.n_rows),
                    };
                    parameters::of_binary(data_type, bytes).ok_or_else(wrong)?.cast_to(field.data_type())?
                }
            });
        }
        Ok(Some(Some(values)))
    }
}

fn bad(message: String) -> Error {
    Error::Data { code: "22P04", message, detail: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn copy(rows: &[u8]) -> Vec<u8> {
        [SIGNATURE.as_slice(), &[0; 8], rows].concat()
    }

    fn reader() -> BinaryRows {
        BinaryRows::new(vec![Arc::new(Field::new("n", DataType::Int32, true)), Arc::new(Field::new("name", DataType::Utf8, true))])
    }

    #[test]
    fn rows_come_however_they_are_cut() {
        let rows =
            [&[0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 2, b'h', b'i'][..], &[0, 2, 255, 255, 255, 255, 0, 0, 0, 0], &[255, 255]].concat();
        let text = |t: &str| ScalarValue::Utf8(Some(t.to_owned()));
        let expected = vec![vec![ScalarValue::Int32(Some(7)), text("hi")], vec![ScalarValue::Int32(None), text("")]];
        for cut in 1..copy(&rows).len() {
            let (mut reader, mut found) = (reader(), Vec::new());
            for part in copy(&rows).chunks(cut) {
                found.extend(reader.push(part).unwrap());
            }
            reader.finish().unwrap();
            assert_eq!(found, expected, "in parts of {cut}");
        }
    }

    #[test]
    fn what_is_no_copy_is_told() {
        let code = |bytes: &[u8]| {
            let mut reader = reader();
            reader.push(bytes).and_then(|_| reader.finish()).unwrap_err().sqlstate().to_owned()
        };
        assert_eq!(code(b"1,name\n2,other\n3,third\n"), "22P04");
        assert_eq!(code(&copy(&[0, 3])), "22P04");
        assert_eq!(code(&[]), "22P04");
        assert_eq!(code(&copy(&[0, 2, 0, 0])), "22P04");
        assert_eq!(code(&copy(&[0, 2, 0, 0, 0, 1, 7, 0, 0, 0, 0, 255, 255])), "22P03");
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.usize(0..40)).map(|_| if random.bool() { 0 } else { random.u8(..5) }).collect();
            let _ = reader().push(&copy(&bytes));
        }
    }
}
