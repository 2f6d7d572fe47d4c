//! Planes to interleaved pixels: scaled first, converted at the small size, turned for display; each function that needs it does it once a frame.

use std::borrow::Cow;

use datafusion_common::{Result, exec_datafusion_err, exec_err};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use yuv::{YuvBiPlanarImage, YuvPlanarImage, YuvRange, YuvStandardMatrix};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};

/// Which colour comes first in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV's models want it.
    Bgr,
}

/// Interleaved pixels, 3 bytes each, row by row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// width x height x 3 bytes.
    pub data: Vec<u8>,
}

/// The picture as displayed, scaled to `size` where one is given. Errs if the planes do not hold what the format says.
pub fn render(picture: &Picture, order: Order, size: Option<(u32, u32)>) -> Result<Pixels> {
    let turned = picture.rotation % 180 == 90;
    let size = size.unwrap_or_else(|| picture.displayed());
    let (width, height) = if turned { (size.1, size.0) } else { size };
    let upright = match picture.format {
        PixelFormat::I420 => i420(picture, order, width, height)?,
        PixelFormat::Nv12 => scaled(nv12(picture, order)?, width, height)?,
        PixelFormat::Jpeg => ordered(scaled(jpeg(picture)?, width, height)?, order),
        PixelFormat::Rgb8 => {
            let data = plane(picture, 0, picture.width as usize * picture.height as usize * 3)?;
            ordered(scaled(Pixels { width: picture.width, height: picture.height, data: data.to_vec() }, width, height)?, order)
        }
        PixelFormat::Gray8 => {
            let luma = plane(picture, 0, picture.width as usize * picture.height as usize)?;
            let luma = scaled_plane(luma, (picture.width, picture.height), (width, height), PixelType::U8)?;
            Pixels { width, height, data: luma.iter().flat_map(|l| [*l; 3]).collect() }
        }
    };
    Ok(turn(upright, picture.rotation))
}

/// The luma of the picture as displayed, 0 to 255 (full range), row by row.
pub fn luma(picture: &Picture) -> Result<(u32, u32, Vec<u8>)> {
    let samples = picture.width as usize * picture.height as usize;
    let gray = match picture.format {
        PixelFormat::I420 | PixelFormat::Nv12 if picture.range == ColorRange::Limited => {
            // 16..235 to 0..255, by a table: a division a pixel costs more than the rest of the function.
            let full: Vec<u8> = (0..=255_u32).map(|y| ((y.saturating_sub(16).min(219) * 255 + 109) / 219) as u8).collect();
            plane(picture, 0, samples)?.iter().map(|y| full.get(usize::from(*y)).copied().unwrap_or(255)).collect()
        }
        PixelFormat::I420 | PixelFormat::Nv12 | PixelFormat::Gray8 => plane(picture, 0, samples)?.to_vec(),
        PixelFormat::Rgb8 => weighted(plane(picture, 0, samples * 3)?),
        PixelFormat::Jpeg => weighted(&jpeg(picture)?.data),
    };
    let (width, height, data) = turned(picture.width, picture.height, gray, 1, picture.rotation);
    Ok((width, height, data))
}

/// Luma of BT.601 from red, green and blue, rounded as OpenCV's cvtColor does.
fn weighted(rgb: &[u8]) -> Vec<u8> {
    let one = |p: &[u8; 3]| ((u32::from(p[0]) * 4899 + u32::from(p[1]) * 9617 + u32::from(p[2]) * 1868 + 8192) >> 14) as u8;
    rgb.as_chunks::<3>().0.iter().map(one).collect()
}

fn plane(picture: &Picture, at: usize, bytes: usize) -> Result<&[u8]> {
    match picture.planes.get(at).and_then(Option::as_ref).and_then(|p| p.get(..bytes)) {
        Some(plane) => Ok(plane),
        None => exec_err!("a picture of {}x{} pixels has too few bytes in plane {at}", picture.width, picture.height),
    }
}

fn color(picture: &Picture) -> (YuvRange, YuvStandardMatrix) {
    let range = match picture.range {
        ColorRange::Limited => YuvRange::Limited,
        ColorRange::Full => YuvRange::Full,
    };
    let matrix = match picture.matrix {
        ColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
        ColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
        ColorMatrix::Bt2020 => YuvStandardMatrix::Bt2020,
    };
    (range, matrix)
}

