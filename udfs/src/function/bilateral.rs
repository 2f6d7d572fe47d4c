//! `bilateral(frame [, size int4 [, sigma_color float8 [, sigma_space float8]]]) -> FRAME`: the picture smoothed, its edges kept.

use std::array::from_fn;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, mirrored, padded, rounded, side};
use crate::frame::frame_type;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};
use crate::out_of_range::out_of_range;

sql_function!(
    Bilateral, "bilateral", arguments: [Frame, Int, Float, Float], required: 1, returns: frame_type(),
    syntax: "bilateral(frame [, size int4 [, sigma_color float8 [, sigma_space float8]]]) -> FRAME",
    description: "The picture with every pixel the mean of those around it, in a circle of that diameter, that are like it, as OpenCV's bilateralFilter: a pixel weighs less the further away it is (sigma_space, in pixels, 75 unless given) and the more its colour differs \
(sigma_color, the sum over red, green and blue, 75 unless given), so that noise goes and edges stay. size is odd, 1 to 255, and 9 unless given; the sigmas are above 0; other values are an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(bilateral(frame, 5)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(9) };
        let or = |at: usize| if arguments.given(at) { arguments.float(at, row) } else { Some(75.0) };
        let (Some(side), Some(color), Some(space)) = (side("bilateral", given)?, or(2), or(3)) else { return Ok(None) };
        if !(color > 0.0 && space > 0.0) {
            return out_of_range!("bilateral needs sigmas above 0");
        }
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(samples.with(fastest(Smoothed { samples: &samples, side, sigma_color: color, sigma_space: space })).into_picture()))
    })
}

/// Pixels of a row that are worked on together: what is done to all, the compiler does to many in a step.
const TOGETHER: usize = 64;

/// The red, the green or the blue of these pixels.
#[inline(always)]
fn together(line: &[u8], at: usize) -> &[u8; TOGETHER] {
    line.get(at..).and_then(|line| line.first_chunk()).unwrap_or(&[0; TOGETHER])
}

/// Tomasi and Manduchi (ICCV 1998). Of a picture in RGB.
struct Smoothed<'a> {
    samples: &'a Samples,
    side: usize,
    sigma_color: f64,
    sigma_space: f64,
}

impl Work for Smoothed<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "several arrays go side by side")]
    fn run(self) -> Vec<u8> {
        let Smoothed { samples: &Samples { width, height, n, ref data }, side, sigma_color, sigma_space } = self;
        // The square of the smallest sigmas is 0: what differs by nothing weighs 1 all the same.
        let falling = |of: f64, sigma: f64| if of == 0.0 { 1.0 } else { (-0.5 * of / (sigma * sigma)).exp() as f32 };
        let by_color: [f32; 3 * 255 + 1] = from_fn(|d| falling((d * d) as f64, sigma_color));
        let half = (side / 2) as isize;
        let circle: Vec<(isize, isize, f32)> = (-half..=half)
            .flat_map(|dy| (-half..=half).map(move |dx| (dx, dy)))
            .filter(|(dx, dy)| dx * dx + dy * dy <= half * half)
            .map(|(dx, dy)| (dx, dy, falling((dx * dx + dy * dy) as f64, sigma_space)))
            .collect();
        // The colours one by one, rows with as many pixels more as a neighbourhood and a last step need.
        let wide = width + 2 * half as usize + TOGETHER;
        let mut planes: [Vec<u8>; 3] = from_fn(|_| Vec::with_capacity(wide * height));
        let mut padding = Vec::new();
        for line in data.chunks_exact((width * n).max(1)) {
            padded(line, n, half as usize, mirrored, |sample| sample, &mut padding);
            padding.resize(wide * n, 0);
            planes.iter_mut().enumerate().for_each(|(c, plane)| plane.extend(padding.as_chunks::<3>().0.iter().map(|pixel| pixel[c])));
        }
        let mut made = Vec::with_capacity(data.len());
        for y in 0..height as isize {
            if interrupt::asked() {
                break;
            }
            let rows: Vec<usize> = (-half..=half).map(|dy| mirrored(y + dy, height) * wide).collect();
            for x in (0..width).step_by(TOGETHER) {
                let colors = |dx: isize, dy: isize| {
                    let at = rows[(dy + half) as usize] + (x as isize + dx + half) as usize;
                    planes.each_ref().map(|plane| together(plane, at))
                };
                let [r, g, b] = colors(0, 0);
                let (mut weights, mut sums) = ([0.0_f32; TOGETHER], [[0.0_f32; TOGETHER]; 3]);
                for (dx, dy, by_space) in &circle {
                    let near = colors(*dx, *dy);
                    let mut weight = [0.0_f32; TOGETHER];
                    let mut unlike = [0_u16; TOGETHER];
                    for i in 0..TOGETHER {
                        let of = |a: u8, b: u8| u16::from(a.abs_diff(b));
                        unlike[i] = of(near[0][i], r[i]).wrapping_add(of(near[1][i], g[i])).wrapping_add(of(near[2][i], b[i]));
                    }
                    for i in 0..TOGETHER {
                        weight[i] = by_space * by_color[usize::from(unlike[i]).min(3 * 255)];
                    }
                    for i in 0..TOGETHER {
                        weights[i] += weight[i];
                    }
                    for (sums, near) in sums.iter_mut().zip(near) {
                        for i in 0..TOGETHER {
                            sums[i] += weight[i] * f32::from(near[i]);
                        }
                    }
                }
                for i in 0..TOGETHER.min(width - x) {
                    made.extend(sums.each_ref().map(|sums| rounded(sums[i] / weights[i])));
                }
            }
        }
        made
    }
}
