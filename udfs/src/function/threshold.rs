//! `threshold(frame, value float8) -> FRAME`: the picture in black and white.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{luma, mapped};

sql_function!(
    Threshold, "threshold", arguments: [Frame, Float], required: 2, returns: frame_type(),
    syntax: "threshold(frame, value float8) -> FRAME",
    description: "The picture in black and white: white where the luma is above value (0 to 255), as OpenCV's threshold; NaN is an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(threshold(frame, 128)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let Some(value) = arguments.float(1, row) else { return Ok(None) };
        if value.is_nan() {
            return out_of_range!("threshold needs a number, not NaN");
        }
        let gray = luma(&decoder.decode(picture)?)?;
        // The least that is white; none may be.
        let least = (0..=255_u8).find(|v| f64::from(*v) > value);
        Ok(Some(mapped(&gray, |luma| match least {
            Some(least) => luma.iter().map(|v| if *v >= least { 255 } else { 0 }).collect(),
            None => vec![0; luma.len()],
        })?))
    })
}
