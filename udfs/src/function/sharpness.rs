//! `sharpness(frame) -> float8`: how much fine detail the picture has; low where it is blurred.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::gradients::laplacians;
use crate::model::kernels::{Work, fastest};
use crate::pixels::luma_bytes;

sql_function!(
    Sharpness, "sharpness", arguments: [Frame], required: 1, returns: DataType::Float64,
    syntax: "sharpness(frame) -> float8",
    description: "How much fine detail the picture has: the variance of the Laplacian of its luma, as OpenCV's cv2.Laplacian(gray, cv2.CV_64F).var(). \
0 for a picture of one colour; a photograph in focus has some hundreds, a blurred one some tens, so compare pictures of one camera and size. \
NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT frame_no, sharpness(frame) FROM clip ORDER BY sharpness(frame) DESC LIMIT 5"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let variances = arguments.pictures(|_, picture| {
        // The Laplacian is the same whichever side is up, so the planes are read as they lie.
        Ok(Some(laplacian_variance(&luma_bytes(&decoder.decode(picture)?)?, picture.width as usize)))
    })?;
    Ok(Arc::new(Float64Array::from(variances)))
}

/// The variance of left + right + above + below - 4 x centre; at the border the neighbour outside is the one inside, mirrored.
pub(super) fn laplacian_variance(luma: &[u8], width: usize) -> f64 {
    let (sum, squares) = fastest(Sums { luma, width });
    let n = luma.len().checked_div(width).unwrap_or(0) * width;
    if n == 0 {
        return 0.0;
    }
    // Sums of whole numbers are exact; n x squares of the largest picture passes 64 bits.
    let n = n as i128;
    let spread = n * i128::from(squares) - i128::from(sum) * i128::from(sum);
    spread as f64 / (n * n) as f64
}

/// The sum of the Laplacian and that of its squares.
struct Sums<'a> {
    luma: &'a [u8],
    width: usize,
}

impl Work for Sums<'_> {
    type Made = (i64, i64);

    #[inline(always)]
    fn run(self) -> (i64, i64) {
        let Sums { luma, width } = self;
        let (mut wide, mut row) = (Vec::new(), Vec::new());
        let mut all = (0, 0);
        for y in 0..luma.len() / width.max(1) {
            laplacians(luma, width, y, &mut wide, &mut row);
            // So many that their squares, each at most 1020 by 1020, make up 31 bits: nothing wraps.
            for part in row.chunks(1024) {
                let (mut sum, mut squares) = (0_i32, 0_i32);
                for value in part {
                    let value = i32::from(*value);
                    sum = sum.wrapping_add(value);
                    squares = squares.wrapping_add(value.wrapping_mul(value));
                }
                all = (all.0 + i64::from(sum), all.1 + i64::from(squares));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dot_and_its_neighbours() {
        // 3x3, 10 in the middle: the Laplacian is -40 there and 20 at the middle of each side, where the mirror shows the dot twice.
        let luma = [0, 0, 0, 0, 10, 0, 0, 0, 0];
        let values = [0.0, 20.0, 0.0, 20.0, -40.0, 20.0, 0.0, 20.0, 0.0];
        let mean = values.iter().sum::<f64>() / 9.0;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 9.0;
        assert!((laplacian_variance(&luma, 3) - variance).abs() < 1e-9);
    }

    #[test]
    fn the_smallest_pictures_have_no_detail() {
        assert_eq!(laplacian_variance(&[200], 1), 0.0);
        assert_eq!(laplacian_variance(&[], 0), 0.0);
        assert_eq!(laplacian_variance(&[7, 7, 7, 7], 4), 0.0);
        assert!(laplacian_variance(&[0, 255], 2) > 0.0);
    }
}
