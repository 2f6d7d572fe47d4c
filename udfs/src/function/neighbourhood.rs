//! Pictures by the neighbours of each pixel: means, extremes and gradients over interleaved samples, borders as OpenCV has them.

use std::collections::VecDeque;
use std::ops::{Add, Mul};

use datafusion_common::Result;

use crate::frame::Picture;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};
use crate::out_of_range::out_of_range;
use crate::pixels::{Damaged, Order, Pixels, render};
use arrow::buffer::Buffer;

/// The largest side of a neighbourhood, px: what is larger smears the whole picture and takes long.
pub(super) const LARGEST: i32 = 255;

/// Samples row by row without gaps, `n` to a pixel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Samples {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) n: usize,
    /// Shared with the picture where nothing had to change.
    pub(super) data: Buffer,
}

impl Samples {
    /// The picture in RGB, as displayed. It is of a decoded picture.
    pub(super) fn rgb(picture: &Picture) -> Result<Samples, Damaged> {
        let Pixels { width, height, data } = render(picture, Order::Rgb, None)?;
        Ok(Samples { width: width as usize, height: height as usize, n: 3, data })
    }

    /// The picture in RGB again.
    pub(super) fn into_picture(self) -> Picture {
        Pixels { width: self.width as u32, height: self.height as u32, data: self.data }.into_picture()
    }

    /// Others in the place of these, row by row. Those that are missing, as nobody waits for them, are 0.
    pub(super) fn with(&self, mut data: Vec<u8>) -> Samples {
        data.resize(self.data.len(), 0);
        Samples { data: Buffer::from_vec(data), ..*self }
    }
}

/// The side of a square neighbourhood, px. Errs unless it is odd and 1 to 255; None is NULL.
pub(super) fn side(function: &str, given: Option<i32>) -> Result<Option<usize>> {
    match given {
        None => Ok(None),
        Some(side) if (1..=LARGEST).contains(&side) && side % 2 == 1 => Ok(Some(side as usize)),
        Some(side) => out_of_range!("{function} needs an odd size of 1 to {LARGEST} pixels, not {side}"),
    }
}

/// Where a place outside is found inside: mirrored at the border without repeating it, OpenCV's BORDER_REFLECT_101.
pub(super) fn mirrored(at: isize, length: usize) -> usize {
    let last = length as isize - 1;
    if last <= 0 {
        return 0;
    }
    let at = at.rem_euclid(2 * last);
    (if at > last { 2 * last - at } else { at }) as usize
}

/// The same with the nearest place inside, BORDER_REPLICATE.
pub(super) fn nearest(at: isize, length: usize) -> usize {
    at.clamp(0, length as isize - 1).max(0) as usize
}

/// A row with `half` pixels more on either side. What is done to all its samples at once, at one distance after the other, the compiler does to many in a step.
#[inline(always)]
pub(super) fn padded<S: Copy, T: Copy + Default>(
    line: &[S],
    n: usize,
    half: usize,
    border: fn(isize, usize) -> usize,
    of: impl Fn(S) -> T,
    out: &mut Vec<T>,
) {
    let width = line.len() / n.max(1);
    let (first, last) = (half * n, half * n + line.len());
    out.resize(last + first, T::default());
    for (to, sample) in out[first..last].iter_mut().zip(line) {
        *to = of(*sample);
    }
    for d in 0..half {
        let (left, right) = (border(d as isize - half as isize, width) * n, border((width + d) as isize, width) * n);
        for c in 0..n {
            out[d * n + c] = of(line[left + c]);
            out[last + d * n + c] = of(line[right + c]);
        }
    }
}

/// The nearest whole number of 0 to 255, the even one of two. From 2^23 on a float has no fraction: adding that rounds, and a call of a function is many times slower.
#[inline(always)]
pub(super) fn rounded(value: f32) -> u8 {
    (value + 8_388_608.0).to_bits() as u8
}

/// Adds lines to sums, each with its weight, one after the other; four at a time, so that the sums are not fetched for each. The lines are not shorter.
#[inline(always)]
pub(super) fn add_weighted<'a, T: Copy + Add<Output = T> + Mul<Output = T> + 'a>(
    sums: &mut [T],
    line: impl Fn(usize) -> &'a [T],
    weights: &[T],
) {
    let (fours, rest) = weights.as_chunks::<4>();
    for (at, [u, v, w, x]) in fours.iter().enumerate() {
        let [a, b, c, d] = [0, 1, 2, 3].map(|d| line(4 * at + d));
        for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *sum = *sum + *a * *u + *b * *v + *c * *w + *d * *x;
        }
    }
    for (at, weight) in rest.iter().enumerate() {
        for (sum, value) in sums.iter_mut().zip(line(4 * fours.len() + at)) {
            *sum = *sum + *value * *weight;
        }
    }
}

