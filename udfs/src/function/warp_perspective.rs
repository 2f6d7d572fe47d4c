//! `warp_perspective(frame, corners text, width int4, height int4) -> FRAME`: a slanted rectangle of the picture, seen from the front.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;
use crate::homography::Homography;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};
use crate::out_of_range::out_of_range;
use crate::pixels::MAX_PIXELS;
use crate::polygon::Polygon;

/// The longest side that is made, px.
const LONGEST_SIDE: i32 = 16_384;

sql_function!(
    WarpPerspective, "warp_perspective", arguments: [Frame, Text, Int, Int], required: 4, returns: frame_type(),
    syntax: "warp_perspective(frame, corners text, width int4, height int4) -> FRAME",
    description: "The part of the picture between four corners, ((x y, x y, x y, x y)) in pixels, as a picture of width by height pixels: the first corner becomes the middle of its upper left pixel, the others follow clockwise, as OpenCV's getPerspectiveTransform and warpPerspective, bilinear. A number plate or a sheet of paper seen from the side is \
straightened so. What lies outside the picture is black. Sides are 2 to 16384 and the picture has at most 134217728 pixels; corners of which three lie on a line, and other values, are an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived; boxes found in it are in its own pixels.",
    example: "SELECT jpeg(warp_perspective(frame, '((10 10, 200 30, 210 140, 5 120))', 200, 120)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let (Some(corners), Some(width), Some(height)) = (arguments.text(1, row), arguments.int(2, row), arguments.int(3, row)) else {
            return Ok(None);
        };
        let side = |side: i32| (2..=LONGEST_SIDE).contains(&side);
        if !side(width) || !side(height) {
            return out_of_range!("warp_perspective needs sides of 2 to {LONGEST_SIDE} pixels, not {width} and {height}");
        }
        if width as u64 * height as u64 > MAX_PIXELS {
            return out_of_range!("warp_perspective makes pictures of at most {MAX_PIXELS} pixels, not {width}x{height}");
        }
        let polygon = Polygon::parse(corners)?;
        let &[a, b, c, d] = polygon.corners() else {
            return out_of_range!("warp_perspective needs four corners, not {}", polygon.corners().len());
        };
        let (width, height) = (width as usize, height as usize);
        let (right, bottom) = ((width - 1) as f64, (height - 1) as f64);
        let rectangle = [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)];
        let Some(way) = Homography::of(rectangle, [a, b, c, d]) else {
            return out_of_range!("warp_perspective needs four corners of which no three lie on a line");
        };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        let data = fastest(Seen { samples: &samples, way: &way, width, height }).into_flattened();
        Ok(Some(Samples { width, height, n: 3, data: data.into() }.into_picture()))
    })
}

/// Pixels of a row that are made together.
const TOGETHER: usize = 64;

/// Of a picture in RGB.
struct Seen<'a> {
    samples: &'a Samples,
    way: &'a Homography,
    width: usize,
    height: usize,
}

impl Work for Seen<'_> {
    type Made = Vec<[u8; 3]>;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "several arrays go side by side")]
    fn run(self) -> Vec<[u8; 3]> {
        let Seen { samples: &Samples { width: across, height: down, ref data, .. }, way, width, height } = self;
        let pixels = data.as_chunks::<3>().0;
        let mut made = Vec::with_capacity(width * height);
        for v in 0..height {
            if interrupt::asked() {
                break;
            }
            for first in (0..width).step_by(TOGETHER) {
                let (mut xs, mut ys) = ([0.0; TOGETHER], [0.0; TOGETHER]);
                for i in 0..TOGETHER {
                    (xs[i], ys[i]) = way.apply((first.wrapping_add(i) as i32 as f64, v as f64));
                }
                // The four pixels around each, and how near it is to the right and the lower ones; black outside.
                let mut corners = [[[0_u8; TOGETHER]; 3]; 4];
                let (mut right, mut lower) = ([0.0; TOGETHER], [0.0; TOGETHER]);
                for i in 0..TOGETHER {
                    let (x, y) = (xs[i], ys[i]);
                    if !(x > -1.0 && y > -1.0 && x < across as f64 && y < down as f64) {
                        continue;
                    }
                    // Without AVX, `floor` and `round` are calls of functions, which took most of the time.
                    let floor = |v: f64| if v < 0.0 { -1 } else { v as i32 };
                    let (left, top) = (floor(x), floor(y));
                    (right[i], lower[i]) = (x - f64::from(left), y - f64::from(top));
                    let (left, top) = (left as usize, top as usize);
                    // What -1 becomes has nothing in the line, and one more is 0 again.
                    let line = |y: usize| if y < down { &pixels[y * across..][..across] } else { &[] };
                    let (upper, under) = (line(top), line(top.wrapping_add(1)));
                    for (corner, (line, x)) in
                        corners.iter_mut().zip([(upper, left), (upper, left.wrapping_add(1)), (under, left), (under, left.wrapping_add(1))])
                    {
                        let pixel = line.get(x).copied().unwrap_or_default();
                        (0..3).for_each(|c| corner[c][i] = pixel[c]);
                    }
                }
                let mut colors = [[0_u8; TOGETHER]; 3];
                for (c, color) in colors.iter_mut().enumerate() {
                    let [a, b, e, d] = corners.each_ref().map(|corner| &corner[c]);
                    for i in 0..TOGETHER {
                        let (fx, fy) = (right[i], lower[i]);
                        let between = |left: u8, right: u8| f64::from(left) * (1.0 - fx) + f64::from(right) * fx;
                        color[i] = nearest_whole(between(a[i], b[i]) * (1.0 - fy) + between(e[i], d[i]) * fy);
                    }
                }
                let [r, g, b] = &colors;
                let mut part = [[0_u8; 3]; TOGETHER];
                for i in 0..TOGETHER {
                    part[i] = [r[i], g[i], b[i]];
                }
                made.extend_from_slice(&part[..TOGETHER.min(width - first)]);
            }
        }
        made.resize(width * height, [0; 3]);
        made
    }
}

/// Of 0 to 255, a half rounded up.
#[inline(always)]
fn nearest_whole(value: f64) -> u8 {
    // The largest number below a half: what is just below one is not rounded up.
    let value = value + 0.499_999_999_999_999_94;
    // From 2^52 on a float has no fraction: adding that rounds, and what was rounded up is one too many.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    let near = (value + WHOLE) - WHOLE;
    (if near > value { near - 1.0 } else { near } + WHOLE).to_bits() as u8
}
