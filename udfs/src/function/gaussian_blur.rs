//! `gaussian_blur(frame [, size int4]) -> FRAME`: the picture out of focus.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, mirrored, side, weighted};
use crate::frame::frame_type;

sql_function!(
    GaussianBlur, "gaussian_blur", arguments: [Frame, Int], required: 1, returns: frame_type(),
    syntax: "gaussian_blur(frame [, size int4]) -> FRAME",
    description: "The picture with every pixel the mean of its neighbourhood of size by size pixels, the near ones weighing more, as OpenCV's GaussianBlur with sigma 0: those of sizes up to 9 are its small tables ([1 2 1] / 4, [1 4 6 4 1] / 16, …), and of larger ones sigma is 0.3 ((size - 1) / 2 - 1) + 0.8. size is odd, 1 to 255, and 5 unless given. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(gaussian_blur(frame, 9)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(5) };
        let Some(side) = side("gaussian_blur", given)? else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(weighted(&samples, &kernel(side), mirrored).into_picture()))
    })
}

/// The right halves of OpenCV's small kernels, from the middle, in 256ths: of the sides 1, 3, 5, 7 and 9.
const SMALL: [&[u16]; 5] = [&[256], &[128, 64], &[96, 64, 16], &[72, 56, 28, 8], &[60, 51, 30, 13, 4]];

/// The weights of a neighbourhood of that odd side, which sum to 1.
pub(super) fn kernel(side: usize) -> Vec<f32> {
    if let Some(half) = SMALL.get(side / 2) {
        let weights = half.iter().skip(1).rev().chain(*half);
        return weights.map(|w| f32::from(*w) / 256.0).collect();
    }
    let middle = (side as f64 - 1.0) / 2.0;
    of_sigma(side, 0.3 * (middle - 1.0) + 0.8).iter().map(|w| *w as f32).collect()
}

/// The same for a sigma in pixels.
pub(super) fn of_sigma(side: usize, sigma: f64) -> Vec<f64> {
    let middle = (side as f64 - 1.0) / 2.0;
    let weights: Vec<f64> = (0..side).map(|at| (-(at as f64 - middle).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_kernels_are_opencvs_tables() {
        assert_eq!(kernel(1), [1.0]);
        assert_eq!(kernel(3), [0.25, 0.5, 0.25]);
        assert_eq!(kernel(5), [1.0, 4.0, 6.0, 4.0, 1.0].map(|w| w / 16.0));
        assert_eq!(kernel(7), [2.0, 7.0, 14.0, 18.0, 14.0, 7.0, 2.0].map(|w| w / 64.0));
        for side in [1, 3, 5, 7, 9, 11, 255] {
            let kernel = kernel(side);
            assert!(kernel.len() == side && (kernel.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{side}");
        }
    }
}