/// Samples of a row that are summed together: they and what is added to them stay near the processor.
const TOGETHER: usize = 1024;

/// Each sample with its row and its column weighted by one kernel of odd length, whose weights are not negative and sum to 1; rounded to the nearest.
pub(super) fn weighted(samples: &Samples, kernel: &[f32], border: fn(isize, usize) -> usize) -> Samples {
    samples.with(fastest(Weighted { samples, kernel, border }))
}

struct Weighted<'a> {
    samples: &'a Samples,
    kernel: &'a [f32],
    border: fn(isize, usize) -> usize,
}

impl Work for Weighted<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let Weighted { samples: &Samples { width, height, n, ref data }, kernel, border } = self;
        let (half, row) = (kernel.len() / 2, width * n);
        let mut wide = Vec::new();
        // Along the rows into floats, then along the columns, so that nothing is rounded twice. A row comes and goes once: few are held, near the processor.
        let mut rows: VecDeque<Vec<f32>> = VecDeque::with_capacity(kernel.len());
        let mut made = Vec::with_capacity(data.len());
        let (mut sums, mut line, mut free) = (vec![0.0; TOGETHER], vec![0; TOGETHER], Vec::new());
        for y in -2 * half as isize..height as isize {
            if interrupt::asked() {
                break;
            }
            let from = border(y + half as isize, height) * row;
            padded(&data[from..from + row], n, half, border, f32::from, &mut wide);
            free.clear();
            free.resize(row, 0.0);
            for (at, sums) in free.chunks_mut(TOGETHER).enumerate() {
                add_weighted(sums, |d| &wide[at * TOGETHER + d * n..], kernel);
            }
            rows.push_back(std::mem::take(&mut free));
            if y < 0 {
                continue;
            }
            for at in (0..row).step_by(TOGETHER) {
                let length = TOGETHER.min(row - at);
                let (sums, line) = (&mut sums[..length], &mut line[..length]);
                sums.fill(0.0);
                add_weighted(sums, |d| rows.get(d).map_or(&[][..], |row| &row[at..]), kernel);
                for (to, sum) in line.iter_mut().zip(sums) {
                    *to = rounded(*sum);
                }
                made.extend_from_slice(line);
            }
            free = rows.pop_front().unwrap_or_default();
        }
        made
    }
}

/// Each sample with the mean of its square neighbourhood, rounded to the nearest.
pub(super) fn mean(samples: &Samples, side: usize, border: fn(isize, usize) -> usize) -> Samples {
    if side == 1 { samples.clone() } else { samples.with(fastest(Mean { samples, side, border })) }
}

struct Mean<'a> {
    samples: &'a Samples,
    side: usize,
    border: fn(isize, usize) -> usize,
}

impl Work for Mean<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let Mean { samples: &Samples { width, height, n, ref data }, side, border } = self;
        let (half, row) = (side / 2, width * n);
        let line = |y: isize| &data[border(y, height) * row..][..row];
        // The sums of the columns: at most 255 times 255, so that nothing wraps, here or below.
        let mut columns = vec![0_u16; row];
        let (mut small, mut large) = (SmallSums::of(side), LargeSums::default());
        let mut made = Vec::with_capacity(data.len());
        for dy in -(half as isize) - 1..half as isize {
            for (sum, sample) in columns.iter_mut().zip(line(dy)) {
                *sum = sum.wrapping_add(u16::from(*sample));
            }
        }
        for y in 0..height as isize {
            if interrupt::asked() {
                break;
            }
            for ((sum, new), old) in columns.iter_mut().zip(line(y + half as isize)).zip(line(y - 1 - half as isize)) {
                *sum = sum.wrapping_add(u16::from(*new)).wrapping_sub(u16::from(*old));
            }
            if side <= SMALL {
                padded(&columns, n, half, border, |sum| sum, &mut small.wide);
                small.add_means(row, n, side, &mut made);
            } else {
                padded(&columns, n, half, border, i32::from, &mut large.wide);
                large.add_means(row, n, side, &mut made);
            }
        }
        made
    }
}

/// The side up to which the sum of a neighbourhood, and half its area more, has 16 bits.
const SMALL: usize = 15;

/// Sums of 16 bits, all those of a row added up at once.
struct SmallSums {
    wide: Vec<u16>,
    /// Half the area; and the division by the area as a product and a shift, which is exact for what is divided here.
    half: u16,
    factor: u16,
    shift: u32,
}

impl SmallSums {
    fn of(side: usize) -> SmallSums {
        let area = (side * side) as u32;
        let shift = area.ilog2();
        SmallSums { wide: Vec::new(), half: (area / 2) as u16, factor: (1_u32 << (16 + shift)).div_ceil(area) as u16, shift }
    }

