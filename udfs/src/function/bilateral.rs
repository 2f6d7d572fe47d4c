//! `bilateral(frame [, size int4 [, sigma_color float8 [, sigma_space float8]]]) -> FRAME`: the picture smoothed, its edges kept.

use arrow::array::ArrayRef;
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, mirrored, side};
use crate::frame::frame_type;

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
            return exec_err!("bilateral needs sigmas above 0");
        }
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(smoothed(&samples, side, color, space).into_picture()))
    })
}

/// Tomasi and Manduchi (ICCV 1998).
fn smoothed(samples: &Samples, side: usize, sigma_color: f64, sigma_space: f64) -> Samples {
    let &Samples { width, height, n, ref data } = samples;
    let falling = |of: f64, sigma: f64| (-0.5 * of / (sigma * sigma)).exp() as f32;
    let by_color: Vec<f32> = (0..=3 * 255_i32).map(|d| falling(f64::from(d * d), sigma_color)).collect();
    let half = (side / 2) as isize;
    let circle: Vec<(isize, isize, f32)> = (-half..=half)
        .flat_map(|dy| (-half..=half).map(move |dx| (dx, dy)))
        .filter(|(dx, dy)| dx * dx + dy * dy <= half * half)
        .map(|(dx, dy)| (dx, dy, falling((dx * dx + dy * dy) as f64, sigma_space)))
        .collect();
    let columns: Vec<usize> = (-half..width as isize + half).map(|x| mirrored(x, width) * n).collect();
    let mut made = Vec::with_capacity(data.len());
    for y in 0..height as isize {
        let rows: Vec<usize> = (-half..=half).map(|dy| mirrored(y + dy, height) * width * n).collect();
        for x in 0..width {
            let here = (y as usize * width + x) * n;
            let [r, g, b] = [data[here], data[here + 1], data[here + 2]];
            let (mut weights, mut sums) = (0.0_f32, [0.0_f32; 3]);
            for (dx, dy, by_space) in &circle {
                let at = rows[(dy + half) as usize] + columns[(x as isize + dx + half) as usize];
                let near = [data[at], data[at + 1], data[at + 2]];
                let unlike = usize::from(near[0].abs_diff(r)) + usize::from(near[1].abs_diff(g)) + usize::from(near[2].abs_diff(b));
                let weight = by_space * by_color[unlike];
                weights += weight;
                sums.iter_mut().zip(near).for_each(|(sum, value)| *sum += weight * f32::from(value));
            }
            made.extend(sums.map(|sum| (sum / weights).round_ties_even().clamp(0.0, 255.0) as u8));
        }
    }
    Samples { width, height, n, data: made }
}
