//! `resize(frame, width int4 [, height int4]) -> FRAME`: the picture at another size.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{MAX_PIXELS, Order, render};

/// The longest side that is made: what the JPEG and H.264 decoders read back.
const LONGEST_SIDE: i32 = 16_384;

sql_function!(
    Resize, "resize", arguments: [Frame, Int, Int], required: 2, returns: frame_type(),
    syntax: "resize(frame, width int4 [, height int4]) -> FRAME",
    description: "The picture scaled to width x height pixels, smaller or larger; a side that is missing or NULL follows from the other, so that the aspect is kept. \
Sides are 1 to 16384 and the picture has at most 134217728 pixels; other values are an error. Bilinear, and when shrinking every pixel counts, the near ones more (a triangle as wide as the scale, which is Pillow's BILINEAR and not OpenCV's INTER_AREA). \
NULL for a NULL frame, a picture that cannot be decoded, one that would have more pixels with the side that follows, or if both sides are NULL. The frame is derived, in RGB; boxes found in it are in its own pixels.",
    example: "SELECT jpeg(resize(frame, 320, 180)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let full = picture.displayed();
        let Some(size) = wanted(arguments.int(1, row), arguments.int(2, row), full)? else { return Ok(None) };
        // Of the same size it is the same picture: its planes are shared.
        Ok(Some(if size == full { picture.clone() } else { render(&decoder.decode(picture)?, Order::Rgb, Some(size))?.into_picture() }))
    })
}

/// The size to scale to. None if neither side is known, or the one that follows from the picture makes too many pixels.
fn wanted(width: Option<i32>, height: Option<i32>, full: (u32, u32)) -> Result<Option<(u32, u32)>> {
    let in_range = |side: Option<i32>| side.is_none_or(|side| (1..=LONGEST_SIDE).contains(&side));
    if !in_range(width) || !in_range(height) {
        return out_of_range!("resize needs sides of 1 to {LONGEST_SIDE} pixels");
    }
    let side = |side: Option<i32>| side.and_then(|s| u32::try_from(s).ok());
    let size = match (side(width), side(height)) {
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) => (width, other_side(width, full.0, full.1)),
        (None, Some(height)) => (other_side(height, full.1, full.0), height),
        (None, None) => return Ok(None),
    };
    if u64::from(size.0) * u64::from(size.1) > MAX_PIXELS {
        // One that follows from the picture is no mistake of the query.
        if width.is_none() || height.is_none() {
            return Ok(None);
        }
        return out_of_range!("resize makes pictures of at most {MAX_PIXELS} pixels, not {}x{}", size.0, size.1);
    }
    Ok(Some(size))
}

/// The other side of a picture whose one side goes from `full` to `side`: rounded, and at least 1.
pub(super) fn other_side(side: u32, full: u32, other: u32) -> u32 {
    let full = u64::from(full.max(1));
    let rounded = (u64::from(other) * u64::from(side) + full / 2) / full;
    u32::try_from(rounded.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_that_is_missing_keeps_the_aspect() {
        let size = |width, height| wanted(width, height, (1280, 720)).unwrap();
        assert_eq!(size(Some(640), None), Some((640, 360)));
        assert_eq!(size(None, Some(90)), Some((160, 90)));
        assert_eq!(size(Some(1), None), Some((1, 1)));
        assert_eq!(size(Some(7), Some(2000)), Some((7, 2000)));
        assert_eq!(size(None, None), None);
        assert_eq!(other_side(100, 0, 0), 1);
    }

    #[test]
    fn sides_that_no_picture_has_are_an_error() {
        for (width, height) in
            [(Some(0), None), (Some(-5), Some(5)), (Some(20_000), None), (None, Some(i32::MIN)), (Some(16_384), Some(16_384))]
        {
            assert!(wanted(width, height, (1280, 720)).is_err(), "{width:?} {height:?}");
        }
        assert_eq!(wanted(Some(640), None, (1, 5000)).unwrap(), None);
    }
}
