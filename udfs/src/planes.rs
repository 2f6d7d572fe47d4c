//! The planes of a picture, step by step: found, cut, scaled, converted, turned; a JPEG decoded.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::buffer::Buffer;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use yuv::{YuvBiPlanarImage, YuvConversionMode, YuvPlanarImage, YuvRange, YuvStandardMatrix};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use crate::pixels::{Area, Damaged, Order};

/// One plane of `samples` bytes a pixel at the picture's full size.
pub(crate) fn plane(picture: &Picture, at: usize, samples: usize) -> Result<&[u8], Damaged> {
    sized_plane(picture, at, (picture.width, picture.height), samples)
}

/// The same as a buffer that shares it.
pub(crate) fn shared_plane(picture: &Picture, at: usize, samples: usize) -> Result<Buffer, Damaged> {
    let length = plane(picture, at, samples)?.len();
    match picture.planes.get(at).and_then(Option::as_ref) {
        Some(buffer) => Ok(buffer.slice_with_length(0, length)),
        None => Err(short(picture, at)),
    }
}

fn sized_plane(picture: &Picture, at: usize, size: (u32, u32), samples: usize) -> Result<&[u8], Damaged> {
    let length = (size.0 as usize).checked_mul(size.1 as usize).and_then(|n| n.checked_mul(samples));
    let plane = picture.planes.get(at).and_then(Option::as_ref);
    plane.zip(length).and_then(|(plane, length)| plane.get(..length)).ok_or_else(|| short(picture, at))
}

fn short(picture: &Picture, at: usize) -> Damaged {
    Damaged::new(format!("a picture of {}x{} pixels has too few bytes in plane {at}", picture.width, picture.height))
}

/// One plane of chroma, of `samples` bytes a pixel at half the picture's size; its width and its bytes.
pub(crate) fn half_plane(picture: &Picture, at: usize, samples: usize) -> Result<(usize, &[u8]), Damaged> {
    let size = half((picture.width, picture.height));
    Ok((size.0 as usize, sized_plane(picture, at, size, samples)?))
}

/// Luma with chroma at half its size, rows without gaps.
pub(crate) struct Yuv<'a> {
    width: u32,
    height: u32,
    y: Cow<'a, [u8]>,
    chroma: Chroma<'a>,
}

