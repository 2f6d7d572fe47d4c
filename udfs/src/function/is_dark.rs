//! `is_dark(frame [, below float8]) -> bool`: whether the picture is too dark to see much.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::brightness::mean;
use super::call::{Arguments, Decoder, sql_function};
use crate::pixels::luma_bytes;

/// What counts as dark where the query names nothing: a street by night without lamps.
const DARK: f64 = 40.0;

sql_function!(
    IsDark, "is_dark", arguments: [Frame, Float], required: 1, returns: DataType::Boolean,
    syntax: "is_dark(frame [, below float8]) -> bool",
    description: "Whether the picture is darker on average than below: its brightness, 0 to 255, against 40 unless given; a negative one, and NaN, is an error. NULL for a NULL frame or argument, or a picture that cannot be decoded.",
    example: "SELECT count(*) FILTER (WHERE is_dark(frame)) FROM clip"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let dark = arguments.pictures(|row, picture| {
        let below = if arguments.given(1) { arguments.amount(1, row, "threshold")? } else { Some(DARK) };
        let Some(below) = below else { return Ok(None) };
        Ok(Some(mean(&luma_bytes(&decoder.decode(picture)?)?) < below))
    })?;
    Ok(Arc::new(BooleanArray::from(dark)))
}