    #[inline(always)]
    fn add_means(&self, row: usize, n: usize, side: usize, made: &mut Vec<u8>) {
        let (mut sums, mut means) = ([0_u16; TOGETHER], [0_u8; TOGETHER]);
        let (factor, shift) = (u32::from(self.factor), self.shift);
        for at in (0..row).step_by(TOGETHER) {
            let length = TOGETHER.min(row - at);
            let (sums, means) = (&mut sums[..length], &mut means[..length]);
            sums.fill(self.half);
            let of = |d: usize| &self.wide[at + d * n..];
            for d in (0..side / 4 * 4).step_by(4) {
                for ((((sum, a), b), c), d) in sums.iter_mut().zip(of(d)).zip(of(d + 1)).zip(of(d + 2)).zip(of(d + 3)) {
                    *sum = sum.wrapping_add(*a).wrapping_add(*b).wrapping_add(*c).wrapping_add(*d);
                }
            }
            for d in side / 4 * 4..side {
                for (sum, a) in sums.iter_mut().zip(of(d)) {
                    *sum = sum.wrapping_add(*a);
                }
            }
            for (mean, sum) in means.iter_mut().zip(sums) {
                *mean = (((u32::from(*sum) * factor) >> 16) as u16).wrapping_shr(shift) as u8;
            }
            made.extend_from_slice(means);
        }
    }
}

/// Sums of more bits, those of 1, 2, 4, … columns one after the other.
#[derive(Default)]
struct LargeSums {
    wide: Vec<i32>,
    twice: Vec<i32>,
    sums: Vec<i32>,
    means: Vec<u8>,
}

impl LargeSums {
    #[inline(always)]
    fn add_means(&mut self, row: usize, n: usize, side: usize, made: &mut Vec<u8>) {
        let LargeSums { wide, twice, sums, means } = self;
        sums.clear();
        sums.resize(row, 0);
        // Those that make up the side, one behind the other.
        let (mut length, mut behind) = (1, 0);
        while length <= side {
            if side & length > 0 {
                for (sum, part) in sums.iter_mut().zip(&wide[behind * n..]) {
                    *sum = sum.wrapping_add(*part);
                }
                behind += length;
            }
            twice.resize(wide.len().saturating_sub(length * n), 0);
            for ((to, a), b) in twice.iter_mut().zip(&*wide).zip(&wide[wide.len().min(length * n)..]) {
                *to = a.wrapping_add(*b);
            }
            std::mem::swap(wide, twice);
            length *= 2;
        }
        // A quotient is never half way between two whole numbers, and further from it than a float's error.
        let area = (side * side) as f32;
        means.resize(row, 0);
        for (mean, sum) in means.iter_mut().zip(sums) {
            *mean = rounded(*sum as f32 / area);
        }
        made.extend_from_slice(means);
    }
}

/// Each sample with the least or the greatest of its square neighbourhood; what lies outside does not count.
pub(super) fn extreme(samples: &Samples, side: usize, of: impl Fn(u8, u8) -> u8) -> Samples {
    samples.with(fastest(Extreme { samples, side, of }))
}

struct Extreme<'a, F> {
    samples: &'a Samples,
    side: usize,
    of: F,
}

impl<F: Fn(u8, u8) -> u8> Work for Extreme<'_, F> {
    type Made = Vec<u8>;

    /// Van Herk (Pattern Recognition Letters 13, 1992): in blocks of as many rows as a neighbourhood has, the extremes from the block's first row on and those up to
    /// its last; a neighbourhood is the end of one block and the beginning of the next.
    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let Extreme { samples: &Samples { width, height, n, ref data }, side, of } = self;
        let (half, row) = (side / 2, width * n);
        let (mut wide, mut twice) = (Vec::new(), Vec::new());
        let [mut ends, mut block] = [(); 2].map(|()| vec![0; side * row]);
        let (mut beginning, mut found) = (vec![0; row], vec![0; row]);
        let mut made = Vec::with_capacity(data.len());
        for first in (0..height + 2 * half).step_by(side) {
            for at in 0..side.min(height + 2 * half - first) {
                if interrupt::asked() {
                    return made;
                }
                // The nearest sample inside is in the neighbourhood as it is.
                let y = nearest((first + at) as isize - half as isize, height);
                padded(&data[y * row..][..row], n, half, nearest, |sample| sample, &mut wide);
                let mut length = 1;
                while 2 * length <= side {
                    twice.resize(wide.len() - length * n, 0);
                    joined(&mut twice, &wide, &wide[length * n..], &of);
                    std::mem::swap(&mut wide, &mut twice);
                    length *= 2;
                }
                let line = &mut block[at * row..][..row];
                joined(line, &wide, &wide[(side - length) * n..], &of);
                if at == 0 {
                    beginning.copy_from_slice(line);
                } else {
                    join(&mut beginning, line, &of);
                }
                // The neighbourhood that ends here.
                if at + 1 == side {
                    made.extend_from_slice(&beginning);
                } else if first > 0 {
                    joined(&mut found, &ends[(at + 1) * row..], &beginning, &of);
                    made.extend_from_slice(&found);
                }
            }
            std::mem::swap(&mut ends, &mut block);
            for at in (1..side).rev() {
                let (upper, lower) = ends.split_at_mut(at * row);
                join(&mut upper[(at - 1) * row..], &lower[..row], &of);
            }
        }
        made
    }
}

