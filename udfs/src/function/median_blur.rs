//! `median_blur(frame [, size int4]) -> FRAME`: the picture without single wrong pixels.

use std::array::from_fn;
use std::collections::VecDeque;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, nearest, padded, side};
use crate::frame::frame_type;
use crate::interrupt;

sql_function!(
    MedianBlur, "median_blur", arguments: [Frame, Int], required: 1, returns: frame_type(),
    syntax: "median_blur(frame [, size int4]) -> FRAME",
    description: "The picture with every pixel the median of its square neighbourhood, each colour by itself, as OpenCV's medianBlur: single wrong pixels vanish and edges stay. size is odd, 1 to 255, and 3 unless given. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(median_blur(frame, 5)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(3) };
        let Some(side) = side("median_blur", given)? else { return Ok(None) };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(median(&samples, side).into_picture()))
    })
}

/// Each sample with the median of its square neighbourhood, the border repeated.
fn median(samples: &Samples, side: usize) -> Samples {
    match side {
        3 => by_network(samples, sort_3, middle_of_3),
        5 => by_network(samples, sort_5, middle_of_5),
        ..=COUNTED_IN_A_BYTE => by_bits(samples, side),
        _ => by_histogram(samples, side),
    }
}

/// Samples of a row with which the same is done: the compiler does it to many in a step.
type Together = [u8; TOGETHER];
const TOGETHER: usize = 64;

/// What comes out of a network that compares, of each pair of places, and puts the less at the first.
macro_rules! network {
    ($name:ident: $lines:literal lines; $($a:literal $b:literal),*; $($out:literal),*) => {
        fn $name(lines: [&Together; $lines]) -> [Together; [$($out),*].len()] {
            let mut made = [[0; TOGETHER]; [$($out),*].len()];
            for at in 0..TOGETHER {
                let mut v: [u8; $lines] = from_fn(|line| lines[line][at]);
                $((v[$a], v[$b]) = (v[$a].min(v[$b]), v[$a].max(v[$b]));)*
                [$($out),*].into_iter().enumerate().for_each(|(line, out): (usize, usize)| made[line][at] = v[out]);
            }
            made
        }
    };
}

network!(sort_3: 3 lines; 0 1, 1 2, 0 1; 0, 1, 2);
network!(sort_5: 5 lines; 0 1, 3 4, 2 4, 2 3, 1 4, 0 3, 0 2, 1 3, 1 2; 0, 1, 2, 3, 4);
// Of sorted columns, row by row: the largest of the least, the middle of the middle ones, the least of the largest.
network!(middle_of_3: 9 lines; 0 1, 1 2, 7 8, 6 7, 3 4, 4 5, 3 4, 2 4, 4 6, 2 4; 4);
// The same: the rows are sorted as far as they must be, and those that can be the median. Found by leaving out of a longer one what changes nothing.
network!(middle_of_5: 25 lines;
    0 1, 3 4, 2 4, 2 3, 1 4, 0 3, 1 3, 5 6, 8 9, 7 9, 7 8, 6 9, 5 8, 6 8, 6 7, 10 11,
    13 14, 12 14, 12 13, 11 14, 10 12, 11 13, 15 16, 17 19, 17 18, 16 19, 15 18, 15 17, 16 18, 20 21, 23 24, 22 24,
    20 23, 20 22, 21 23, 21 22, 3 15, 17 16, 8 16, 20 17, 7 15, 21 8, 21 17, 15 4, 11 20, 21 11, 4 17, 9 20,
    11 15, 9 11, 4 15, 13 11, 4 13, 11 15, 13 11, 13 12, 12 11;
    12);

