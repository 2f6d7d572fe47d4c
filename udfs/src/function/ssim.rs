//! `ssim(a frame, b frame) -> float8`: how alike two pictures are in structure.

use std::array::from_fn;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::gaussian_blur::of_sigma;
use super::neighbourhood::add_weighted;
use crate::frame::Picture;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};
use crate::pixels::{luma_of_size, of_one_matrix};

sql_function!(
    Ssim, "ssim", arguments: [Frame, Frame], required: 2, returns: DataType::Float64,
    syntax: "ssim(a frame, b frame) -> float8",
    description: "How alike two pictures of one size are in structure, 1 for the same (Wang et al., IEEE TIP 13, 2004): over the luma, a Gaussian of 11 by 11 pixels and sigma 1.5, the mean of what lies at least 5 pixels inside; pictures of less than 11 pixels have none and give NULL. NULL for a NULL frame, pictures of two sizes, or a picture that cannot be decoded.",
    example: "SELECT ssim(frame, blur(frame, 3)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (mut first, mut second) = (Decoder::default(), Decoder::default());
    let values = arguments.pairs(|_, a, b| {
        let (a, b) = of_one_matrix(first.decode(a)?, second.decode(b)?);
        similarity(&a, &b)
    })?;
    Ok(Arc::new(Float64Array::from(values)))
}

fn similarity(a: &Picture, b: &Picture) -> Result<Option<f64>> {
    let (width, height) = a.displayed();
    if (width, height) != b.displayed() {
        return Ok(None);
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
        let mut values: Sums = from_fn(|_| vec![0.0; width]);
        let (mut likeness, mut sum, mut n) = (vec![0.0; across], 0.0, 0_usize);
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            if interrupt::asked() {
                break;
            }
            let [of_a, of_b, aa, bb, ab] = &mut values;
            for ((((((of_a, of_b), aa), bb), ab), a), b) in of_a.iter_mut().zip(of_b).zip(aa).zip(bb).zip(ab).zip(a).zip(b) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                (*of_a, *of_b, *aa, *bb, *ab) = (a, b, a * a, b * b, a * b);
            }
            let mut row = if rows.len() == SIDE { rows.pop_front().unwrap_or_default() } else { Sums::default() };
            for (row, values) in row.iter_mut().zip(&values) {
                row.clear();
                row.resize(across, 0.0);
                add_weighted(row, |d| &values[d..], &kernel);
            }
            rows.push_back(row);
            if rows.len() < SIDE {
                continue;
            }
            for (of, all) in all.iter_mut().enumerate() {
                // As many as stay near the processor.
                for (at, all) in all.chunks_mut(512).enumerate() {
                    all.fill(0.0);
                    add_weighted(all, |d| rows.get(d).map_or(&[][..], |row| &row[of][512 * at..]), &kernel);
                }
            }
            let [ma, mb, aa, bb, ab] = &all;
            for (((((likeness, ma), mb), aa), bb), ab) in likeness.iter_mut().zip(ma).zip(mb).zip(aa).zip(bb).zip(ab) {
                let (va, vb, cov) = (aa - ma * ma, bb - mb * mb, ab - ma * mb);
                *likeness = (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
            }
            for likeness in &likeness {
                sum += likeness;
            }
            n += across;
        }
        (n > 0).then(|| sum / n as f64)
    }
}
