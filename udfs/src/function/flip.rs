//! `flip(frame, direction text) -> FRAME`: the picture as in a mirror.

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::{Picture, PixelFormat, frame_type};
use crate::model::kernels::{Work, fastest};
use crate::out_of_range::out_of_range;
use crate::pixels::{Damaged, Order, render};
use crate::planes::{half_plane, plane};

sql_function!(
    Flip, "flip", arguments: [Frame, Text], required: 2, returns: frame_type(),
    syntax: "flip(frame, direction text) -> FRAME",
    description: "The picture as in a mirror: direction is 'horizontal' (left and right change places), 'vertical' (top and bottom do) or 'both'; another is an error. \
NULL for a NULL frame or direction, or a picture that cannot be decoded. The frame is derived; video of even sides stays as it is stored and loses nothing.",
    example: "SELECT jpeg(flip(frame, 'horizontal')) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let (across, down) = match arguments.text(1, row) {
            None => return Ok(None),
            Some("horizontal") => (true, false),
            Some("vertical") => (false, true),
            Some("both") => (true, true),
            Some(other) => return out_of_range!("flip goes 'horizontal', 'vertical' or 'both', not '{other}'"),
        };
        Ok(Some(flipped(&decoder.decode(picture)?, across, down)?))
    })
}

/// The picture flipped as it is displayed; what is turned stays so.
fn flipped(picture: &Picture, across: bool, down: bool) -> Result<Picture, Damaged> {
    // Of a picture on its side the columns are its rows.
    let (across, down) = if picture.turned() { (down, across) } else { (across, down) };
    let even = (!across || picture.width.is_multiple_of(2)) && (!down || picture.height.is_multiple_of(2));
    let width = picture.width as usize;
    let planes = match picture.format {
        PixelFormat::Rgb8 => [Some(mirrored::<3>(plane(picture, 0, 3)?, width, across, down)), None, None],
        PixelFormat::Gray8 => [Some(mirrored::<1>(plane(picture, 0, 1)?, width, across, down)), None, None],
        PixelFormat::I420 if even => {
            let ((half, u), (_, v)) = (half_plane(picture, 1, 1)?, half_plane(picture, 2, 1)?);
            let luma = mirrored::<1>(plane(picture, 0, 1)?, width, across, down);
            [Some(luma), Some(mirrored::<1>(u, half, across, down)), Some(mirrored::<1>(v, half, across, down))]
        }
        PixelFormat::Nv12 if even => {
            let (half, uv) = half_plane(picture, 1, 2)?;
            let luma = mirrored::<1>(plane(picture, 0, 1)?, width, across, down);
            [Some(luma), Some(mirrored::<2>(uv, half, across, down)), None]
        }
        // Of an odd side the last sample of chroma has no second pixel: it would be the first one's.
        PixelFormat::I420 | PixelFormat::Nv12 | PixelFormat::Jpeg => {
            let upright = render(picture, Order::Rgb, None)?.into_picture();
            let (across, down) = if picture.turned() { (down, across) } else { (across, down) };
            return flipped(&upright, across, down);
        }
    };
    Ok(Picture { planes, ..picture.clone() })
}

fn mirrored<const N: usize>(samples: &[u8], width: usize, across: bool, down: bool) -> Buffer {
    Buffer::from_vec(fastest(Flipped::<N> { pixels: samples.as_chunks().0, width, across, down }).into_flattened())
}

struct Flipped<'a, const N: usize> {
    pixels: &'a [[u8; N]],
    width: usize,
    across: bool,
    down: bool,
}

impl<const N: usize> Work for Flipped<'_, N> {
    type Made = Vec<[u8; N]>;

    #[inline(always)]
    fn run(self) -> Vec<[u8; N]> {
        let Flipped { pixels, width, across, down } = self;
        const PART: usize = 512;
        let mut made = Vec::with_capacity(pixels.len());
        let mut part = [[0; N]; PART];
        for y in 0..pixels.len() / width {
            let from = if down { pixels.len() / width - 1 - y } else { y };
            let line = &pixels[from * width..][..width];
            if !across {
                made.extend_from_slice(line);
                continue;
            }
            for from in line.rchunks(PART) {
                for (to, from) in part.iter_mut().zip(from.iter().rev()) {
                    *to = *from;
                }
                made.extend_from_slice(&part[..from.len()]);
            }
        }
        made
    }
}
