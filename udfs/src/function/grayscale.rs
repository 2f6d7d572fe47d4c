//! `grayscale(frame) -> FRAME`: the picture without its colours.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::frame_type;
use crate::pixels::luma;

sql_function!(
    Grayscale, "grayscale", arguments: [Frame], required: 1, returns: frame_type(),
    syntax: "grayscale(frame) -> FRAME",
    description: "The picture without its colours: one byte a pixel, luma from 0 (black) to 255 (white); of RGB and JPEG pictures by BT.601, as OpenCV's cvtColor, \
of video its own luma. NULL for a NULL frame or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(grayscale(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|_, picture| Ok(Some(luma(&decoder.decode(picture)?)?)))
}
