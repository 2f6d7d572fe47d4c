//! `median_blur(frame [, size int4]) -> FRAME`: the picture without single wrong pixels.

use std::array::from_fn;
use std::collections::VecDeque;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{Samples, nearest, padded, side};
use crate::frame::frame_type;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};

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
        1 => samples.clone(),
        3 => samples.with(fastest(ByNetwork::<_, 3, 9>(samples, Of3))),
        5 => samples.with(fastest(ByNetwork::<_, 5, 25>(samples, Of5))),
        ..=COUNTED_IN_A_BYTE => samples.with(fastest(ByBits(samples, side))),
        _ => samples.with(fastest(ByCounting(samples, side))),
    }
}

/// Samples of a row with which the same is done: the compiler does it to many in a step.
type Together = [u8; TOGETHER];
const TOGETHER: usize = 64;

/// What comes out of a network that compares, of each pair of places, and puts the less at the first.
macro_rules! network {
    ($name:ident: $lines:literal lines; $($a:literal $b:literal),*; $($out:literal),*) => {
        #[inline(always)]
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

/// The networks of one neighbourhood: of a column, and of all columns sorted.
trait Networks<const SIDE: usize, const AREA: usize> {
    fn sort(&self, column: [&Together; SIDE]) -> [Together; SIDE];
    fn middle(&self, columns: [&Together; AREA]) -> [Together; 1];
}

struct Of3;

impl Networks<3, 9> for Of3 {
    #[inline(always)]
    fn sort(&self, column: [&Together; 3]) -> [Together; 3] {
        sort_3(column)
    }

    #[inline(always)]
    fn middle(&self, columns: [&Together; 9]) -> [Together; 1] {
        middle_of_3(columns)
    }
}

struct Of5;

impl Networks<5, 25> for Of5 {
    #[inline(always)]
    fn sort(&self, column: [&Together; 5]) -> [Together; 5] {
        sort_5(column)
    }

    #[inline(always)]
    fn middle(&self, columns: [&Together; 25]) -> [Together; 1] {
        middle_of_5(columns)
    }
}

/// The median by comparing: columns are sorted first, once for all the neighbourhoods that they are part of (Adams, SIGGRAPH 2021).
struct ByNetwork<'a, N, const SIDE: usize, const AREA: usize>(&'a Samples, N);

impl<N: Networks<SIDE, AREA>, const SIDE: usize, const AREA: usize> Work for ByNetwork<'_, N, SIDE, AREA> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let ByNetwork(&Samples { width, height, n, ref data }, networks) = self;
        let (half, row) = (SIDE / 2, width * n);
        let mut lines: [Vec<u8>; SIDE] = from_fn(|_| Vec::new());
        let mut made = Vec::with_capacity(data.len());
        for y in 0..height {
            if interrupt::asked() {
                break;
            }
            for (line, dy) in lines.iter_mut().zip(0_isize..) {
                let from = nearest(y as isize + dy - half as isize, height) * row;
                padded(&data[from..from + row], n, half, nearest, |sample| sample, line);
                line.resize((line.len() + TOGETHER).next_multiple_of(TOGETHER), 0);
            }
            for at in (0..row + 2 * half * n).step_by(TOGETHER) {
                let sorted = networks.sort(from_fn(|d| together(&lines[d], at)));
                lines.iter_mut().zip(sorted).for_each(|(line, sorted)| line[at..at + TOGETHER].copy_from_slice(&sorted));
            }
            for at in (0..row).step_by(TOGETHER) {
                let [found] = networks.middle(from_fn(|d| together(&lines[d / SIDE], at + d % SIDE * n)));
                made.extend_from_slice(&found[..TOGETHER.min(row - at)]);
            }
        }
        made
    }
}

#[inline(always)]
fn together(line: &[u8], at: usize) -> &Together {
    line.get(at..).and_then(|line| line.first_chunk()).unwrap_or(&[0; TOGETHER])
}

/// The side up to which the samples of a neighbourhood are counted in a byte.
const COUNTED_IN_A_BYTE: usize = 15;

/// The median bit by bit, from the highest: a bit is set if no more than half of the neighbourhood is below what it would make.
struct ByBits<'a>(&'a Samples, usize);

