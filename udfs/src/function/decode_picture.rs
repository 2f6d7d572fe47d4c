//! `decode_picture(file bytea) -> FRAME`: the picture that a JPEG, PNG, WebP, GIF or BMP file holds.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::Buffer;
use datafusion_common::Result;
use image::{ImageFormat, ImageReader};

use super::call::{Arguments, sql_function};
use crate::frame::{FrameBuilder, FrameId, Picture, PixelFormat, frame_type};
use crate::pixels::{Damaged, rgb8, sized};

/// What the frame is called: it is of no source.
const SOURCE: &str = "picture";

sql_function!(
    DecodePicture, "decode_picture", arguments: [Bytes], required: 1, returns: frame_type(),
    syntax: "decode_picture(file bytea) -> FRAME",
    description: "The picture that a JPEG, PNG, WebP, GIF or BMP file holds (of a GIF the first), for the functions of pictures: what jpeg gave, or a template in a table. (Postgres's decode is another function, of texts.) Transparency is dropped, and the turn that a camera notes is not made. NULL for NULL and for what is none of these or damaged. The frame is derived, of the source 'picture'.",
    example: "SELECT brightness(decode_picture(jpeg(frame))) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let files = arguments.array(0)?.as_binary::<i32>();
    let mut frames = FrameBuilder::new();
    for row in 0..arguments.n_rows {
        let picture = if files.is_valid(row) { decode(files.value(row)).ok() } else { None };
        match picture {
            Some(picture) => {
                let id = FrameId { source_id: 0, source: SOURCE.into(), frame_no: 0, ts_us: 0, derived: true };
                frames.append(&id, picture.width, picture.height, Some(&picture));
            }
            None => frames.append_null(),
        }
    }
    Ok(Arc::new(frames.finish()))
}

fn decode(file: &[u8]) -> Result<Picture, Damaged> {
    let broken = |e: &dyn std::fmt::Display| Damaged::new(format!("a file cannot be read as a picture: {e}"));
    let open = || ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|e| broken(&e));
    let format = open()?.format();
    let (width, height) = open()?.into_dimensions().map_err(|e| broken(&e))?;
    sized(width, height)?;
    let picture = rgb8(width, height, 0, Buffer::from_vec(Vec::<u8>::new()));
    if format == Some(ImageFormat::Jpeg) {
        // It stays a file until somebody looks at its pixels.
        return Ok(Picture { format: PixelFormat::Jpeg, planes: [Some(Buffer::from(file)), None, None], ..picture });
    }
    let pixels = open()?.decode().map_err(|e| broken(&e))?.into_rgb8();
    Ok(Picture { planes: [Some(Buffer::from_vec(pixels.into_raw())), None, None], ..picture })
}
