//! `pixelate(frame, boxes) -> FRAME`: the picture with a mosaic over every box, so that nobody is recognised.

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use datafusion_common::Result;

use super::boxes::{BoxLists, touched};
use super::call::{Arguments, Decoder, sql_function};
use crate::frame::frame_type;
use crate::pixels::{Area, Order, Pixels, render};

/// Blocks along the longer side of a box: fewer than it takes to know a face.
const BLOCKS: u32 = 8;
/// The least side of a block in pixels: a small face becomes even fewer blocks.
const LEAST_BLOCK: u32 = 8;

sql_function!(
    Pixelate, "pixelate", arguments: [Frame, Boxes], required: 2, returns: frame_type(),
    syntax: "pixelate(frame, boxes) -> FRAME",
    description: "The picture with a mosaic over every pixel that a box touches: square blocks, 8 along the longer side of the box inside the picture and none smaller than \
8 pixels, each of the mean colour of its pixels. boxes is a box or a list of boxes, each a BOX, a DETECTION, a struct of numbers x, y, w, h (or of four without \
names), or a list of four numbers, in pixels of the frame. Boxes that are NULL or hold NaN, have no area or lie outside change nothing; so does NULL for boxes: the pixels stay as they \
are. NULL for a NULL frame or a picture that cannot be decoded. The frame is derived: it never turns back into its original.",
    example: "SELECT jpeg(pixelate(frame, detect_faces(frame, 0.3))) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (boxes, mut decoder) = (BoxLists::try_new(arguments.array(1)?)?, Decoder::default());
    arguments.derive(|row, picture| {
        let areas: Vec<Area> = boxes.row(row).filter_map(|(_, bbox)| touched(&bbox, picture.displayed())).collect();
        if areas.is_empty() {
            return Ok(Some(picture.clone()));
        }
        let pixels = render(&decoder.decode(picture)?, Order::Rgb, None)?;
        let (width, height) = (pixels.width, pixels.height);
        let mut rgb = pixels.into_bytes();
        areas.iter().for_each(|area| mosaic(&mut rgb, width as usize, *area));
        Ok(Some(Pixels { width, height, data: Buffer::from_vec(rgb) }.into_picture()))
    })
}

/// Gives each block of the area the mean of its pixels; `rgb` has rows of `width` pixels, and the area lies inside.
fn mosaic(rgb: &mut [u8], width: usize, area: Area) {
    let block = area.width.max(area.height).div_ceil(BLOCKS).max(LEAST_BLOCK) as usize;
    let (left, top) = (area.x as usize, area.y as usize);
    let (right, bottom) = (left + area.width as usize, top + area.height as usize);
    for y in (top..bottom).step_by(block) {
        for x in (left..right).step_by(block) {
            let (to_x, to_y) = ((x + block).min(right), (y + block).min(bottom));
            let n = ((to_x - x) * (to_y - y)) as u64;
            let mut sums = [0_u64; 3];
            for line in y..to_y {
                let row = rgb.get((line * width + x) * 3..(line * width + to_x) * 3).unwrap_or(&[]);
                for pixel in row.as_chunks::<3>().0 {
                    sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u64::from(*sample));
                }
            }
            let mean = sums.map(|sum| ((sum + n / 2) / n) as u8);
            for line in y..to_y {
                let row = rgb.get_mut((line * width + x) * 3..(line * width + to_x) * 3).unwrap_or(&mut []);
                row.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_one_colour_and_the_rest_stays() {
        let mut rgb: Vec<u8> = (0..20 * 12).flat_map(|at| [at as u8, 0, 100]).collect();
        let before = rgb.clone();
        mosaic(&mut rgb, 20, Area { x: 3, y: 1, width: 16, height: 8 });
        let at = |rgb: &[u8], x: usize, y: usize| [0, 1, 2].map(|c| rgb[(y * 20 + x) * 3 + c]);
        for y in 0..12 {
            for x in 0..20 {
                let inside = (3..19).contains(&x) && (1..9).contains(&y);
                // Two blocks of 8x8: x from 3 to 10 and from 11 to 18.
                let expected = if inside { at(&rgb, if x < 11 { 3 } else { 11 }, 1) } else { at(&before, x, y) };
                assert_eq!(at(&rgb, x, y), expected, "{x} {y}");
            }
        }
        // The mean of 20 y + x over y 1 to 8 and x 3 to 10 is 90 + 6.5.
        assert_eq!(at(&rgb, 3, 1), [97, 0, 100]);
        assert_eq!(at(&rgb, 11, 1), [105, 0, 100]);
    }
}
