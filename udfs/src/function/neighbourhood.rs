//! Pictures by the neighbours of each pixel: means, extremes and gradients over interleaved samples, borders as OpenCV has them.

use std::collections::VecDeque;

use datafusion_common::{Result, exec_err};

use crate::frame::Picture;
use crate::interrupt;
use crate::pixels::{Damaged, Order, Pixels, render};
use arrow::buffer::Buffer;

/// The largest side of a neighbourhood, px: what is larger smears the whole picture and takes long.
const LARGEST: i32 = 255;

/// Samples row by row without gaps, `n` to a pixel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Samples {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) n: usize,
    pub(super) data: Vec<u8>,
}

impl Samples {
    /// The picture in RGB, as displayed. It is of a decoded picture.
    pub(super) fn rgb(picture: &Picture) -> Result<Samples, Damaged> {
        let Pixels { width, height, data } = render(picture, Order::Rgb, None)?;
        Ok(Samples { width: width as usize, height: height as usize, n: 3, data: data.into_vec().unwrap_or_else(|shared| shared.to_vec()) })
    }

    /// The picture in RGB again.
    pub(super) fn into_picture(self) -> Picture {
        Pixels { width: self.width as u32, height: self.height as u32, data: Buffer::from_vec(self.data) }.into_picture()
    }
}