impl Work for ByBits<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        // Samples of a row that stay near the processor.
        const PART: usize = 1024;
        let ByBits(&Samples { width, height, n, ref data }, side) = self;
        let (half, row, middle) = (side / 2, width * n, (side * side / 2) as u8);
        // The rows of the neighbourhood, one after the other; each comes and goes once.
        let mut rows: VecDeque<Vec<u8>> = VecDeque::with_capacity(side);
        let mut made = Vec::with_capacity(data.len());
        let [mut found, mut tried, mut below] = [[0_u8; PART]; 3];
        for y in -2 * half as isize..height as isize {
            if interrupt::asked() {
                break;
            }
            let from = nearest(y + half as isize, height) * row;
            let mut line = if rows.len() == side { rows.pop_front().unwrap_or_default() } else { Vec::new() };
            padded(&data[from..from + row], n, half, nearest, |sample| sample, &mut line);
            rows.push_back(line);
            if y < 0 {
                continue;
            }
            let mut neighbours: Vec<&[u8]> = Vec::with_capacity(side * side);
            for line in &rows {
                for d in 0..side {
                    neighbours.push(&line[d * n..]);
                }
            }
            let (fours, rest) = neighbours.as_chunks::<4>();
            for at in (0..row).step_by(PART) {
                let length = PART.min(row - at);
                let (found, tried, below) = (&mut found[..length], &mut tried[..length], &mut below[..length]);
                found.fill(0);
                for bit in [128, 64, 32, 16, 8, 4, 2, 1] {
                    for (tried, found) in tried.iter_mut().zip(&*found) {
                        *tried = found | bit;
                    }
                    below.fill(0);
                    // There are at most 225: nothing wraps, and without a check for it many are counted in a step.
                    for [a, b, c, d] in fours {
                        let neighbours = below.iter_mut().zip(&*tried).zip(&a[at..]).zip(&b[at..]).zip(&c[at..]).zip(&d[at..]);
                        for (((((below, tried), a), b), c), d) in neighbours {
                            let of_two = u8::from(a < tried).wrapping_add(u8::from(b < tried));
                            let of_others = u8::from(c < tried).wrapping_add(u8::from(d < tried));
                            *below = below.wrapping_add(of_two).wrapping_add(of_others);
                        }
                    }
                    for a in rest {
                        for ((below, tried), a) in below.iter_mut().zip(&*tried).zip(&a[at..]) {
                            *below = below.wrapping_add(u8::from(a < tried));
                        }
                    }
                    for (found, below) in found.iter_mut().zip(&*below) {
                        *found |= bit & 0_u8.wrapping_sub(u8::from(*below <= middle));
                    }
                }
                made.extend_from_slice(found);
            }
        }
        made
    }
}

/// The median by counting: the samples of each column are counted as it goes down with the rows, and those of a neighbourhood are the sums of its columns
/// (Perreault and Hébert, IEEE TIP 16, 2007). It takes as long for every side.
struct ByCounting<'a>(&'a Samples, usize);

/// How many samples there are of each of 16 values, or of each 16 values.
type Counts = [u16; 16];

/// The counts of each column, by the high four bits of samples, and for each of these by the low four.
struct Columns {
    width: usize,
    high: Vec<Counts>,
    low: Vec<Counts>,
}

impl Columns {
    /// Counts a row in, by 1, or out, by what wraps to 1 less.
    fn count(&mut self, line: impl Iterator<Item = u8>, by: u16) {
        for (x, sample) in line.take(self.width).enumerate() {
            let (high, low) = (usize::from(sample >> 4), usize::from(sample & 15));
            for count in [&mut self.high[x][high], &mut self.low[high * self.width + x][low]] {
                *count = count.wrapping_add(by);
            }
        }
    }
}

#[inline(always)]
fn add(to: &mut Counts, counts: &Counts) {
    to.iter_mut().zip(counts).for_each(|(to, n)| *to = to.wrapping_add(*n));
}

#[inline(always)]
fn subtract(from: &mut Counts, counts: &Counts) {
    from.iter_mut().zip(counts).for_each(|(from, n)| *from = from.wrapping_sub(*n));
}

