//! `sobel(frame) -> FRAME`: how strong the edges of the picture are.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{gradients, mirrored, rounded};
use crate::frame::frame_type;
use crate::model::kernels::{Work, fastest};
use crate::pixels::{luma, mapped};

sql_function!(
    Sobel, "sobel", arguments: [Frame], required: 1, returns: frame_type(),
    syntax: "sobel(frame) -> FRAME",
    description: "How strong the edges are: at every pixel the length of the gradient of the luma by Sobel's 3 by 3, clipped to 255. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(sobel(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|_, picture| {
        let gray = luma(&decoder.decode(picture)?)?;
        let width = gray.width as usize;
        Ok(Some(mapped(&gray, |luma| fastest(Lengths { luma, width }))?))
    })
}

struct Lengths<'a> {
    luma: &'a [u8],
    width: usize,
}

impl Work for Lengths<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let mut made = Vec::with_capacity(self.luma.len());
        gradients(self.luma, self.width, mirrored, |across, down| {
            // A square is below 2^24, which a float holds; its root is never half way between two whole numbers.
            let square = |d: i16| f32::from(d) * f32::from(d);
            made.extend(across.iter().zip(down).map(|(dx, dy)| rounded((square(*dx) + square(*dy)).sqrt().min(255.0))));
        });
        made
    }
}
