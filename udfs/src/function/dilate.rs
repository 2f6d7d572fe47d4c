//! `dilate(frame [, size int4]) -> FRAME`: the picture with its bright parts larger.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, extreme, side};
use crate::frame::frame_type;

sql_function!(
    Dilate, "dilate", arguments: [Frame, Int], required: 1, returns: frame_type(),
    syntax: "dilate(frame [, size int4]) -> FRAME",
    description: "The picture with every pixel the greatest of its square neighbourhood, each colour by itself, as OpenCV's dilate: bright spots grow. size is odd, 1 to 255, and 3 unless given. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(dilate(threshold(frame, 128), 3)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(3) };
        let Some(side) = side("dilate", given)? else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(extreme(&samples, side, u8::max).into_picture()))
    })
}
