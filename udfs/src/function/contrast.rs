//! `contrast(frame) -> float8`: how far apart light and dark are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::model::kernels::{Work, fastest};
use crate::pixels::luma_bytes;

sql_function!(
    Contrast, "contrast", arguments: [Frame], required: 1, returns: DataType::Float64,
    syntax: "contrast(frame) -> float8",
    description: "How far apart light and dark are: the standard deviation of the luma, 0 for a picture of one brightness, at most 127.5. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT frame_no, contrast(frame) FROM clip WHERE frame_no % 30 = 0"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let deviations = arguments.pictures(|_, picture| Ok(Some(deviation(&luma_bytes(&decoder.decode(picture)?)?))))?;
    Ok(Arc::new(Float64Array::from(deviations)))
}

/// The standard deviation of samples; 0 of none.
fn deviation(samples: &[u8]) -> f64 {
    let n = samples.len().max(1) as f64;
    let (sum, squares) = fastest(Sums(samples));
    let mean = sum as f64 / n;
    (squares as f64 / n - mean * mean).max(0.0).sqrt()
}

/// The sum of samples and that of their squares.
struct Sums<'a>(&'a [u8]);

impl Work for Sums<'_> {
    type Made = (u64, u64);

    #[inline(always)]
    fn run(self) -> (u64, u64) {
        let mut all = (0, 0);
        // Of so many that nothing wraps in 32 bits.
        for part in self.0.chunks(1 << 15) {
            let (mut sum, mut squares) = (0_u32, 0_u32);
            for sample in part {
                let value = u32::from(*sample);
                sum = sum.wrapping_add(value);
                squares = squares.wrapping_add(value.wrapping_mul(value));
            }
            all = (all.0 + u64::from(sum), all.1 + u64::from(squares));
        }
        all
    }
}
