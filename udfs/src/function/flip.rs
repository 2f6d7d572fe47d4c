//! `flip(frame, direction text) -> FRAME`: the picture as in a mirror.

use arrow::array::ArrayRef;
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;

sql_function!(
    Flip, "flip", arguments: [Frame, Text], required: 2, returns: frame_type(),
    syntax: "flip(frame, direction text) -> FRAME",
    description: "The picture as in a mirror: direction is 'horizontal' (left and right change places), 'vertical' (top and bottom do) or 'both'; another is an error. \
NULL for a NULL frame or direction, or a picture that cannot be decoded. The frame is derived.",
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
            Some(other) => return exec_err!("flip goes 'horizontal', 'vertical' or 'both', not '{other}'"),
        };
        let mut samples = Samples::rgb(&decoder.decode(picture)?)?;
        let row = samples.width * samples.n;
        if down {
            samples.data = samples.data.chunks_exact(row).rev().flatten().copied().collect();
        }
        if across {
            samples.data.chunks_exact_mut(row).for_each(|line| line.as_chunks_mut::<3>().0.reverse());
        }
        Ok(Some(samples.into_picture()))
    })
}
