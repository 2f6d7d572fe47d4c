//! `ssim(a frame, b frame) -> float8`: how alike two pictures are in structure.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, Decoder, sql_function};
use super::gaussian_blur::of_sigma;
use crate::frame::Picture;
use crate::pixels::luma_of_size;

sql_function!(
    Ssim, "ssim", arguments: [Frame, Frame], required: 2, returns: DataType::Float64,
    syntax: "ssim(a frame, b frame) -> float8",
    description: "How alike two pictures of one size are in structure, 1 for the same (Wang et al., IEEE TIP 13, 2004): over the luma, a Gaussian of 11 by 11 pixels and sigma 1.5, the mean of what lies at least 5 pixels inside; pictures of less than 11 pixels have none and give NULL. Pictures of two sizes are an error. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT ssim(frame, blur(frame, 3)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (mut first, mut second) = (Decoder::default(), Decoder::default());
    let values = arguments.pairs(|_, a, b| similarity(&first.decode(a)?, &second.decode(b)?))?;
    Ok(Arc::new(Float64Array::from(values)))
}

fn similarity(a: &Picture, b: &Picture) -> Result<Option<f64>> {
    let (width, height) = a.displayed();
    if (width, height) != b.displayed() {
        let (other_width, other_height) = b.displayed();
        return exec_err!("ssim compares pictures of one size, not {width}x{height} with {other_width}x{other_height}");
    }
    let gray = |picture: &Picture| -> Result<Vec<f64>> { Ok(luma_of_size(picture, (width, height))?.into_iter().map(f64::from).collect()) };
    Ok(structure(&gray(a)?, &gray(b)?, width as usize))
}

/// The side of the neighbourhood, px, and its sigma: the paper's.
const SIDE: usize = 11;
const SIGMA: f64 = 1.5;

fn structure(a: &[f64], b: &[f64], width: usize) -> Option<f64> {
    let kernel = of_sigma(SIDE, SIGMA);
    let of = |f: fn(f64, f64) -> f64| smoothed(&a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect::<Vec<f64>>(), width, &kernel);
    let (mean_a, mean_b) = (of(|a, _| a), of(|_, b| b));
    let (aa, bb, ab) = (of(|a, _| a * a), of(|_, b| b * b), of(|a, b| a * b));
    let (c1, c2) = ((0.01_f64 * 255.0).powi(2), (0.03_f64 * 255.0).powi(2));
    let n = mean_a.len();
    let one = |at: usize| {
        let (ma, mb) = (mean_a[at], mean_b[at]);
        let (va, vb, cov) = (aa[at] - ma * ma, bb[at] - mb * mb, ab[at] - ma * mb);
        (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    };
    (n > 0).then(|| (0..n).map(one).sum::<f64>() / n as f64)
}

/// The weighted means of all neighbourhoods that lie whole inside.
fn smoothed(values: &[f64], width: usize, kernel: &[f64]) -> Vec<f64> {
    let weigh = |part: &[f64]| part.iter().zip(kernel).map(|(v, w)| v * w).sum::<f64>();
    let across: Vec<Vec<f64>> = values.chunks_exact(width.max(1)).map(|line| line.windows(kernel.len()).map(weigh).collect()).collect();
    let n_columns = across.first().map_or(0, Vec::len);
    let down = |lines: &[Vec<f64>], x: usize| lines.iter().zip(kernel).map(|(line, w)| line[x] * w).sum::<f64>();
    across.windows(kernel.len()).flat_map(|lines| (0..n_columns).map(move |x| down(lines, x))).collect()
}
