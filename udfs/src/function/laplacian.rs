//! `laplacian(frame) -> FRAME`: how much each pixel differs from its neighbours.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::gradients::laplacians;
use crate::frame::frame_type;
use crate::model::kernels::{Work, fastest};
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
        Ok(Some(mapped(&gray, |luma| fastest(Amounts { luma, width }))?))
    })
}

struct Amounts<'a> {
    luma: &'a [u8],
    width: usize,
}

impl Work for Amounts<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let Amounts { luma, width } = self;
        let (mut wide, mut row, mut line) = (Vec::new(), Vec::new(), vec![0; width]);
        let mut made = Vec::with_capacity(luma.len());
        for y in 0..luma.len() / width.max(1) {
            laplacians(luma, width, y, &mut wide, &mut row);
            for (to, value) in line.iter_mut().zip(&row) {
                *to = value.unsigned_abs().min(255) as u8;
            }
            made.extend_from_slice(&line);
        }
        made
    }
}