/// The median by comparing: columns are sorted first, once for all the neighbourhoods that they are part of (Adams, SIGGRAPH 2021).
fn by_network<const SIDE: usize, const AREA: usize>(
    samples: &Samples,
    sort: fn([&Together; SIDE]) -> [Together; SIDE],
    middle: fn([&Together; AREA]) -> [Together; 1],
) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let (half, row) = (SIDE / 2, width * n);
    let mut lines: [Vec<u8>; SIDE] = from_fn(|_| Vec::new());
    let mut made = Vec::with_capacity(data.len());
    for y in 0..height {
        for (line, dy) in lines.iter_mut().zip(0_isize..) {
            let from = nearest(y as isize + dy - half as isize, height) * row;
            padded(&data[from..from + row], n, half, nearest, |sample| sample, line);
            line.resize((line.len() + TOGETHER).next_multiple_of(TOGETHER), 0);
        }
        for at in (0..row + 2 * half * n).step_by(TOGETHER) {
            let sorted = sort(from_fn(|d| together(&lines[d], at)));
            lines.iter_mut().zip(sorted).for_each(|(line, sorted)| line[at..at + TOGETHER].copy_from_slice(&sorted));
        }
        for at in (0..row).step_by(TOGETHER) {
            let [found] = middle(from_fn(|d| together(&lines[d / SIDE], at + d % SIDE * n)));
            made.extend_from_slice(&found[..TOGETHER.min(row - at)]);
        }
    }
    Samples { width, height, n, data: made }
}

fn together(line: &[u8], at: usize) -> &Together {
    line.get(at..).and_then(|line| line.first_chunk()).unwrap_or(&[0; TOGETHER])
}

/// The side up to which the samples of a neighbourhood are counted in a byte.
const COUNTED_IN_A_BYTE: usize = 15;

/// The median bit by bit, from the highest: a bit is set if no more than half of the neighbourhood is below what it would make. All samples of a row at once.
fn by_bits(samples: &Samples, side: usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let (half, row, middle) = (side / 2, width * n, (side * side / 2) as u8);
    // The rows of the neighbourhood, one after the other; each comes and goes once.
    let mut rows: VecDeque<Vec<u8>> = VecDeque::with_capacity(side);
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

fn by_histogram(samples: &Samples, side: usize) -> Samples {
    let Samples { width, height, n, ref data } = *samples;
    let half = (side / 2) as isize;
    let middle = (side * side / 2) as u32;
    let mut made = vec![0; data.len()];
    for c in 0..n {
        let at = |x: isize, y: isize| usize::from(data[(nearest(y, height) * width + nearest(x, width)) * n + c]);
        for y in 0..height as isize {
            if interrupt::asked() {
                break;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_medians_are_one() {
        let mut state = 4_u32;
        // The numbers of Numerical Recipes.
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let sizes = [(7, 5, 3), (20, 9, 1), (3, 3, 3), (1, 1, 1), (2, 30, 3), (70, 4, 3)];
        for ((width, height, n), side) in sizes.into_iter().flat_map(|size| [1, 3, 5, 7, 15].map(|side| (size, side))) {
            let data = (0..width * height * n).map(|_| if random() < 128 { random() } else { 7 }).collect();
            let samples = Samples { width, height, n, data };
            let expected = by_histogram(&samples, side);
            assert_eq!(median(&samples, side), expected, "{width}x{height}, {side}");
            assert_eq!(by_bits(&samples, side), expected, "{width}x{height}, {side}");
        }
    }

    #[test]
    fn sorted_columns_have_one_median() {
        // By Knuth's principle what holds for zeros and ones holds for all numbers.
        for ones in (0..6_usize.pow(5)).map(|at| [0, 1, 2, 3, 4].map(|column| at / 6_usize.pow(column) % 6)) {
            let lines: [Together; 25] = from_fn(|at| [u8::from(at / 5 + ones[at % 5] >= 5); TOGETHER]);
            let [found] = middle_of_5(from_fn(|at| &lines[at]));
            assert_eq!(found, [u8::from(ones.iter().sum::<usize>() > 12); TOGETHER], "{ones:?}");
        }
    }
}
