//! `equalize_histogram(frame) -> FRAME`: the picture with its luma spread over the whole range.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::frame_type;
use crate::pixels::{counted, luma, mapped};

sql_function!(
    EqualizeHistogram, "equalize_histogram", arguments: [Frame], required: 1, returns: frame_type(),
    syntax: "equalize_histogram(frame) -> FRAME",
    description: "The picture without its colours, its luma spread so that each brightness is about as frequent, as OpenCV's equalizeHist. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(equalize_histogram(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|_, picture| {
        let gray = luma(&decoder.decode(picture)?)?;
        Ok(Some(mapped(&gray, |luma| spread(luma))?))
    })
}

fn spread(luma: &[u8]) -> Vec<u8> {
    let counts = counted(luma).map(u64::from);
    let Some(first) = counts.iter().position(|n| *n > 0) else { return Vec::new() };
    let rest = luma.len() as u64 - counts[first];
    if rest == 0 {
        return luma.to_vec();
    }
    let scale = 255.0 / rest as f32;
    let (mut table, mut sum) = ([0_u8; 256], 0);
    for (to, n) in table.iter_mut().zip(&counts).skip(first + 1) {
        sum += n;
        *to = (sum as f32 * scale).round_ties_even().clamp(0.0, 255.0) as u8;
    }
    luma.iter().map(|v| table[usize::from(*v)]).collect()
}