/// Where the sample of that rank is, and how many are before that place.
#[inline(always)]
fn place(counts: &Counts, rank: u16) -> (usize, u16) {
    let mut before = 0_u16;
    for (at, n) in counts.iter().enumerate() {
        let upto = before.wrapping_add(*n);
        if upto > rank {
            return (at, before);
        }
        before = upto;
    }
    (0, 0)
}

impl Work for ByCounting<'_> {
    type Made = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let ByCounting(&Samples { width, height, n, ref data }, side) = self;
        let (half, row, middle) = ((side / 2) as isize, width * n, (side * side / 2) as u16);
        let mut made = vec![0; data.len()];
        for c in 0..n {
            let line = |y: isize| data[nearest(y, height) * row..][..row].iter().skip(c).step_by(n).copied();
            let mut columns = Columns { width, high: vec![[0; 16]; width], low: vec![[0; 16]; 16 * width] };
            (-half - 1..half).for_each(|y| columns.count(line(y), 1));
            for y in 0..height as isize {
                if interrupt::asked() {
                    return made;
                }
                columns.count(line(y - half - 1), u16::MAX);
                columns.count(line(y + half), 1);
                // The counts of the neighbourhood. Those by the low bits are made where they are asked for: up to which place each is the neighbourhood's.
                let mut high: Counts = [0; 16];
                (-half - 1..half).for_each(|x| add(&mut high, &columns.high[nearest(x, width)]));
                let mut low = [([0_u16; 16], None); 16];
                for x in 0..width as isize {
                    add(&mut high, &columns.high[nearest(x + half, width)]);
                    subtract(&mut high, &columns.high[nearest(x - half - 1, width)]);
                    let (first, before) = place(&high, middle);
                    let (counts, upto) = &mut low[first];
                    let of_columns = &columns.low[first * width..][..width];
                    let from = match *upto {
                        Some(last) if x - last < side as isize => last + 1,
                        _ => {
                            *counts = [0; 16];
                            (x - half - 1..x + half).for_each(|x| add(counts, &of_columns[nearest(x, width)]));
                            x
                        }
                    };
                    for x in from..=x {
                        add(counts, &of_columns[nearest(x + half, width)]);
                        subtract(counts, &of_columns[nearest(x - half - 1, width)]);
                    }
                    *upto = Some(x);
                    made[y as usize * row + x as usize * n + c] = (first << 4 | place(counts, middle.wrapping_sub(before)).0) as u8;
                }
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By sorting.
    fn naive(samples: &Samples, side: usize) -> Samples {
        let Samples { width, height, n, ref data } = *samples;
        let half = (side / 2) as isize;
        let one = |at: usize| {
            let (x, y, c) = ((at / n % width) as isize, (at / n / width) as isize, at % n);
            let around = (y - half..=y + half).flat_map(|y| (x - half..=x + half).map(move |x| (x, y)));
            let mut all: Vec<u8> = around.map(|(x, y)| data[(nearest(y, height) * width + nearest(x, width)) * n + c]).collect();
            all.sort_unstable();
            all[side * side / 2]
        };
        samples.with((0..data.len()).map(one).collect())
    }

    #[test]
    fn all_medians_are_one() {
        let mut state = 4_u32;
        // The numbers of Numerical Recipes.
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let sizes = [(7, 5, 3), (20, 9, 1), (3, 3, 3), (1, 1, 1), (2, 30, 3), (70, 4, 3), (40, 25, 3)];
        for ((width, height, n), side) in sizes.into_iter().flat_map(|size| [1, 3, 5, 7, 15, 17].map(|side| (size, side))) {
            let data: Vec<u8> = (0..width * height * n).map(|_| if random() < 128 { random() } else { 7 }).collect();
            let samples = Samples { width, height, n, data: data.into() };
            let expected = naive(&samples, side);
            assert_eq!(median(&samples, side), expected, "{width}x{height}, {side}");
            assert_eq!(samples.with(fastest(ByCounting(&samples, side))), expected, "{width}x{height}, {side}");
            if side <= COUNTED_IN_A_BYTE {
                assert_eq!(samples.with(fastest(ByBits(&samples, side))), expected, "{width}x{height}, {side}");
            }
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
