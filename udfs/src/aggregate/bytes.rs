//! What an accumulator keeps as bytes: whole numbers and texts one after another, the low byte first.

use arrow::array::{Array, ArrayRef, AsArray};
use datafusion_common::{Result, ScalarValue, internal_datafusion_err, internal_err};

/// Bytes that are read from the front.
pub(super) struct Kept<'a>(&'a [u8]);

impl<'a> Kept<'a> {
    /// Those of each row of a column; a NULL has none.
    pub(super) fn rows(column: &'a ArrayRef) -> Result<impl Iterator<Item = Kept<'a>>> {
        match column.as_binary_opt::<i32>() {
            Some(column) => Ok((0..column.len()).filter(|row| column.is_valid(*row)).map(|row| Kept(column.value(row)))),
            None => internal_err!("a state of {}", column.data_type()),
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or_else(|| internal_datafusion_err!("a state is cut off"))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(super) fn text(&mut self) -> Result<String> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(|| internal_datafusion_err!("a state is cut off"))?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| internal_datafusion_err!("a state holds no text"))
    }
}

/// Bytes that numbers and texts are put behind.
#[derive(Default)]
pub(super) struct Keeping(Vec<u8>);

impl Keeping {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// As a value of the state.
    pub(super) fn value(self) -> ScalarValue {
        ScalarValue::Binary(Some(self.0))
    }
}
