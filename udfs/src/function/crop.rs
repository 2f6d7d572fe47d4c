//! `crop(frame, box) -> FRAME`: the part of the picture inside a box.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::boxes::{reaching_boxes, touched};
use super::call::{Arguments, Decoder, sql_function};
use crate::frame::frame_type;
use crate::pixels::{Area, cut};

sql_function!(
    Crop, "crop", arguments: [Frame, Box], required: 2, returns: frame_type(),
    syntax: "crop(frame, box) -> FRAME",
    description: "The part of the picture inside a box: every pixel that the box touches, clipped to the picture. The box is a BOX, a DETECTION, a struct of numbers \
x, y, w, h (or of four without names), or a list of four numbers, in pixels of the frame. NULL for a NULL frame or box, a picture that cannot be decoded, \
or a box that has no area or lies outside. The frame is derived and has its own size; boxes found in it are in its own pixels.",
    example: "SELECT jpeg(crop(frame, [100, 50, 320, 240])) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (boxes, mut decoder) = (reaching_boxes(arguments.array(1)?)?, Decoder::default());
    arguments.derive(|row, picture| {
        let (width, height) = picture.displayed();
        let bbox = boxes.get(row).copied().flatten();
        let Some(area) = bbox.and_then(|b| touched(&b, (width, height))) else { return Ok(None) };
        // All of it is the same picture: its planes are shared.
        let all = area == Area { x: 0, y: 0, width, height };
        Ok(Some(if all { picture.clone() } else { cut(&decoder.decode(picture)?, area)? }))
    })
}
