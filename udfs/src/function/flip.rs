//! `flip(frame, direction text) -> FRAME`: the picture as in a mirror.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;
use crate::model::kernels::{Work, fastest};
use crate::out_of_range::out_of_range;

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
            Some(other) => return out_of_range!("flip goes 'horizontal', 'vertical' or 'both', not '{other}'"),
        };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        let made = fastest(Flipped { pixels: samples.data.as_chunks::<3>().0, width: samples.width, across, down });
        Ok(Some(samples.with(made.into_flattened()).into_picture()))
    })
}

struct Flipped<'a> {
    pixels: &'a [[u8; 3]],
    width: usize,
    across: bool,
    down: bool,
}

impl Work for Flipped<'_> {
    type Made = Vec<[u8; 3]>;

    #[inline(always)]
    fn run(self) -> Vec<[u8; 3]> {
        let Flipped { pixels, width, across, down } = self;
        const PART: usize = 512;
        let mut made = Vec::with_capacity(pixels.len());
        let mut part = [[0; 3]; PART];
        for y in 0..pixels.len() / width {
            let from = if down { pixels.len() / width - 1 - y } else { y };
            let line = &pixels[from * width..][..width];
            if !across {
                made.extend_from_slice(line);
                continue;
            }
            for from in line.rchunks(PART) {
                for (to, from) in part.iter_mut().zip(from.iter().rev()) {
                    *to = *from;
                }
                made.extend_from_slice(&part[..from.len()]);
            }
        }
        made
    }
}
