//! `rotate(frame, degrees int4) -> FRAME`: the picture turned clockwise by quarters.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use crate::frame::{Picture, frame_type};
use crate::out_of_range::out_of_range;

sql_function!(
    Rotate, "rotate", arguments: [Frame, Int], required: 2, returns: frame_type(),
    syntax: "rotate(frame, degrees int4) -> FRAME",
    description: "The picture turned clockwise by degrees, a multiple of 90, negative ones the other way round; another number is an error. No pixel is copied. \
NULL for a NULL frame or degrees, or a picture that has no size. The frame is derived and has its own size.",
    example: "SELECT jpeg(rotate(frame, 90)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.derive(|row, picture| {
        let Some(degrees) = arguments.int(1, row) else { return Ok(None) };
        if degrees % 90 != 0 {
            return out_of_range!("rotate turns by multiples of 90 degrees, not by {degrees}");
        }
        let rotation = (i32::from(picture.rotation) + degrees.rem_euclid(360)) % 360;
        Ok(Some(Picture { rotation: rotation as u16, ..picture.clone() }))
    })
}
