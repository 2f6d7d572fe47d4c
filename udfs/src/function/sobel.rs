//! `sobel(frame) -> FRAME`: how strong the edges of the picture are.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{gradients, mirrored};
use crate::frame::frame_type;
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
        Ok(Some(mapped(&gray, |luma| {
            gradients(luma, width, mirrored).iter().map(|(dx, dy)| f64::from(dx * dx + dy * dy).sqrt().round().min(255.0) as u8).collect()
        })?))
    })
}
