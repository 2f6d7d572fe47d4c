//! `draw_line(frame, x1 float8, y1 float8, x2 float8, y2 float8 [, color text [, width int4]]) -> FRAME`: the picture with a line on it.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::canvas::{Canvas, Color, GREEN, color, place};
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{Order, render};

/// The shorter side of the picture for each pixel of line width, where the query names none.
const SIDE_PER_LINE: u32 = 240;
/// The widest line, px.
const WIDEST: i32 = 255;

sql_function!(
    DrawLine, "draw_line", arguments: [Frame, Float, Float, Float, Float, Text, Int], required: 5, returns: frame_type(),
    syntax: "draw_line(frame, x1 float8, y1 float8, x2 float8, y2 float8 [, color text [, width int4]]) -> FRAME",
    description: "The picture with a line from x1, y1 to x2, y2 in pixels, both ends drawn: color is '#rrggbb' or black, blue, cyan, green (unless given), magenta, red, white or yellow, width 1 to 255 pixels, 1/240 of the shorter side unless given. What lies outside is left out. A NULL place leaves the pixels as they are. \
NULL for a NULL frame, color or width, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(draw_line(frame, 0, 180, 639, 180, 'red', 3)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let Some(style) = style("draw_line", arguments, row, 5)? else { return Ok(None) };
        let at = |at: usize| arguments.float(at, row).and_then(place);
        let (Some(x1), Some(y1), Some(x2), Some(y2)) = (at(1), at(2), at(3), at(4)) else { return Ok(Some(picture.clone())) };
        let mut canvas = Canvas::new(render(&decoder.decode(picture)?, Order::Rgb, None)?);
        canvas.line((x1, y1), (x2, y2), style.width(&canvas), style.color);
        Ok(Some(canvas.into_pixels().into_picture()))
    })
}

/// How lines are drawn.
pub(super) struct Style {
    pub(super) color: Color,
    width: Option<i64>,
}

impl Style {
    /// How wide, px.
    pub(super) fn width(&self, canvas: &Canvas) -> i64 {
        self.width.unwrap_or_else(|| canvas.units(SIDE_PER_LINE))
    }
}

/// What the argument at `first` and the one behind it say; None if one of them is NULL. Errs for what is no colour and no width.
pub(super) fn style(function: &str, arguments: &Arguments, row: usize, first: usize) -> Result<Option<Style>> {
    let shade = if arguments.given(first) { arguments.text(first, row).map(|c| color(function, c)).transpose()? } else { Some(GREEN) };
    let width = if arguments.given(first + 1) { arguments.int(first + 1, row).map(Some) } else { Some(None) };
    let (Some(color), Some(width)) = (shade, width) else { return Ok(None) };
    if width.is_some_and(|width| !(1..=WIDEST).contains(&width)) {
        return out_of_range!("{function} needs a width of 1 to {WIDEST} pixels");
    }
    Ok(Some(Style { color, width: width.map(i64::from) }))
}
