//! `jpeg(frame [, width int4 [, quality int4]]) -> bytea`: the picture as a JPEG file.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use jpeg_encoder::{ColorType, Encoder};

use super::call::{Arguments, sql_function};
use super::resize::other_side;
use crate::frame::{FrameView, PixelFormat};
use crate::out_of_range::out_of_range;
use crate::pixels::{Damaged, Order, render};
use crate::planes::check_jpeg;

/// The quality where the query names none: small, and no artefacts at arm's length.
const QUALITY: i32 = 85;

sql_function!(
    Jpeg, "jpeg", arguments: [Frame, Int, Int], required: 1, returns: DataType::Binary,
    syntax: "jpeg(frame [, width int4 [, quality int4]]) -> bytea",
    description: "The picture as a JPEG file. width, in pixels, scales it and keeps the aspect (NULL keeps the size; it is never enlarged); \
quality is 1 to 100, 85 unless given or NULL; other values are an error. Below 90 colour is kept at half the size (4:2:0). NULL for a NULL frame, a picture that cannot be decoded, and one with a side of more than 65535 pixels. \
A picture that came as a JPEG is passed on as it is, if its head can be read, unless width or quality ask for another.",
    example: "SELECT jpeg(frame, 320) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let files = arguments.frames(|row, frame| encode(frame, arguments.int(1, row), arguments.int(2, row)).map(Some))?;
    Ok(Arc::new(BinaryArray::from_iter(files)))
}

fn encode(frame: &FrameView<'_>, width: Option<i32>, quality: Option<i32>) -> Result<Vec<u8>> {
    if width.is_some_and(|w| w < 1) || quality.is_some_and(|q| !(1..=100).contains(&q)) {
        return out_of_range!("jpeg needs a width of at least 1 and a quality of 1 to 100");
    }
    let picture = frame.pixels("jpeg")?;
    let (full, height) = picture.displayed();
    let to = width.and_then(|w| u32::try_from(w).ok()).filter(|w| *w < full);
    if let (PixelFormat::Jpeg, 0, None, None, [Some(file), ..]) = (picture.format, picture.rotation, to, quality, &picture.planes) {
        check_jpeg(&picture)?;
        return Ok(file.to_vec());
    }
    let pixels = render(&picture, Order::Rgb, to.map(|w| (w, other_side(w, full, height))))?;
    let (Ok(width), Ok(height)) = (u16::try_from(pixels.width), u16::try_from(pixels.height)) else {
        return Err(Damaged::new(format!("{frame} cannot be written as JPEG: no side of one is longer than {} pixels", u16::MAX)).into());
    };
    let mut file = Vec::new();
    // Its own choice is 4:2:0 below a quality of 90, as most cameras have it, and all of the colour from there.
    Encoder::new(&mut file, quality.unwrap_or(QUALITY).clamp(1, 100) as u8)
        .encode(&pixels.data, width, height, ColorType::Rgb)
        .map_err(|e| exec_datafusion_err!("{frame} cannot be written as JPEG: {e}"))?;
    Ok(file)
}
