//! `ppm(frame [, width int4]) -> bytea`: the picture as a PPM file: its pixels as they are, behind a short head.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::resize::other_side;
use crate::out_of_range::out_of_range;
use crate::pixels::{Order, render};

sql_function!(
    Ppm, "ppm", arguments: [Frame, Int], required: 1, returns: DataType::Binary,
    syntax: "ppm(frame [, width int4]) -> bytea",
    description: "The picture as a PPM file (P6): the head 'P6', width, height and 255, then red, green and blue of every pixel, row by row: for programs that want the pixels and no codec. width, in pixels, scales it and keeps the aspect (NULL keeps the size; it is never enlarged); less than 1 is an error. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT length(ppm(frame, 320)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let files = arguments.pictures(|row, picture| {
        let width = arguments.int(1, row);
        if width.is_some_and(|w| w < 1) {
            return out_of_range!("mean_frame and ppm need a width of at least 1");
        }
        let (full, height) = picture.displayed();
        let to = width.and_then(|w| u32::try_from(w).ok()).filter(|w| *w < full);
        let pixels = render(&decoder.decode(picture)?, Order::Rgb, to.map(|w| (w, other_side(w, full, height))))?;
        let mut file = format!("P6\n{} {}\n255\n", pixels.width, pixels.height).into_bytes();
        file.extend_from_slice(&pixels.data);
        Ok(Some(file))
    })?;
    Ok(Arc::new(BinaryArray::from_iter(files)))
}