/// The side of a square neighbourhood, px. Errs unless it is odd and 1 to 255; None is NULL.
pub(super) fn side(function: &str, given: Option<i32>) -> Result<Option<usize>> {
    match given {
        None => Ok(None),
        Some(side) if (1..=LARGEST).contains(&side) && side % 2 == 1 => Ok(Some(side as usize)),
        Some(side) => exec_err!("{function} needs an odd size of 1 to {LARGEST} pixels, not {side}"),
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
pub(super) fn padded<S: Copy, T>(
    line: &[S],
    n: usize,
    half: usize,
    border: fn(isize, usize) -> usize,
    of: impl Fn(S) -> T,
    out: &mut Vec<T>,
) {
    let width = line.len() / n.max(1);
    out.clear();
    let outside = |out: &mut Vec<T>, x: isize| {
        let from = border(x, width) * n;
        out.extend(line[from..from + n].iter().map(|sample| of(*sample)));
    };
    (-(half as isize)..0).for_each(|x| outside(out, x));
    out.extend(line.iter().map(|sample| of(*sample)));
    (width as isize..(width + half) as isize).for_each(|x| outside(out, x));
}

/// The nearest whole number of 0 to 255, the even one of two. From 2^23 on a float has no fraction: adding that rounds, and a call of a function is many times slower.
pub(super) fn rounded(value: f32) -> u8 {
    (value + 8_388_608.0).to_bits() as u8
}

/// Samples of a row that are summed together: their sums stay in registers.
const TOGETHER: usize = 32;

/// The sum of lines, each with its weight, and what becomes of it. The lines are not shorter than `out`, which is whole chunks.
fn summed<T>(lines: &[(&[f32], f32)], of: impl Fn(f32) -> T, out: &mut [T]) {
    for (at, out) in out.as_chunks_mut::<TOGETHER>().0.iter_mut().enumerate() {
        let mut sums = [0.0_f32; TOGETHER];
        for (line, weight) in lines {
            sums.iter_mut().zip(&line[at * TOGETHER..][..TOGETHER]).for_each(|(sum, value)| *sum += value * weight);
        }
        *out = sums.map(&of);
    }
}

/// Each sample with its row and its column weighted by one kernel of odd length, whose weights are not negative and sum to 1; rounded to the nearest.
pub(super) fn weighted(samples: &Samples, kernel: &[f32], border: fn(isize, usize) -> usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let (half, row) = (kernel.len() / 2, width * n);
    let chunks = row.next_multiple_of(TOGETHER);
    let mut wide = Vec::new();
    let mut across = |y: isize| {
        let from = border(y, height) * row;
        padded(&data[from..from + row], n, half, border, f32::from, &mut wide);
        wide.resize(chunks + 2 * half * n, 0.0);
        let lines: Vec<(&[f32], f32)> = kernel.iter().enumerate().map(|(d, weight)| (&wide[d * n..], *weight)).collect();
        let mut sums = vec![0.0; chunks];
        summed(&lines, |sum| sum, &mut sums);
        sums
    };
    // Along the rows into floats, then along the columns, so that nothing is rounded twice. A row comes and goes once: few are held, near the processor.
    let mut rows: VecDeque<Vec<f32>> = VecDeque::with_capacity(kernel.len());
    let mut made = Vec::with_capacity(data.len());
    let mut line = vec![0; chunks];
    for y in 0..height as isize {
        if y == 0 {
            rows.extend((-(half as isize)..half as isize).map(&mut across));
        }
        if interrupt::asked() {
            break;
        }
        rows.push_back(across(y + half as isize));
        let lines: Vec<(&[f32], f32)> = rows.iter().map(Vec::as_slice).zip(kernel.iter().copied()).collect();
        summed(&lines, rounded, &mut line);
        made.extend_from_slice(&line[..row]);
        rows.pop_front();
    }
    // All of it is there, unless nobody waits for it.
    made.resize(data.len(), 0);
    Samples { width, height, n, data: made }
}

/// Each sample with the mean of its square neighbourhood, rounded to the nearest.
pub(super) fn mean(samples: &Samples, side: usize, border: fn(isize, usize) -> usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let (half, row, area) = (side / 2, width * n, (side * side) as f32);
    let line = |y: isize| &data[border(y, height) * row..][..row];
    // The sums of the columns: at most 255 times 255, so that nothing wraps, here or below.
    let mut columns = vec![0_u16; row];
    let (mut wide, mut twice, mut sums) = (Vec::new(), Vec::new(), vec![0_i32; row]);
    let mut made = Vec::with_capacity(data.len());
    for y in 0..height as isize {
        if y == 0 {
            for dy in -(half as isize)..=half as isize {
                columns.iter_mut().zip(line(dy)).for_each(|(sum, sample)| *sum = sum.wrapping_add(u16::from(*sample)));
            }
        } else {
            let change = line(y + half as isize).iter().zip(line(y - 1 - half as isize));
            let steps = columns.iter_mut().zip(change);
            steps.for_each(|(sum, (new, old))| *sum = sum.wrapping_add(u16::from(*new)).wrapping_sub(u16::from(*old)));
        }
        padded(&columns, n, half, border, i32::from, &mut wide);
        // Sums of 1, 2, 4, … columns; those that make up the side, one behind the other.
        sums.fill(0);
        let (mut length, mut behind) = (1, 0);
        while length <= side {
            if side & length > 0 {
                sums.iter_mut().zip(&wide[behind * n..]).for_each(|(sum, part)| *sum = sum.wrapping_add(*part));
                behind += length;
            }
            twice.clear();
            twice.extend(wide.iter().zip(&wide[wide.len().min(length * n)..]).map(|(a, b)| a.wrapping_add(*b)));
            std::mem::swap(&mut wide, &mut twice);
            length *= 2;
        }
        // A quotient is never half way between two whole numbers, and further from it than a float's error.
        made.extend(sums.iter().map(|sum| rounded(*sum as f32 / area)));
    }
    Samples { width, height, n, data: made }
}

/// Each sample with the least or the greatest of its square neighbourhood; what lies outside does not count.
pub(super) fn extreme(samples: &Samples, side: usize, of: impl Fn(u8, u8) -> u8) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let (half, row) = (side / 2, width * n);
    let mut across = Vec::with_capacity(data.len());
    let mut wide = Vec::with_capacity(row + 2 * half * n);
    for line in data.chunks_exact(row.max(1)) {
        // The nearest sample inside is in the neighbourhood as it is.
        padded(line, n, half, nearest, |sample| sample, &mut wide);
        let first = across.len();
        across.extend_from_slice(&wide[..row]);
        for d in 1..side {
            across[first..].iter_mut().zip(&wide[d * n..]).for_each(|(a, b)| *a = of(*a, *b));
        }
    }
    let mut made = Vec::with_capacity(data.len());
    for y in 0..height {
        if interrupt::asked() {
            break;
        }
        let (from, to) = (y.saturating_sub(half), (y + half).min(height - 1));
        let first = made.len();
        made.extend_from_slice(&across[from * row..(from + 1) * row]);
        for other in from + 1..=to {
            made[first..].iter_mut().zip(&across[other * row..(other + 1) * row]).for_each(|(a, b)| *a = of(*a, *b));
        }
    }
    // All of it is there, unless nobody waits for it.
    made.resize(data.len(), 0);
    Samples { width, height, n, data: made }
}

/// The change of luma across and down, Sobel's 3 by 3: `each` gets those of a row, one row after the other.
pub(super) fn gradients(luma: &[u8], width: usize, border: fn(isize, usize) -> usize, mut each: impl FnMut(&[i16], &[i16])) {
    let height = luma.len() / width.max(1);
    let line = |y: isize| luma[border(y, height) * width..][..width].iter().map(|sample| i16::from(*sample));
    let [mut sums, mut changes, mut wide_sums, mut wide_changes, mut across, mut down] = [(); 6].map(|()| Vec::new());
    for y in 0..height as isize {
        // At most 1020: nothing wraps.
        let weigh = |a: i16, h: i16, u: i16| a.wrapping_add(h.wrapping_mul(2)).wrapping_add(u);
        sums.clear();
        sums.extend(line(y - 1).zip(line(y)).zip(line(y + 1)).map(|((a, h), u)| weigh(a, h, u)));
        changes.clear();
        changes.extend(line(y - 1).zip(line(y + 1)).map(|(a, u)| u.wrapping_sub(a)));
        padded(&sums, 1, 1, border, |v| v, &mut wide_sums);
        padded(&changes, 1, 1, border, |v| v, &mut wide_changes);
        across.clear();
        across.extend(wide_sums.windows(3).map(|w| w[2].wrapping_sub(w[0])));
        down.clear();
        down.extend(wide_changes.windows(3).map(|w| weigh(w[0], w[1], w[2])));
        each(&across, &down);
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
        let mut data = vec![10; 25];
        data[12] = 200;
        let dot = Samples { width: 5, height: 5, n: 1, data };
        assert_eq!(extreme(&dot, 3, u8::max).data.iter().filter(|v| **v == 200).count(), 9);
        assert!(extreme(&dot, 3, u8::min).data.iter().all(|v| *v == 10));
        assert_eq!(weighted(&dot, &[0.0, 1.0, 0.0], mirrored), dot);
    }

    #[test]
    fn a_mean_is_exact() {
        for (width, height, n, side) in [(7, 5, 3, 3), (20, 9, 1, 5), (1, 1, 3, 7), (2, 30, 3, 13), (9, 1, 1, 255), (3, 4, 3, 1)] {
            let data: Vec<u8> = (0..width * height * n).map(|at| (at * at * 97 % 251) as u8).collect();
            let samples = Samples { width, height, n, data };
            for border in [mirrored, nearest] {
                let half = (side / 2) as isize;
                let at = |x: isize, y: isize, c: usize| u32::from(samples.data[(border(y, height) * width + border(x, width)) * n + c]);
                let sum = |x: isize, y: isize, c: usize| -> u32 {
                    (y - half..=y + half).flat_map(|y| (x - half..=x + half).map(move |x| (x, y))).map(|(x, y)| at(x, y, c)).sum()
                };
                let area = (side * side) as u32;
                let naive = |at: usize| (sum((at / n % width) as isize, (at / n / width) as isize, at % n) + area / 2) / area;
                let expected: Vec<u8> = (0..width * height * n).map(|at| naive(at) as u8).collect();
                assert_eq!(mean(&samples, side, border).data, expected, "{width}x{height}, {side}");
            }
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