enum Chroma<'a> {
    Planar([Cow<'a, [u8]>; 2]),
    Interleaved(Cow<'a, [u8]>),
}

fn half(size: (u32, u32)) -> (u32, u32) {
    (size.0.div_ceil(2), size.1.div_ceil(2))
}

impl<'a> Yuv<'a> {
    /// The planes of an I420 or NV12 picture.
    pub(crate) fn of(picture: &'a Picture) -> Result<Yuv<'a>, Damaged> {
        let (width, height) = (picture.width, picture.height);
        let small = half((width, height));
        let chroma = if picture.format == PixelFormat::Nv12 {
            Chroma::Interleaved(Cow::Borrowed(sized_plane(picture, 1, small, 2)?))
        } else {
            let planes = [sized_plane(picture, 1, small, 1)?, sized_plane(picture, 2, small, 1)?];
            Chroma::Planar(planes.map(Cow::Borrowed))
        };
        Ok(Yuv { width, height, y: Cow::Borrowed(plane(picture, 0, 1)?), chroma })
    }

    /// Whole planes scaled, each at its own size.
    pub(crate) fn scaled(self, to: (u32, u32)) -> Result<Yuv<'a>, Damaged> {
        let from = (self.width, self.height);
        if from == to {
            return Ok(self);
        }
        let one = |plane: &[u8], from, to, pixel| Ok(Cow::Owned(scaled_plane(plane, from, to, pixel)?.into_owned()));
        let chroma = match self.chroma {
            Chroma::Planar([u, v]) => {
                Chroma::Planar([one(&u, half(from), half(to), PixelType::U8)?, one(&v, half(from), half(to), PixelType::U8)?])
            }
            Chroma::Interleaved(uv) => Chroma::Interleaved(one(&uv, half(from), half(to), PixelType::U8x2)?),
        };
        Ok(Yuv { width: to.0, height: to.1, y: one(&self.y, from, to, PixelType::U8)?, chroma })
    }

    /// A part that starts at an even column and row, copied tight: of rows that belong to longer ones yuv 0.8 converts the last one wrongly.
    pub(crate) fn part(&self, area: Area) -> Yuv<'a> {
        let stride = self.chroma_stride();
        let (width, height) = half((area.width, area.height));
        let small = Area { x: area.x / 2, y: area.y / 2, width, height };
        let chroma = match &self.chroma {
            Chroma::Planar([u, v]) => Chroma::Planar([u, v].map(|plane| Cow::Owned(cut_rows(plane, stride, small, 1)))),
            Chroma::Interleaved(uv) => Chroma::Interleaved(Cow::Owned(cut_rows(uv, stride / 2, small, 2))),
        };
        Yuv { width: area.width, height: area.height, y: Cow::Owned(cut_rows(&self.y, self.width, area, 1)), chroma }
    }

    /// Bytes from one row of chroma to the next.
    fn chroma_stride(&self) -> u32 {
        match self.chroma {
            Chroma::Planar(_) => self.width.div_ceil(2),
            Chroma::Interleaved(_) => self.width.div_ceil(2) * 2,
        }
    }

    /// Interleaved pixels, with the range and the matrix that the picture names.
    pub(crate) fn converted(&self, picture: &Picture, order: Order) -> Result<Vec<u8>, Damaged> {
        let range = match picture.range {
            ColorRange::Limited => YuvRange::Limited,
            ColorRange::Full => YuvRange::Full,
        };
        let matrix = match picture.matrix {
            ColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
            ColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
            ColorMatrix::Bt2020 => YuvStandardMatrix::Bt2020,
        };
        let &Yuv { width, height, .. } = self;
        let (y_stride, chroma_stride) = (width, self.chroma_stride());
        let mut data = vec![0; width as usize * height as usize * 3];
        let converted = match &self.chroma {
            Chroma::Planar([u, v]) => {
                let (u_stride, v_stride) = (chroma_stride, chroma_stride);
                let image = YuvPlanarImage { y_plane: &self.y, y_stride, u_plane: u, u_stride, v_plane: v, v_stride, width, height };
                match order {
                    Order::Rgb => yuv::yuv420_to_rgb(&image, &mut data, width * 3, range, matrix),
                    Order::Bgr => yuv::yuv420_to_bgr(&image, &mut data, width * 3, range, matrix),
                }
            }
            Chroma::Interleaved(uv) => {
                let image = YuvBiPlanarImage { y_plane: &self.y, y_stride, uv_plane: uv, uv_stride: chroma_stride, width, height };
                match order {
                    Order::Rgb => yuv::yuv_nv12_to_rgb(&image, &mut data, width * 3, range, matrix, YuvConversionMode::Balanced),
                    Order::Bgr => yuv::yuv_nv12_to_bgr(&image, &mut data, width * 3, range, matrix, YuvConversionMode::Balanced),
                }
            }
        };
        converted.map_err(|e| Damaged::new(format!("a picture of {width}x{height} pixels cannot be converted: {e}")))?;
        Ok(data)
    }
}

/// Bilinear with the filter widened when shrinking, so that every pixel counts (as Pillow's BILINEAR).
pub(crate) fn scaled_plane(plane: &[u8], from: (u32, u32), to: (u32, u32), pixel: PixelType) -> Result<Cow<'_, [u8]>, Damaged> {
    if from == to {
        return Ok(Cow::Borrowed(plane));
    }
    let failed = |e: &dyn std::fmt::Display| {
        Damaged::new(format!("a picture of {}x{} pixels cannot be scaled to {}x{}: {e}", from.0, from.1, to.0, to.1))
    };
    let source = ImageRef::new(from.0, from.1, plane, pixel).map_err(|e| failed(&e))?;
    let mut target = Image::new(to.0, to.1, pixel);
    // Two samples a pixel are chroma here; the crate would take the second for transparency.
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| failed(&e))?;
    Ok(Cow::Owned(target.into_vec()))
}

/// The pixels of `area`, each of `samples` bytes, out of rows of `width` pixels; whole rows are shared. The area lies inside the plane.
pub(crate) fn cut_plane(plane: &Buffer, width: u32, area: Area, samples: usize) -> Buffer {
    let (row, length) = (width as usize * samples, area.width as usize * samples);
    let first = area.y as usize * row;
    if length == row {
        return plane.slice_with_length(first, area.height as usize * row);
    }
    Buffer::from_vec(cut_rows(plane, width, area, samples))
}