fn i420(picture: &Picture, order: Order, width: u32, height: u32) -> Result<Pixels> {
    let (from, chroma_from) = ((picture.width, picture.height), (picture.width.div_ceil(2), picture.height.div_ceil(2)));
    let (to, chroma_to) = ((width, height), (width.div_ceil(2), height.div_ceil(2)));
    let bytes = |(w, h): (u32, u32)| w as usize * h as usize;
    let y = scaled_plane(plane(picture, 0, bytes(from))?, from, to, PixelType::U8)?;
    let u = scaled_plane(plane(picture, 1, bytes(chroma_from))?, chroma_from, chroma_to, PixelType::U8)?;
    let v = scaled_plane(plane(picture, 2, bytes(chroma_from))?, chroma_from, chroma_to, PixelType::U8)?;
    let image = YuvPlanarImage {
        y_plane: y.as_ref(),
        y_stride: width,
        u_plane: u.as_ref(),
        u_stride: chroma_to.0,
        v_plane: v.as_ref(),
        v_stride: chroma_to.0,
        width,
        height,
    };
    let mut data = vec![0; bytes(to) * 3];
    let (range, matrix) = color(picture);
    let converted = match order {
        Order::Rgb => yuv::yuv420_to_rgb(&image, &mut data, width * 3, range, matrix),
        Order::Bgr => yuv::yuv420_to_bgr(&image, &mut data, width * 3, range, matrix),
    };
    converted.map_err(|e| exec_datafusion_err!("a picture of {width}x{height} pixels cannot be converted: {e}"))?;
    Ok(Pixels { width, height, data })
}

fn nv12(picture: &Picture, order: Order) -> Result<Pixels> {
    let (width, height) = (picture.width, picture.height);
    let chroma = width.div_ceil(2) * 2;
    let image = YuvBiPlanarImage {
        y_plane: plane(picture, 0, width as usize * height as usize)?,
        y_stride: width,
        uv_plane: plane(picture, 1, chroma as usize * height.div_ceil(2) as usize)?,
        uv_stride: chroma,
        width,
        height,
    };
    let mut data = vec![0; width as usize * height as usize * 3];
    let (range, matrix) = color(picture);
    yuv::yuv_nv12_to_rgb(&image, &mut data, width * 3, range, matrix, yuv::YuvConversionMode::Balanced)
        .map_err(|e| exec_datafusion_err!("a picture of {width}x{height} pixels cannot be converted: {e}"))?;
    Ok(ordered(Pixels { width, height, data }, order))
}

fn jpeg(picture: &Picture) -> Result<Pixels> {
    let Some(file) = picture.planes.first().and_then(Option::as_ref) else { return exec_err!("a JPEG picture without bytes") };
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file.as_slice()), options);
    let data = decoder.decode().map_err(|e| exec_datafusion_err!("a JPEG picture cannot be decoded: {e}"))?;
    match decoder.dimensions() {
        Some((width, height)) if data.len() == width * height * 3 => Ok(Pixels { width: width as u32, height: height as u32, data }),
        _ => exec_err!("a JPEG picture cannot be decoded: its header names no size"),
    }
}

fn ordered(mut pixels: Pixels, order: Order) -> Pixels {
    if order == Order::Bgr {
        pixels.data.as_chunks_mut::<3>().0.iter_mut().for_each(|p| p.swap(0, 2));
    }
    pixels
}

fn scaled(pixels: Pixels, width: u32, height: u32) -> Result<Pixels> {
    let from = (pixels.width, pixels.height);
    if from == (width, height) {
        return Ok(pixels);
    }
    let data = scaled_plane(&pixels.data, from, (width, height), PixelType::U8x3)?.into_owned();
    Ok(Pixels { width, height, data })
}

/// Bilinear with the filter widened when shrinking, so that every pixel counts (as Pillow's BILINEAR).
fn scaled_plane(plane: &[u8], from: (u32, u32), to: (u32, u32), pixel: PixelType) -> Result<Cow<'_, [u8]>> {
    if from == to {
        return Ok(Cow::Borrowed(plane));
    }
    let failed = |e: &dyn std::fmt::Display| {
        exec_datafusion_err!("a picture of {}x{} pixels cannot be scaled to {}x{}: {e}", from.0, from.1, to.0, to.1)
    };
    let source = ImageRef::new(from.0, from.1, plane, pixel).map_err(|e| failed(&e))?;
    let mut target = Image::new(to.0, to.1, pixel);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| failed(&e))?;
    Ok(Cow::Owned(target.into_vec()))
}

