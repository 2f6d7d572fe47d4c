//! `phash(frame) -> int8`: a number that pictures which look alike have almost in common.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::Picture;
use crate::pixels::{Damaged, luma_of_size};

/// The side of the picture that is transformed, px, and of the waves that are kept.
const SIDE: usize = 32;
const KEPT: usize = 8;

sql_function!(
    Phash, "phash", arguments: [Frame], required: 1, returns: DataType::Int64,
    syntax: "phash(frame) -> int8",
    description: "A number of 64 bits that pictures which look alike have almost in common (compare two by hamming_distance): the luma at 32 by 32, its cosine transform, and of the 64 slowest waves whether each is above their median. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT phash(frame) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let hashes = arguments.pictures(|_, picture| Ok(Some(hash(&small(&decoder.decode(picture)?)?))))?;
    Ok(Arc::new(Int64Array::from(hashes)))
}

fn small(picture: &Picture) -> Result<Buffer, Damaged> {
    luma_of_size(picture, (SIDE as u32, SIDE as u32))
}

/// The bits of the waves, row by row, the slowest first and in the highest bit.
fn hash(luma: &[u8]) -> i64 {
    let wave = |k: usize, at: usize| (std::f64::consts::PI * (2 * at + 1) as f64 * k as f64 / (2 * SIDE) as f64).cos();
    let mut waves = Vec::with_capacity(KEPT * KEPT);
    for v in 0..KEPT {
        for u in 0..KEPT {
            let mut sum = 0.0;
            for (y, row) in luma.chunks_exact(SIDE).enumerate() {
                let across: f64 = row.iter().enumerate().map(|(x, value)| f64::from(*value) * wave(u, x)).sum();
                sum += across * wave(v, y);
            }
            // What a cosine transform scales the first wave of each direction by.
            let scale = |k: usize| if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
            waves.push(sum * scale(u) * scale(v));
        }
    }
    let mut sorted = waves.clone();
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[KEPT * KEPT / 2 - 1] + sorted[KEPT * KEPT / 2]) / 2.0;
    // Of a picture of one colour every wave but the first is nothing, up to what rounding leaves of it.
    let bits = waves.iter().fold(0_u64, |bits, wave| bits << 1 | u64::from(*wave > median + 1e-6));
    i64::from_ne_bytes(bits.to_ne_bytes())
}
