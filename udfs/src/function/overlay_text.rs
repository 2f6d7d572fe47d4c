//! `overlay_text(frame, text text) -> FRAME`: the picture with a caption in its upper left corner.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::canvas::{Canvas, extent};
use crate::frame::frame_type;
use crate::pixels::{Order, render};

sql_function!(
    OverlayText, "overlay_text", arguments: [Frame, Text], required: 2, returns: frame_type(),
    syntax: "overlay_text(frame, text text) -> FRAME",
    description: "The picture with a caption in its upper left corner, white on black, a line of it below the other where the text has several: a time, a counter, a name. Letters are 1/60 of the shorter side high, at least 8 pixels; Latin and Greek, others show as ?. \
NULL for the text leaves the pixels as they are. NULL for a NULL frame or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(overlay_text(frame, source || ' ' || ts::text)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let Some(text) = arguments.text(1, row) else { return Ok(Some(picture.clone())) };
        let mut canvas = Canvas::new(render(&decoder.decode(picture)?, Order::Rgb, None)?);
        let (dot, mut top) = (canvas.dot(), 0);
        for line in text.lines() {
            canvas.write(0, top, line, dot, [255; 3], Some([0; 3]));
            top += extent(line, dot).1;
        }
        Ok(Some(canvas.into_pixels().into_picture()))
    })
}
