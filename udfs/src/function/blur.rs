//! `blur(frame [, size int4]) -> FRAME`: the picture smeared evenly.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, mean, mirrored, side};
use crate::frame::frame_type;

sql_function!(
    Blur, "blur", arguments: [Frame, Int], required: 1, returns: frame_type(),
    syntax: "blur(frame [, size int4]) -> FRAME",
    description: "The picture with every pixel the mean of its square neighbourhood of size by size pixels, as OpenCV's blur; size is odd, 1 to 255, and 5 unless given. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(blur(frame, 15)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(5) };
        let Some(side) = side("blur", given)? else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(mean(&samples, side, mirrored).into_picture()))
    })
}
