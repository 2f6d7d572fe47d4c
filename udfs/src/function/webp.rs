//! `webp(frame [, width int4]) -> bytea`: the picture as a WebP file, without any loss.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use image::ExtendedColorType;
use image::codecs::webp::WebPEncoder;

use super::call::{Arguments, Decoder, sql_function};
use super::resize::other_side;
use crate::out_of_range::out_of_range;
use crate::pixels::{Order, render};

/// No WebP file has a longer side, px.
const LONGEST_SIDE: u32 = 16_384;

sql_function!(
    Webp, "webp", arguments: [Frame, Int], required: 1, returns: DataType::Binary,
    syntax: "webp(frame [, width int4]) -> bytea",
    description: "The picture as a WebP file, RGB without any loss, which is smaller than png. width, in pixels, scales it and keeps the aspect (NULL keeps the size; it is never enlarged); less than 1 is an error. NULL for a NULL frame, a picture that cannot be decoded, and one with a side of more than 16384 pixels.",
    example: "SELECT webp(frame, 320) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let files = arguments.pictures(|row, picture| {
        let width = arguments.int(1, row);
        if width.is_some_and(|w| w < 1) {
            return out_of_range!("webp needs a width of at least 1");
        }
        let (full, height) = picture.displayed();
        let to = width.and_then(|w| u32::try_from(w).ok()).filter(|w| *w < full);
        let pixels = render(&decoder.decode(picture)?, Order::Rgb, to.map(|w| (w, other_side(w, full, height))))?;
        if pixels.width.max(pixels.height) > LONGEST_SIDE {
            return Ok(None);
        }
        let mut file = Vec::new();
        WebPEncoder::new_lossless(&mut file)
            .encode(&pixels.data, pixels.width, pixels.height, ExtendedColorType::Rgb8)
            .map_err(|e| exec_datafusion_err!("a picture cannot be written as WebP: {e}"))?;
        Ok(Some(file))
    })?;
    Ok(Arc::new(BinaryArray::from_iter(files)))
}
