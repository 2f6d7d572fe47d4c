//! `warp_perspective(frame, corners text, width int4, height int4) -> FRAME`: a slanted rectangle of the picture, seen from the front.

use std::array::from_fn;

use arrow::array::ArrayRef;
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;
use crate::homography::Homography;
use crate::pixels::MAX_PIXELS;
use crate::polygon::Polygon;

/// The longest side that is made, px.
const LONGEST_SIDE: i32 = 16_384;

sql_function!(
    WarpPerspective, "warp_perspective", arguments: [Frame, Text, Int, Int], required: 4, returns: frame_type(),
    syntax: "warp_perspective(frame, corners text, width int4, height int4) -> FRAME",
    description: "The part of the picture between four corners, ((x y, x y, x y, x y)) in pixels, as a picture of width by height pixels: the first corner becomes the middle of its upper left pixel, the others follow clockwise, as OpenCV's getPerspectiveTransform and warpPerspective, bilinear. A number plate or a sheet of paper seen from the side is \
straightened so. What lies outside the picture is black. Sides are 2 to 16384; corners of which three lie on a line, and other values, are an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived; boxes found in it are in its own pixels.",
    example: "SELECT jpeg(warp_perspective(frame, '((10 10, 200 30, 210 140, 5 120))', 200, 120)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let (Some(corners), Some(width), Some(height)) = (arguments.text(1, row), arguments.int(2, row), arguments.int(3, row)) else {
            return Ok(None);
        };
        let side = |side: i32| (2..=LONGEST_SIDE).contains(&side);
        if !side(width) || !side(height) || width as u64 * height as u64 > MAX_PIXELS {
            return exec_err!("warp_perspective needs sides of 2 to {LONGEST_SIDE} pixels");
        }
        let polygon = Polygon::parse(corners)?;
        let &[a, b, c, d] = polygon.corners() else {
            return exec_err!("warp_perspective needs four corners, not {}", polygon.corners().len());
        };
        let (width, height) = (width as usize, height as usize);
        let (right, bottom) = ((width - 1) as f64, (height - 1) as f64);
        let rectangle = [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)];
        let Some(way) = Homography::of(rectangle, [a, b, c, d]) else {
            return exec_err!("warp_perspective needs four corners of which no three lie on a line");
        };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(seen(&samples, &way, width, height).into_picture()))
    })
}

/// Of a picture in RGB.
fn seen(samples: &Samples, way: &Homography, width: usize, height: usize) -> Samples {
    let mut data = Vec::with_capacity(width * height * 3);
    for v in 0..height {
        for u in 0..width {
            data.extend_from_slice(&between(samples, way.apply((u as f64, v as f64))));
        }
    }
    Samples { width, height, n: 3, data }
}

/// A pixel between four; black outside.
fn between(samples: &Samples, (x, y): (f64, f64)) -> [u8; 3] {
    let Samples { width, height, ref data, .. } = *samples;
    if !(x > -1.0 && y > -1.0 && x < width as f64 && y < height as f64) {
        return [0; 3];
    }
    // Without AVX, `floor` and `round` are calls of functions, which took most of the time.
    let floor = |v: f64| if v < 0.0 { -1 } else { v as i32 };
    let (left, top) = (floor(x), floor(y));
    let (fx, fy) = (x - f64::from(left), y - f64::from(top));
    let pixels = data.as_chunks::<3>().0;
    let row = |y: i32| {
        let (x, y) = (left as usize, y as usize);
        let line = if y < height { &pixels[y * width..][..width] } else { &[] };
        // What -1 becomes has nothing in the line, and one more is 0 again.
        let [left, right] = [x, x.wrapping_add(1)].map(|x| line.get(x).map_or([0.0; 3], |pixel| pixel.map(f64::from)));
        from_fn(|c| left[c] * (1.0 - fx) + right[c] * fx)
    };
    let (upper, lower): ([f64; 3], [f64; 3]) = (row(top), row(top + 1));
    // The largest number below a half: what is just below one is not rounded up.
    from_fn(|c| (upper[c] * (1.0 - fy) + lower[c] * fy + 0.499_999_999_999_999_94) as u8)
}