#[inline(always)]
fn joined(to: &mut [u8], a: &[u8], b: &[u8], of: &impl Fn(u8, u8) -> u8) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = of(*a, *b);
    }
}

#[inline(always)]
fn join(to: &mut [u8], from: &[u8], of: &impl Fn(u8, u8) -> u8) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = of(*to, *from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_is_mirrored_without_its_last_sample() {
        let at: Vec<usize> = (-4..9).map(|at| mirrored(at, 5)).collect();
        assert_eq!(at, [4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1, 0]);
        assert_eq!([mirrored(-3, 1), mirrored(7, 1), mirrored(-1, 2), mirrored(2, 2)], [0, 0, 1, 0]);
    }

    #[test]
    fn a_dot_grows_and_shrinks() {
        let mut data = vec![10_u8; 25];
        data[12] = 200;
        let dot = Samples { width: 5, height: 5, n: 1, data: data.into() };
        assert_eq!(extreme(&dot, 3, u8::max).data.iter().filter(|v| **v == 200).count(), 9);
        assert!(extreme(&dot, 3, u8::min).data.iter().all(|v| *v == 10));
        assert_eq!(weighted(&dot, &[0.0, 1.0, 0.0], mirrored), dot);
    }

    #[test]
    fn a_mean_is_exact() {
        for (width, height, n, side) in [(7, 5, 3, 3), (20, 9, 1, 5), (1, 1, 3, 7), (2, 30, 3, 13), (9, 1, 1, 255), (3, 4, 3, 1)] {
            let data: Vec<u8> = (0..width * height * n).map(|at| (at * at * 97 % 251) as u8).collect();
            let samples = Samples { width, height, n, data: data.into() };
            for border in [mirrored, nearest] {
                let half = (side / 2) as isize;
                let at = |x: isize, y: isize, c: usize| u32::from(samples.data[(border(y, height) * width + border(x, width)) * n + c]);
                let sum = |x: isize, y: isize, c: usize| -> u32 {
                    (y - half..=y + half).flat_map(|y| (x - half..=x + half).map(move |x| (x, y))).map(|(x, y)| at(x, y, c)).sum()
                };
                let area = (side * side) as u32;
                let naive = |at: usize| (sum((at / n % width) as isize, (at / n / width) as isize, at % n) + area / 2) / area;
                let expected: Vec<u8> = (0..width * height * n).map(|at| naive(at) as u8).collect();
                assert_eq!(mean(&samples, side, border).data.as_slice(), expected, "{width}x{height}, {side}");
            }
        }
    }

    #[test]
    fn every_instance_makes_the_same() {
        for (width, height, n, side) in [(61, 13, 3, 5), (8, 30, 1, 17), (5, 4, 3, 3)] {
            let data: Vec<u8> = (0..width * height * n).map(|at| (at * at * 89 % 253) as u8).collect();
            let samples = &Samples { width, height, n, data: data.into() };
            let (border, weights) = (mirrored, crate::function::gaussian_blur::kernel(side));
            let kernel = &weights[..];
            assert_eq!(Mean { samples, side, border }.run(), fastest(Mean { samples, side, border }));
            assert_eq!(Extreme { samples, side, of: u8::max }.run(), fastest(Extreme { samples, side, of: u8::max }));
            assert_eq!(Weighted { samples, kernel, border }.run(), fastest(Weighted { samples, kernel, border }));
        }
    }

    #[test]
    fn values_are_rounded_to_the_nearest() {
        for value in (0..=2040).map(|eighths| eighths as f32 / 8.0) {
            assert_eq!(rounded(value), value.round_ties_even() as u8, "{value}");
        }
    }

    #[test]
    fn sizes_are_odd() {
        assert_eq!(side("blur", Some(5)).unwrap(), Some(5));
        assert_eq!(side("blur", None).unwrap(), None);
        for wrong in [0, -3, 4, 257, i32::MAX] {
            assert!(side("blur", Some(wrong)).is_err());
        }
    }
}
