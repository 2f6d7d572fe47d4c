//! `erode(frame [, size int4]) -> FRAME`: the picture with its bright parts smaller.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, extreme, side};
use crate::frame::frame_type;

sql_function!(
    Erode, "erode", arguments: [Frame, Int], required: 1, returns: frame_type(),
    syntax: "erode(frame [, size int4]) -> FRAME",
    description: "The picture with every pixel the least of its square neighbourhood, each colour by itself, as OpenCV's erode: bright spots shrink. size is odd, 1 to 255, and 3 unless given. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(erode(threshold(frame, 128), 3)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(3) };
        let Some(side) = side("erode", given)? else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(extreme(&samples, side, u8::min).into_picture()))
    })
}
