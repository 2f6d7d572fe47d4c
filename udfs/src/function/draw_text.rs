//! `draw_text(frame, text text, x float8, y float8 [, color text [, size int4]]) -> FRAME`: the picture with a text at a place.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::canvas::{Canvas, GREEN, color, place};
use super::glyphs::GLYPH_SIDE;
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{Order, render};

sql_function!(
    DrawText, "draw_text", arguments: [Frame, Text, Float, Float, Text, Int], required: 4, returns: frame_type(),
    syntax: "draw_text(frame, text text, x float8, y float8 [, color text [, size int4]]) -> FRAME",
    description: "The picture with a text whose upper left corner is at x, y in pixels: '#rrggbb' or black, blue, cyan, green (unless given), magenta, red, white or yellow, letters size pixels high, rounded to a multiple of 8, 1/60 of the shorter side unless given. Latin and Greek letters; others show as ?. \
What lies outside is left out. NULL for the text or a place leaves the pixels as they are. NULL for a NULL frame, color or size, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(draw_text(frame, 'gate 3', 10, 10, 'white', 24)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let shade = if arguments.given(4) { arguments.text(4, row).map(|c| color("draw_text", c)).transpose()? } else { Some(GREEN) };
        let size = if arguments.given(5) { arguments.int(5, row).map(Some) } else { Some(None) };
        let (Some(shade), Some(size)) = (shade, size) else { return Ok(None) };
        if size.is_some_and(|size| !(1..=4096).contains(&size)) {
            return out_of_range!("draw_text needs a size of 1 to 4096 pixels");
        }
        let at = |at: usize| arguments.float(at, row).and_then(place);
        let (Some(text), Some(x), Some(y)) = (arguments.text(1, row), at(2), at(3)) else { return Ok(Some(picture.clone())) };
        let mut canvas = Canvas::new(render(&decoder.decode(picture)?, Order::Rgb, None)?);
        let dot = size.map_or(canvas.dot(), |size| ((i64::from(size) + 4) / GLYPH_SIDE as i64).max(1));
        // The place is that of the letters, which stand a dot inside their ground.
        canvas.write(x - dot, y - dot, text, dot, shade, None);
        Ok(Some(canvas.into_pixels().into_picture()))
    })
}