fn cut_rows(plane: &[u8], width: u32, area: Area, samples: usize) -> Vec<u8> {
    let (row, length) = (width as usize * samples, area.width as usize * samples);
    let mut cut = Vec::with_capacity(length * area.height as usize);
    for line in plane.get(area.y as usize * row..).unwrap_or(&[]).chunks_exact(row).take(area.height as usize) {
        cut.extend_from_slice(line.get(area.x as usize * samples..).and_then(|l| l.get(..length)).unwrap_or(&[]));
    }
    cut
}

/// Turns rows of `n`-byte pixels clockwise by 0, 90, 180 or 270 degrees; any other angle counts as 0.
pub(crate) fn turned(width: u32, height: u32, data: Buffer, n: usize, rotation: u16) -> (u32, u32, Buffer) {
    let (w, h) = (width as usize, height as usize);
    let (to_w, to_h) = match rotation {
        90 | 270 => (h, w),
        180 => (w, h),
        _ => return (width, height, data),
    };
    let turned = match n {
        1 => turned_pixels::<1>(w, h, &data, rotation),
        _ => turned_pixels::<3>(w, h, &data, rotation),
    };
    (to_w as u32, to_h as u32, Buffer::from_vec(turned))
}

fn turned_pixels<const N: usize>(width: usize, height: usize, data: &[u8], rotation: u16) -> Vec<u8> {
    let pixels = data.as_chunks::<N>().0;
    if rotation == 180 {
        return pixels.iter().rev().copied().collect::<Vec<[u8; N]>>().into_flattened();
    }
    let mut turned = vec![[0; N]; width * height];
    // In squares, so that what is read and what is written both stay near the processor.
    const SIDE: usize = 32;
    for (top, left) in (0..height).step_by(SIDE).flat_map(|top| (0..width).step_by(SIDE).map(move |left| (top, left))) {
        for x in left..(left + SIDE).min(width) {
            let column = (top..(top + SIDE).min(height)).map(|y| pixels[y * width + x]);
            if rotation == 90 {
                let last = x * height + height - 1 - top;
                column.enumerate().for_each(|(at, pixel)| turned[last - at] = pixel);
            } else {
                let first = (width - 1 - x) * height + top;
                turned[first..].iter_mut().zip(column).for_each(|(to, pixel)| *to = pixel);
            }
        }
    }
    turned.into_flattened()
}

/// Errs unless the head of a JPEG can be read and names the size that the picture has.
pub(crate) fn check_jpeg(picture: &Picture) -> Result<(), Damaged> {
    with_decoder(picture, |_| Ok(()))
}

/// The pixels of a JPEG, red first. Greyscale and CMYK files become RGB.
pub(crate) fn decode_jpeg(picture: &Picture) -> Result<Vec<u8>, Damaged> {
    let data = with_decoder(picture, |decoder| decoder.decode().map_err(|e| broken(&e)))?;
    let expected = picture.width as usize * picture.height as usize * 3;
    if data.len() == expected { Ok(data) } else { Err(broken(&format!("{} bytes of pixels instead of {expected}", data.len()))) }
}

fn with_decoder<T>(picture: &Picture, work: impl FnOnce(&mut JpegDecoder<ZCursor<&[u8]>>) -> Result<T, Damaged>) -> Result<T, Damaged> {
    let file = picture.planes.first().and_then(Option::as_ref).ok_or_else(|| short(picture, 0))?;
    let decode = || {
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file.as_slice()), options);
        decoder.decode_headers().map_err(|e| broken(&e))?;
        // The size is compared before the pixels get their memory: a broken head may name any.
        match decoder.dimensions() {
            Some((width, height)) if (width as u64, height as u64) == (picture.width.into(), picture.height.into()) => work(&mut decoder),
            _ => Err(broken(&format!("it does not have the {}x{} pixels of its frame", picture.width, picture.height))),
        }
    };
    // Foreign bytes: should the decoder ever panic, one picture is lost and not the query.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(broken(&"the decoder gave up")))
}

fn broken(reason: &dyn std::fmt::Display) -> Damaged {
    Damaged::new(format!("a JPEG picture cannot be decoded: {reason}"))
}
