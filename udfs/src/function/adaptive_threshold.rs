//! `adaptive_threshold(frame, size int4, below float8) -> FRAME`: the picture in black and white, in uneven light too.

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{LARGEST, Samples, mean, nearest};
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{luma, mapped};

sql_function!(
    AdaptiveThreshold, "adaptive_threshold", arguments: [Frame, Int, Float], required: 3, returns: frame_type(),
    syntax: "adaptive_threshold(frame, size int4, below float8) -> FRAME",
    description: "The picture in black and white: white where the luma is above the mean of its neighbourhood of size by size pixels less below, as OpenCV's adaptiveThreshold by the mean; it reads print in uneven light. size is odd, 3 to 255; another one, and NaN, is an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(adaptive_threshold(frame, 31, 10)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let (Some(size), Some(below)) = (arguments.int(1, row), arguments.float(2, row)) else { return Ok(None) };
        if !(3..=LARGEST).contains(&size) || size % 2 == 0 {
            return out_of_range!("adaptive_threshold needs an odd size of 3 to {LARGEST} pixels, not {size}");
        }
        if below.is_nan() {
            return out_of_range!("adaptive_threshold needs a number to compare with, not NaN");
        }
        let gray = luma(&decoder.decode(picture)?)?;
        let width = gray.width as usize;
        Ok(Some(mapped(&gray, |luma| compare(luma, width, size as usize, below))?))
    })
}

fn compare(luma: &Buffer, width: usize, size: usize, below: f64) -> Vec<u8> {
    let means = mean(&Samples { width, height: luma.len() / width.max(1), n: 1, data: luma.clone() }, size, nearest);
    // OpenCV compares whole numbers, with what is below rounded up.
    let below = below.ceil().clamp(-256.0, 256.0) as i16;
    luma.iter().zip(means.data.iter()).map(|(v, mean)| if i16::from(*v) > i16::from(*mean).wrapping_sub(below) { 255 } else { 0 }).collect()
}
