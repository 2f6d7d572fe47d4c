//! `median_blur(frame [, size int4]) -> FRAME`: the picture without single wrong pixels.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, median, side};
use crate::frame::frame_type;

sql_function!(
    MedianBlur, "median_blur", arguments: [Frame, Int], required: 1, returns: frame_type(),
    syntax: "median_blur(frame [, size int4]) -> FRAME",
    description: "The picture with every pixel the median of its square neighbourhood, each colour by itself, as OpenCV's medianBlur: single wrong pixels vanish and edges stay. size is odd, 1 to 255, and 3 unless given. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(median_blur(frame, 5)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(3) };
        let Some(side) = side("median_blur", given)? else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(median(&samples, side).into_picture()))
    })
}
