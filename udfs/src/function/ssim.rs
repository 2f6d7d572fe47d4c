//! `ssim(a frame, b frame) -> float8`: how alike two pictures are in structure.

use std::array::from_fn;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, Decoder, sql_function};
use super::gaussian_blur::of_sigma;
use crate::frame::Picture;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};
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
    let (a, b) = (luma_of_size(a, (width, height))?, luma_of_size(b, (width, height))?);
    Ok(fastest(Structure { a: &a, b: &b, width: width as usize }))
}

/// The side of the neighbourhood, px, and its sigma: the paper's.
const SIDE: usize = 11;
const SIGMA: f64 = 1.5;

/// Of two lumas, the mean over all neighbourhoods that lie whole inside; None if there is none.
struct Structure<'a> {
    a: &'a [u8],
    b: &'a [u8],
    width: usize,
}

/// The weighted sums of a row: of a, of b, of their squares, of their products.
type Sums = [Vec<f64>; 5];

impl Work for Structure<'_> {
    type Made = Option<f64>;

    #[inline(always)]
    fn run(self) -> Option<f64> {
        let Structure { a, b, width } = self;
        let kernel = of_sigma(SIDE, SIGMA);
        let across = (width + 1).checked_sub(SIDE).filter(|n| *n > 0)?;
        let (c1, c2) = ((0.01_f64 * 255.0).powi(2), (0.03_f64 * 255.0).powi(2));
        // A row comes and goes once: as many are held as a neighbourhood has.
        let mut rows: VecDeque<Sums> = VecDeque::with_capacity(SIDE);
        let mut all: Sums = from_fn(|_| vec![0.0; across]);
        let mut values: Sums = from_fn(|_| Vec::with_capacity(width));
        let (mut likeness, mut sum, mut n) = (vec![0.0; across], 0.0, 0_usize);
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            if interrupt::asked() {
                break;
            }
            let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            values.iter_mut().for_each(Vec::clear);
            let [of_a, of_b, aa, bb, ab] = &mut values;
            of_a.extend(pairs().map(|(a, _)| a));
            of_b.extend(pairs().map(|(_, b)| b));
            aa.extend(pairs().map(|(a, _)| a * a));
            bb.extend(pairs().map(|(_, b)| b * b));
            ab.extend(pairs().map(|(a, b)| a * b));
            let mut row = if rows.len() == SIDE { rows.pop_front().unwrap_or_default() } else { Sums::default() };
            for (row, values) in row.iter_mut().zip(&values) {
                row.resize(across, 0.0);
                weighed(from_fn(|d| &values[d..]), &kernel, row);
            }
            rows.push_back(row);
            if rows.len() < SIDE {
                continue;
            }
            for (at, all) in all.iter_mut().enumerate() {
                let line = |d: usize| match rows.get(d) {
                    Some(row) => row[at].as_slice(),
                    None => &[],
                };
                weighed(from_fn(line), &kernel, all);
            }
            let [ma, mb, aa, bb, ab] = &all;
            for (at, likeness) in likeness.iter_mut().enumerate() {
                let (ma, mb) = (ma[at], mb[at]);
                let (va, vb, cov) = (aa[at] - ma * ma, bb[at] - mb * mb, ab[at] - ma * mb);
                *likeness = (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
            }
            sum = likeness.iter().fold(sum, |sum, likeness| sum + likeness);
            n += across;
        }
        (n > 0).then(|| sum / n as f64)
    }
}

/// The sums of lines that are not shorter than `out`, each with its weight, the first line first.
#[inline(always)]
fn weighed(lines: [&[f64]; SIDE], kernel: &[f64], out: &mut [f64]) {
    const TOGETHER: usize = 16;
    let whole = out.len() / TOGETHER * TOGETHER;
    for at in (0..whole).step_by(TOGETHER) {
        let mut sums = [0.0; TOGETHER];
        for (line, weight) in lines.iter().zip(kernel) {
            sums.iter_mut().zip(&line[at..][..TOGETHER]).for_each(|(sum, value)| *sum += value * weight);
        }
        out[at..][..TOGETHER].copy_from_slice(&sums);
    }
    for (at, out) in out.iter_mut().enumerate().skip(whole) {
        *out = lines.iter().zip(kernel).fold(0.0, |sum, (line, weight)| sum + line[at] * weight);
    }
}
