//! `motion(frame [, threshold int4]) -> float8`: how much of the picture has changed since the frame before, 0 to 1.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::compared::{of_nothing, threshold};
use crate::previous::Pair;

sql_function!(
    Motion, "motion", arguments: [Frame, Int], required: 1, returns: DataType::Float64,
    syntax: "motion(frame [, threshold int4]) -> float8",
    description: "How much has changed since the frame before, frame_no - 1 of the source, whatever WHERE lets through: the share, 0 to 1, of pixels whose luma differs by more than threshold, \
25 of 255 unless given, a constant of 0 to 255. Compared at a longest side of 320 pixels, which takes the noise out. NULL for the first frame of a source, where the frame before is missing or of another size, for a NULL frame \
or threshold, or a picture that cannot be decoded. The frame is a source's own, not a derived one.",
    example: "SELECT frame_no, ts FROM clip WHERE motion(frame) > 0.02"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    of_nothing("motion", arguments, &DataType::Float64)
}

pub(super) fn compare(pairs: &[Option<Pair>], arguments: &Arguments) -> Result<ArrayRef> {
    let shares = pairs.iter().enumerate().map(|(row, pair)| {
        let Some(threshold) = threshold("motion", arguments, row)? else { return Ok(None) };
        Ok(pair.as_ref().map(|pair| share(pair, threshold)))
    });
    Ok(Arc::new(shares.collect::<Result<Float64Array>>()?))
}

fn share(pair: &Pair, threshold: u8) -> f64 {
    let (before, now) = pair.luma();
    let of_part = |(a, b): (&[u8], &[u8])| a.iter().zip(b).fold(0_u8, |n, (a, b)| n.wrapping_add(u8::from(a.abs_diff(*b) > threshold)));
    // As many as a byte counts.
    let changed: usize = before.chunks(255).zip(now.chunks(255)).map(|parts| usize::from(of_part(parts))).sum();
    changed as f64 / now.len().max(1) as f64
}
