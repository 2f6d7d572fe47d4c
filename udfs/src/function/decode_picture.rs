//! `decode_picture(file bytea) -> FRAME`: the picture that a JPEG, PNG, WebP, GIF or BMP file holds.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::Buffer;
use datafusion_common::Result;
use image::{DynamicImage, ImageFormat, ImageReader};

use super::call::{Arguments, sql_function};
use crate::frame::{FrameBuilder, FrameId, Picture, PixelFormat, frame_type};
use crate::jpeg_file;
use crate::orientation::{Orientation, mirrored};
use crate::pixels::{Damaged, decoded, rgb8, sized};

/// What the frame is called: it is of no source.
const SOURCE: &str = "picture";

sql_function!(
    DecodePicture, "decode_picture", arguments: [Bytes], required: 1, returns: frame_type(),
    syntax: "decode_picture(file bytea) -> FRAME",
    description: "The picture that a JPEG, PNG, WebP, GIF or BMP file holds (of a GIF the first), for the functions of pictures: what jpeg gave, or a template in a table. (Postgres's decode is another function, of texts.) Transparency is dropped, and the picture is turned as the camera notes (EXIF's orientation), as a source's is. NULL for NULL and for what is none of these, damaged, or of more than 134217728 pixels. The frame is derived, of the source 'picture'.",
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
                let (width, height) = picture.displayed();
                frames.append(&id, width, height, Some(&picture));
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
        let Orientation { mirrored: in_mirror, rotation } =
            jpeg_file::header(Cursor::new(file)).map_or_else(|_| Orientation::default(), |h| h.orientation);
        // It stays a file until somebody looks at its pixels, unless it is mirrored.
        let whole = Picture { format: PixelFormat::Jpeg, rotation, planes: [Some(Buffer::from(file)), None, None], ..picture };
        return if in_mirror { Ok(mirrored(&decoded(&whole)?)) } else { Ok(whole) };
    }
    let mut decoder = open()?.into_decoder().map_err(|e| broken(&e))?;
    let Orientation { mirrored: in_mirror, rotation } = Orientation::noted(&mut decoder);
    let pixels = DynamicImage::from_decoder(decoder).map_err(|e| broken(&e))?.into_rgb8();
    let whole = Picture { rotation, planes: [Some(Buffer::from_vec(pixels.into_raw())), None, None], ..picture };
    Ok(if in_mirror { mirrored(&whole) } else { whole })
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, RgbImage};

    use super::*;
    use crate::pixels::{Order, render};

    /// The directory of an EXIF note that names an orientation and nothing else.
    fn note(orientation: u8) -> Vec<u8> {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]].concat()
    }

    fn seen(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let pixels = render(&decode(file).unwrap(), Order::Rgb, None).unwrap();
        (pixels.width, pixels.height, pixels.into_bytes())
    }

    #[test]
    fn a_picture_is_turned_as_each_of_the_eight_orientations_says() {
        let (width, height) = (5, 3);
        let rgb: Vec<u8> = (0..width * height * 3).map(|at| (at * 37 % 251) as u8).collect();
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 100).encode(&rgb, width as u16, height as u16, jpeg_encoder::ColorType::Rgb).unwrap();
        let of_jpeg = seen(&jpeg);
        for number in 0..10_u8 {
            let turned = |(width, height, pixels): (u32, u32, Vec<u8>)| {
                let mut image = DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, pixels).unwrap());
                let known = image::metadata::Orientation::from_exif(number);
                image.apply_orientation(known.unwrap_or(image::metadata::Orientation::NoTransforms));
                (image.width(), image.height(), image.into_rgb8().into_raw())
            };
            let exif = [b"Exif\0\0", note(number).as_slice()].concat();
            let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
            assert!(seen(&[&jpeg[..2], &segment, &jpeg[2..]].concat()) == turned(of_jpeg.clone()), "JPEG, orientation {number}");
            let mut png = Vec::new();
            let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
            encoder.set_exif_metadata(note(number)).unwrap();
            encoder.write_image(&rgb, width, height, ExtendedColorType::Rgb8).unwrap();
            assert!(seen(&png) == turned((width, height, rgb.clone())), "PNG, orientation {number}");
        }
    }

    #[test]
    fn a_frame_of_a_turned_file_has_the_size_that_is_seen() {
        let mut png = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
        encoder.set_exif_metadata(note(6)).unwrap();
        encoder.write_image(&[9; 5 * 3 * 3], 5, 3, ExtendedColorType::Rgb8).unwrap();
        let files: ArrayRef = Arc::new(arrow::array::BinaryArray::from_vec(vec![&png]));
        let made = run(&Arguments::of("decode_picture", vec![files], 1)).unwrap();
        let frame = crate::frame::FrameColumn::try_new(made.as_ref()).unwrap();
        let frame = frame.get(0).unwrap();
        assert_eq!((frame.width, frame.height, frame.pixels("this test").unwrap().displayed()), (3, 5, (3, 5)));
    }
}
