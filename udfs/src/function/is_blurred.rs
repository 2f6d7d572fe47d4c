//! `is_blurred(frame [, below float8]) -> bool`: whether the picture is out of focus.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::sharpness::laplacian_variance;
use crate::pixels::luma_bytes;

/// What counts as blurred where the query names nothing (Pech-Pacheco et al., ICPR 2000, and common practice with it).
const BLURRED: f64 = 100.0;

sql_function!(
    IsBlurred, "is_blurred", arguments: [Frame, Float], required: 1, returns: DataType::Boolean,
    syntax: "is_blurred(frame [, below float8]) -> bool",
    description: "Whether the picture has little fine detail: its sharpness against 100 unless given, which is what a photograph out of focus has. A negative one, and NaN, is an error. Compare pictures of one size. NULL for a NULL frame or argument, or a picture that cannot be decoded.",
    example: "SELECT count(*) FILTER (WHERE is_blurred(frame)) FROM clip"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let blurred = arguments.pictures(|row, picture| {
        let below = if arguments.given(1) { arguments.amount(1, row, "threshold")? } else { Some(BLURRED) };
        let Some(below) = below else { return Ok(None) };
        Ok(Some(laplacian_variance(&luma_bytes(&decoder.decode(picture)?)?, picture.width as usize) < below))
    })?;
    Ok(Arc::new(BooleanArray::from(blurred)))
}