fn turn(pixels: Pixels, rotation: u16) -> Pixels {
    let (width, height, data) = turned(pixels.width, pixels.height, pixels.data, 3, rotation);
    Pixels { width, height, data }
}

/// Turns rows of `n`-byte pixels clockwise by 0, 90, 180 or 270 degrees.
fn turned(width: u32, height: u32, data: Vec<u8>, n: usize, rotation: u16) -> (u32, u32, Vec<u8>) {
    let (w, h) = (width as usize, height as usize);
    // Where the pixel of the turned picture at column x and row y was.
    let (to_w, to_h): (usize, usize) = if rotation % 180 == 90 { (h, w) } else { (w, h) };
    let from = |x: usize, y: usize| match rotation {
        90 => (y, h - 1 - x),
        180 => (w - 1 - x, h - 1 - y),
        270 => (w - 1 - y, x),
        _ => (x, y),
    };
    if !matches!(rotation, 90 | 180 | 270) {
        return (width, height, data);
    }
    let mut turned = Vec::with_capacity(data.len());
    for y in 0..to_h {
        for x in 0..to_w {
            let (sx, sy) = from(x, y);
            let at = (sy * w + sx) * n;
            turned.extend_from_slice(data.get(at..at + n).unwrap_or(&[0; 4][..n]));
        }
    }
    (to_w as u32, to_h as u32, turned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::buffer::Buffer;

    fn picture(format: PixelFormat, width: u32, height: u32, planes: [Option<Vec<u8>>; 3]) -> Picture {
        let planes = planes.map(|p| p.map(Buffer::from_vec));
        Picture { format, width, height, range: ColorRange::Limited, matrix: ColorMatrix::Bt601, rotation: 0, planes }
    }

    #[test]
    fn a_gray_picture_of_odd_size_stays_gray_in_every_layout() {
        let i420 = picture(PixelFormat::I420, 5, 3, [Some(vec![126; 15]), Some(vec![128; 6]), Some(vec![128; 6])]);
        let nv12 = picture(PixelFormat::Nv12, 5, 3, [Some(vec![126; 15]), Some(vec![128; 12]), None]);
        for gray in [i420, nv12] {
            let pixels = render(&gray, Order::Bgr, None).unwrap();
            assert_eq!((pixels.width, pixels.height), (5, 3));
            assert!(pixels.data.iter().all(|v| v.abs_diff(128) <= 1), "{:?}", pixels.data);
            assert!(luma(&gray).unwrap().2.iter().all(|v| *v == 128));
        }
    }

    #[test]
    fn a_quarter_turn_puts_the_left_column_on_top_from_below() {
        // 1 2 3      4 1
        // 4 5 6  ->  5 2
        //            6 3
        let mut gray = picture(PixelFormat::Gray8, 3, 2, [Some(vec![1, 2, 3, 4, 5, 6]), None, None]);
        gray.rotation = 90;
        assert_eq!(luma(&gray).unwrap(), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        gray.rotation = 180;
        assert_eq!(luma(&gray).unwrap(), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        gray.rotation = 270;
        assert_eq!(luma(&gray).unwrap(), (2, 3, vec![3, 6, 2, 5, 1, 4]));
        assert_eq!(render(&gray, Order::Rgb, Some((4, 6))).unwrap().data.len(), 4 * 6 * 3);
    }

    #[test]
    fn planes_that_are_too_short_are_an_error() {
        let short = picture(PixelFormat::I420, 64, 64, [Some(vec![0; 64 * 64]), Some(vec![0; 100]), None]);
        assert!(render(&short, Order::Rgb, None).unwrap_err().to_string().contains("plane 1"));
        let broken = picture(PixelFormat::Jpeg, 8, 8, [Some(vec![0xff, 0xd8, 0xff]), None, None]);
        assert!(render(&broken, Order::Rgb, None).unwrap_err().to_string().contains("JPEG"));
    }
}
