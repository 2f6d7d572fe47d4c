//! `side_by_side(a frame, b frame) -> FRAME`: two pictures as one.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use super::resize::other_side;
use crate::frame::{FrameBuilder, Picture, frame_type};
use crate::pixels::{Damaged, MAX_PIXELS, Order, render};

sql_function!(
    SideBySide, "side_by_side", arguments: [Frame, Frame], required: 2, returns: frame_type(),
    syntax: "side_by_side(a frame, b frame) -> FRAME",
    description: "Two pictures as one, a on the left and b on the right; b is scaled to the height of a. The frame is derived from a. NULL for a NULL frame, two pictures of more than 134217728 pixels together, or a picture that cannot be decoded.",
    example: "SELECT jpeg(side_by_side(frame, canny(frame))) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (mut first, mut second) = (Decoder::default(), Decoder::default());
    let made = arguments.pairs(|id, a, b| Ok(Some((id.clone(), joined(&first.decode(a)?, &second.decode(b)?)?))))?;
    let mut frames = FrameBuilder::new();
    for frame in &made {
        match frame {
            Some((id, picture)) => frames.append(id, picture.width, picture.height, Some(picture)),
            None => frames.append_null(),
        }
    }
    Ok(Arc::new(frames.finish()))
}

fn joined(a: &Picture, b: &Picture) -> Result<Picture> {
    let left = Samples::rgb(a)?;
    let (width, height) = b.displayed();
    let to = (other_side(left.height as u32, height, width), left.height as u32);
    if (left.width as u64 + u64::from(to.0)) * u64::from(to.1) > MAX_PIXELS {
        return Err(Damaged::new("two pictures side by side have too many pixels").into());
    }
    let right = render(b, Order::Rgb, Some(to))?;
    let (left_row, right_row) = (left.width * 3, right.width as usize * 3);
    let mut data = Vec::with_capacity(left.height * (left_row + right_row));
    for (left, right) in left.data.chunks_exact(left_row).zip(right.data.chunks_exact(right_row)) {
        data.extend_from_slice(left);
        data.extend_from_slice(right);
    }
    let joined = Samples { width: left.width + right.width as usize, height: left.height, n: 3, data: data.into() }.into_picture();
    Ok(Picture { matrix: a.matrix, ..joined })
}
