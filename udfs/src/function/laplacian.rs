//! `laplacian(frame) -> FRAME`: how much each pixel differs from its neighbours.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::mirrored;
use crate::frame::frame_type;
use crate::pixels::{luma, mapped};

sql_function!(
    Laplacian, "laplacian", arguments: [Frame], required: 1, returns: frame_type(),
    syntax: "laplacian(frame) -> FRAME",
    description: "How much each pixel differs from its four neighbours: the amount of the Laplacian of the luma, clipped to 255, as OpenCV's convertScaleAbs(Laplacian(gray, CV_16S)). NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(laplacian(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|_, picture| {
        let gray = luma(&decoder.decode(picture)?)?;
        let width = gray.width as usize;
        Ok(Some(mapped(&gray, |luma| amounts(luma, width))?))
    })
}

fn amounts(luma: &[u8], width: usize) -> Vec<u8> {
    let height = luma.len() / width.max(1);
    let at = |x: isize, y: isize| i32::from(luma[mirrored(y, height) * width + mirrored(x, width)]);
    let one = |x: isize, y: isize| (at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y)).unsigned_abs().min(255) as u8;
    (0..height as isize).flat_map(|y| (0..width as isize).map(move |x| (x, y))).map(|(x, y)| one(x, y)).collect()
}
