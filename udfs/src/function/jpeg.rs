//! `jpeg(frame [, width int4 [, quality int4]]) -> bytea`: the picture as a JPEG file.

use arrow::array::BinaryArray;
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err, exec_err};
use datafusion_expr::ColumnarValue;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::call::{Arguments, column, frame_function};
use crate::frame::{FrameView, PixelFormat};
use crate::pixels::{Order, render};

/// The quality where the query names none: small, and no artefacts at arm's length.
const QUALITY: i32 = 85;

frame_function!(
    Jpeg, "jpeg", rest: [DataType::Int32, DataType::Int32], returns: DataType::Binary,
    syntax: "jpeg(frame [, width [, quality]]) -> bytea",
    description: "The picture as a JPEG file. width scales it and keeps the aspect (NULL keeps the size; it is never enlarged); quality is 1 to 100, 85 unless given. A picture that came as a JPEG is passed on as it is unless width or quality ask for another."
);

fn run(arguments: &Arguments) -> Result<ColumnarValue> {
    let files = arguments.frames(|row, frame| {
        let quality = if arguments.len() > 2 { arguments.int(2, row) } else { None };
        encode(&frame, arguments.int(1, row), quality).map(Some)
    })?;
    Ok(column(BinaryArray::from_iter(files)))
}

fn encode(frame: &FrameView<'_>, width: Option<i32>, quality: Option<i32>) -> Result<Vec<u8>> {
    if width.is_some_and(|w| w < 1) || quality.is_some_and(|q| !(1..=100).contains(&q)) {
        return exec_err!("jpeg needs a width of at least 1 and a quality of 1 to 100");
    }
    let picture = frame.pixels("jpeg")?;
    let (full, height) = picture.displayed();
    let to = width.and_then(|w| u32::try_from(w).ok()).filter(|w| *w < full);
    if let (PixelFormat::Jpeg, 0, None, None, Some(file)) = (picture.format, picture.rotation, to, quality, &picture.planes[0]) {
        return Ok(file.to_vec());
    }
    let size = to.map(|w| (w, ((u64::from(height) * u64::from(w) + u64::from(full) / 2) / u64::from(full)).max(1) as u32));
    let pixels = render(&picture, Order::Rgb, size)?;
    let mut file = Vec::new();
    let quality = quality.unwrap_or(QUALITY).clamp(1, 100) as u8;
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&pixels.data, pixels.width, pixels.height, ExtendedColorType::Rgb8)
        .map_err(|e| exec_datafusion_err!("{frame} cannot be written as JPEG: {e}"))?;
    Ok(file)
}
