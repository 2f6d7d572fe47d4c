//! `laplacian(frame) -> FRAME`: how much each pixel differs from its neighbours.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{mirrored, padded};
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
    let line = |y: isize| {
        let from = mirrored(y, height) * width;
        luma[from..from + width].iter()
    };
    let mut wide = Vec::with_capacity(width + 2);
    let mut made = Vec::with_capacity(luma.len());
    for y in 0..height as isize {
        padded(line(y).as_slice(), 1, 1, mirrored, i32::from, &mut wide);
        let around = wide.windows(3).zip(line(y - 1).zip(line(y + 1)));
        made.extend(
            around
                .map(|(w, (above, under))| (w[0] + w[2] + i32::from(*above) + i32::from(*under) - 4 * w[1]).unsigned_abs().min(255) as u8),
        );
    }
    made
}
