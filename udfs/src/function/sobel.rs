//! `sobel(frame) -> FRAME`: how strong the edges of the picture are.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::gradients::Gradients;
use super::neighbourhood::{mirrored, rounded};
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
        let Lengths { luma, width } = self;
        let (mut gradients, mut line) = (Gradients::default(), vec![0; width]);
        let mut made = Vec::with_capacity(luma.len());
        for y in 0..luma.len() / width.max(1) {
            gradients.make(luma, width, y, mirrored);
            for ((to, dx), dy) in line.iter_mut().zip(&gradients.across).zip(&gradients.down) {
                // A square is below 2^24, which a float holds; its root is never half way between two whole numbers.
                let (dx, dy) = (f32::from(*dx), f32::from(*dy));
                *to = rounded((dx * dx + dy * dy).sqrt().min(255.0));
            }
            made.extend_from_slice(&line);
        }
        made
    }
}
