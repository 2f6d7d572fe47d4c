//! Pictures by the neighbours of each pixel: means, extremes, medians and gradients over interleaved samples, borders as OpenCV has them.

use datafusion_common::{Result, exec_err};

use crate::frame::Picture;
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
pub(super) fn padded<T: Copy>(
    line: &[u8],
    n: usize,
    half: usize,
    border: fn(isize, usize) -> usize,
    of: impl Fn(u8) -> T,
    out: &mut Vec<T>,
) {
    let width = line.len() / n.max(1);
    out.clear();
    let mut outside = |x: isize| {
        let from = border(x, width) * n;
        line[from..from + n].iter().map(|sample| of(*sample)).collect::<Vec<T>>()
    };
    let before: Vec<T> = (-(half as isize)..0).flat_map(&mut outside).collect();
    let behind: Vec<T> = (width as isize..(width + half) as isize).flat_map(&mut outside).collect();
    out.extend(before);
    out.extend(line.iter().map(|sample| of(*sample)));
    out.extend(behind);
}

/// Each sample with its row and its column weighted by one kernel of odd length, whose weights sum to 1; rounded to the nearest.
pub(super) fn weighted(samples: &Samples, kernel: &[f32], border: fn(isize, usize) -> usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let half = kernel.len() / 2;
    let row = width * n;
    // Along the rows into floats, then along the columns, so that nothing is rounded twice.
    let mut across = vec![0.0_f32; data.len()];
    let mut wide = Vec::with_capacity(row + 2 * half * n);
    for (line, out) in data.chunks_exact(row.max(1)).zip(across.chunks_exact_mut(row.max(1))) {
        padded(line, n, half, border, f32::from, &mut wide);
        for (d, weight) in kernel.iter().enumerate() {
            out.iter_mut().zip(&wide[d * n..]).for_each(|(sum, value)| *sum += value * weight);
        }
    }
    let mut sums = vec![0.0_f32; row];
    let mut made = Vec::with_capacity(data.len());
    for y in 0..height as isize {
        sums.fill(0.0);
        for (d, weight) in (-(half as isize)..=half as isize).zip(kernel) {
            let from = border(y + d, height) * row;
            sums.iter_mut().zip(&across[from..from + row]).for_each(|(sum, value)| *sum += value * weight);
        }
        made.extend(sums.iter().map(|sum| sum.round_ties_even().clamp(0.0, 255.0) as u8));
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
        let (from, to) = (y.saturating_sub(half), (y + half).min(height - 1));
        let first = made.len();
        made.extend_from_slice(&across[from * row..(from + 1) * row]);
        for other in from + 1..=to {
            made[first..].iter_mut().zip(&across[other * row..(other + 1) * row]).for_each(|(a, b)| *a = of(*a, *b));
        }
    }
    Samples { width, height, n, data: made }
}

/// The side up to which the samples of a neighbourhood are counted in a byte.
const COUNTED_IN_A_BYTE: usize = 15;

/// Each sample with the median of its square neighbourhood, the border repeated.
pub(super) fn median(samples: &Samples, side: usize) -> Samples {
    if side <= COUNTED_IN_A_BYTE { median_by_bits(samples, side) } else { median_by_histogram(samples, side) }
}

/// The median bit by bit, from the highest: a bit is set if no more than half of the neighbourhood is below what it would make. All samples of a row at once.
fn median_by_bits(samples: &Samples, side: usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let (half, row, middle) = (side / 2, width * n, (side * side / 2) as u8);
    // The rows of the neighbourhood, one after the other; each comes and goes once.
    let mut rows: std::collections::VecDeque<Vec<u8>> = std::collections::VecDeque::with_capacity(side);
    let wide = |y: isize| {
        let from = nearest(y, height) * row;
        let mut out = Vec::with_capacity(row + 2 * half * n);
        padded(&data[from..from + row], n, half, nearest, |sample| sample, &mut out);
        out
    };
    let mut made = Vec::with_capacity(data.len());
    let (mut tried, mut below) = (vec![0_u8; row], vec![0_u8; row]);
    for y in 0..height as isize {
        if y == 0 {
            rows.extend((-(half as isize)..=half as isize).map(wide));
        } else {
            rows.pop_front();
            rows.push_back(wide(y + half as isize));
        }
        let mut found = vec![0_u8; row];
        for bit in (0..8).rev().map(|bit| 1_u8 << bit) {
            tried.iter_mut().zip(&found).for_each(|(tried, found)| *tried = found | bit);
            below.fill(0);
            for line in &rows {
                for d in 0..side {
                    let neighbours = below.iter_mut().zip(&tried).zip(&line[d * n..]);
                    // There are at most 225: nothing wraps, and without a check for it many are counted in a step.
                    neighbours.for_each(|((below, tried), sample)| *below = below.wrapping_add(u8::from(sample < tried)));
                }
            }
            found
                .iter_mut()
                .zip(&tried)
                .zip(&below)
                .for_each(|((found, tried), below)| *found = if *below <= middle { *tried } else { *found });
        }
        made.extend(found);
    }
    Samples { width, height, n, data: made }
}

