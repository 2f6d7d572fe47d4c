//! `brightness(frame) -> float8`: how bright the picture is on average, 0 to 255.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::model::kernels::{Work, fastest};
use crate::pixels::luma_bytes;

sql_function!(
    Brightness, "brightness", arguments: [Frame], required: 1, returns: DataType::Float64,
    syntax: "brightness(frame) -> float8",
    description: "How bright the picture is: the mean of its luma (as grayscale gives it), from 0, black, to 255, white. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT frame_no, brightness(frame) FROM clip WHERE frame_no % 30 = 0"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let means = arguments.pictures(|_, picture| Ok(Some(mean(&luma_bytes(&decoder.decode(picture)?)?))))?;
    Ok(Arc::new(Float64Array::from(means)))
}

/// The mean of samples; 0 of none.
pub(super) fn mean(samples: &[u8]) -> f64 {
    fastest(Sum(samples)) as f64 / samples.len().max(1) as f64
}

struct Sum<'a>(&'a [u8]);

impl Work for Sum<'_> {
    type Made = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut all = 0;
        // Of so many that nothing wraps in 32 bits.
        for part in self.0.chunks(1 << 16) {
            let mut sum = 0_u32;
            for sample in part {
                sum = sum.wrapping_add(u32::from(*sample));
            }
            all += u64::from(sum);
        }
        all
    }
}
