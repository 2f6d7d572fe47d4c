//! `psnr(a frame, b frame) -> float8`: how near two pictures are, in decibels.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::Picture;
use crate::model::kernels::{Work, fastest};
use crate::pixels::{Order, render};

sql_function!(
    Psnr, "psnr", arguments: [Frame, Frame], required: 2, returns: DataType::Float64,
    syntax: "psnr(a frame, b frame) -> float8",
    description: "How near two pictures of one size are, in decibels: ten times the logarithm of 255 squared over the mean of the squared differences of red, green and blue, as OpenCV's PSNR; 30 is hard to tell apart by eye, infinity is the same. NULL for a NULL frame, pictures of two sizes, or a picture that cannot be decoded.",
    example: "SELECT psnr(frame, blur(frame, 3)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (mut first, mut second) = (Decoder::default(), Decoder::default());
    let values = arguments.pairs(|_, a, b| signal_to_noise(&first.decode(a)?, &second.decode(b)?))?;
    Ok(Arc::new(Float64Array::from(values)))
}

fn signal_to_noise(a: &Picture, b: &Picture) -> Result<Option<f64>> {
    if a.displayed() != b.displayed() {
        return Ok(None);
    }
    let (a, b) = (render(a, Order::Rgb, None)?, render(b, Order::Rgb, None)?);
    let squares = fastest(Squares { a: &a.data, b: &b.data });
    let mean = squares as f64 / a.data.len().max(1) as f64;
    Ok(Some(if squares == 0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() }))
}

/// The sum of the squared differences.
struct Squares<'a> {
    a: &'a [u8],
    b: &'a [u8],
}

impl Work for Squares<'_> {
    type Made = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        const PART: usize = 1 << 15;
        let mut all = 0;
        for (a, b) in self.a.chunks(PART).zip(self.b.chunks(PART)) {
            // Of so many that nothing wraps in 32 bits.
            let mut sum = 0_i32;
            for (a, b) in a.iter().zip(b) {
                let difference = i32::from(i16::from(*a).wrapping_sub(i16::from(*b)));
                sum = sum.wrapping_add(difference.wrapping_mul(difference));
            }
            all += u64::from(sum.cast_unsigned());
        }
        all
    }
}
