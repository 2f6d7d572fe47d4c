//! `draw_polygon(frame, polygon text [, color text [, width int4]]) -> FRAME`: the picture with a polygon on it.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::canvas::{Canvas, place};
use super::draw_line::style;
use crate::frame::frame_type;
use crate::pixels::{Order, render};
use crate::polygon::Polygon;

sql_function!(
    DrawPolygon, "draw_polygon", arguments: [Frame, Text, Text, Int], required: 2, returns: frame_type(),
    syntax: "draw_polygon(frame, polygon text [, color text [, width int4]]) -> FRAME",
    description: "The picture with the outline of a polygon ((x y, x y, …)) in pixels, as a zone has it: color is '#rrggbb' or black, blue, cyan, green (unless given), magenta, red, white or yellow, width 1 to 255 pixels, 1/240 of the shorter side unless given. What lies outside is left out. A NULL polygon leaves the pixels as they are; what is no polygon is an error. \
NULL for a NULL frame, color or width, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(draw_polygon(frame, '((20 20, 300 40, 280 200, 10 180))', 'yellow')) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let Some(style) = style("draw_polygon", arguments, row, 2)? else { return Ok(None) };
        let Some(polygon) = arguments.text(1, row).map(Polygon::parse).transpose()? else { return Ok(Some(picture.clone())) };
        let mut canvas = Canvas::new(render(&decoder.decode(picture)?, Order::Rgb, None)?);
        let width = style.width(&canvas);
        let corners: Vec<(i64, i64)> = polygon.corners().iter().filter_map(|(x, y)| Some((place(*x)?, place(*y)?))).collect();
        for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            canvas.line(*from, *to, width, style.color);
        }
        Ok(Some(canvas.into_pixels().into_picture()))
    })
}