fn median_by_histogram(samples: &Samples, side: usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let half = (side / 2) as isize;
    let middle = (side * side / 2) as u32;
    let mut made = vec![0; data.len()];
    for c in 0..n {
        let at = |x: isize, y: isize| usize::from(data[(nearest(y, height) * width + nearest(x, width)) * n + c]);
        for y in 0..height as isize {
            // One histogram a row, a column in and a column out a step (Huang 1979).
            let mut counts = [0_u32; 256];
            for dy in -half..=half {
                (-half..=half).for_each(|dx| counts[at(dx, y + dy)] += 1);
            }
            for x in 0..width as isize {
                if x > 0 {
                    for dy in -half..=half {
                        counts[at(x - half - 1, y + dy)] -= 1;
                        counts[at(x + half, y + dy)] += 1;
                    }
                }
                let mut seen = 0;
                let found = counts.iter().position(|count| {
                    seen += count;
                    seen > middle
                });
                made[(y as usize * width + x as usize) * n + c] = found.unwrap_or(0) as u8;
            }
        }
    }
    Samples { width, height, n, data: made }
}

/// The change of luma across and down at every pixel, Sobel's 3 by 3.
pub(super) fn gradients(luma: &[u8], width: usize, border: fn(isize, usize) -> usize) -> Vec<(i32, i32)> {
    let height = luma.len() / width.max(1);
    let mut made = Vec::with_capacity(luma.len());
    let [mut above, mut here, mut under] = [(); 3].map(|()| Vec::with_capacity(width + 2));
    for y in 0..height as isize {
        for (line, dy) in [(&mut above, -1), (&mut here, 0), (&mut under, 1)] {
            let from = border(y + dy, height) * width;
            padded(&luma[from..from + width], 1, 1, border, i32::from, line);
        }
        let rows = above.windows(3).zip(here.windows(3)).zip(under.windows(3));
        made.extend(rows.map(|((a, h), u)| {
            let across = (a[2] - a[0]) + 2 * (h[2] - h[0]) + (u[2] - u[0]);
            (across, (u[0] + 2 * u[1] + u[2]) - (a[0] + 2 * a[1] + a[2]))
        }));
    }
    made
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
    fn a_dot_grows_shrinks_and_is_no_median() {
        let mut data = vec![10; 25];
        data[12] = 200;
        let dot = Samples { width: 5, height: 5, n: 1, data };
        assert_eq!(extreme(&dot, 3, u8::max).data.iter().filter(|v| **v == 200).count(), 9);
        assert!(extreme(&dot, 3, u8::min).data.iter().all(|v| *v == 10));
        assert!(median(&dot, 3).data.iter().all(|v| *v == 10));
        assert_eq!(weighted(&dot, &[0.0, 1.0, 0.0], mirrored), dot);
    }

    #[test]
    fn both_medians_are_one() {
        let mut state = 4_u32;
        // The numbers of Numerical Recipes.
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for (width, height, n, side) in [(7, 5, 3, 3), (20, 9, 1, 5), (3, 3, 3, 15), (1, 1, 1, 7), (2, 30, 3, 13)] {
            let data = (0..width * height * n).map(|_| if random() < 128 { random() } else { 7 }).collect();
            let samples = Samples { width, height, n, data };
            assert_eq!(median_by_bits(&samples, side), median_by_histogram(&samples, side), "{width}x{height}, {side}");
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
