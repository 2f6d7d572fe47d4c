//! The sums of the products of a small picture with every part of a large one: row by row, or tile by tile by Fourier transforms. Both are exact, as sums of whole numbers are whole.

use std::sync::Arc;

use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};

use super::matching::Luma;
use crate::interrupt;
use crate::model::kernels::{Work, fastest};

/// How many products row by row take as long as one step of a transform, of which a tile of n samples has n log2 n.
const PRODUCTS_A_STEP: f64 = 6.0;
/// The side up to which tiles are made larger than a template needs: what they hold stays near the processor.
const HANDY: usize = 512;

/// Gives the sum of each place to `take`, its column, its row and the sum. The part is no larger than the whole. It ends early where nobody waits for it.
pub(super) fn products(whole: &Luma, part: &Luma, take: impl FnMut(usize, usize, u64)) {
    let (across, down) = (whole.width + 1 - part.width, whole.height + 1 - part.height);
    let (columns, rows) = (Tiling::of(whole.width, part.width), Tiling::of(whole.height, part.height));
    let by_rows = (across * down) as f64 * (part.width * part.height) as f64;
    if by_rows <= PRODUCTS_A_STEP * columns.samples() * rows.samples() * ((columns.side * rows.side) as f64).log2() {
        one_by_one(whole, part, take);
    } else {
        by_tiles(whole, part, (columns, rows), take);
    }
}

fn one_by_one(whole: &Luma, part: &Luma, mut take: impl FnMut(usize, usize, u64)) {
    let across = whole.width + 1 - part.width;
    let mut sums = vec![0_u64; across];
    for y in 0..=whole.height - part.height {
        if interrupt::asked() {
            return;
        }
        sums.fill(0);
        for (line, of_part) in (y..).zip(part.data.chunks_exact(part.width)) {
            fastest(Row { row: &whole.data[line * whole.width..][..whole.width], of_part, sums: &mut sums });
        }
        sums.iter().enumerate().for_each(|(x, sum)| take(x, y, *sum));
    }
}

/// A row of the part at every place of a row of the whole, added to the sums.
struct Row<'a> {
    row: &'a [u8],
    of_part: &'a [u8],
    sums: &'a mut [u64],
}

impl Work for Row<'_> {
    type Made = ();

    #[inline(always)]
    fn run(self) {
        const TOGETHER: usize = 512;
        let mut near = [0_u32; TOGETHER];
        for (at, sums) in self.sums.chunks_mut(TOGETHER).enumerate() {
            let near = &mut near[..sums.len()];
            near.fill(0);
            for (dx, weight) in self.of_part.iter().enumerate() {
                let weight = u32::from(*weight);
                for (sum, value) in near.iter_mut().zip(&self.row[at * TOGETHER + dx..]) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(u32::from(*value)));
                }
            }
            for (sum, more) in sums.iter_mut().zip(&*near) {
                *sum += u64::from(*more);
            }
        }
    }
}

/// How one side of a picture is cut into tiles that overlap, so that each place lies whole in one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tiling {
    /// Of a tile, px.
    side: usize,
    /// Places of a tile.
    step: usize,
    n: usize,
}

impl Tiling {
    /// The tiles of the least work.
    fn of(whole: usize, part: usize) -> Tiling {
        let most = HANDY.max(4 * part);
        let tiling = |side: usize| Tiling { side, step: side + 1 - part, n: (whole + 1 - part).div_ceil(side + 1 - part) };
        let first = quick().find(|side| *side >= part).map(tiling).unwrap_or(tiling(whole));
        let fit = quick().skip_while(|side| *side < part).take_while(|side| *side <= most);
        // One tile that holds all is enough.
        let last = quick().find(|side| *side >= whole).unwrap_or(whole);
        fit.take_while(|side| *side <= last).map(tiling).fold(first, |best, other| if other.work() < best.work() { other } else { best })
    }

    /// Samples of all tiles.
    fn samples(self) -> f64 {
        (self.n * self.side) as f64
    }

    fn work(self) -> f64 {
        self.samples() * (self.side as f64).log2()
    }
}

/// The lengths whose transforms are quick, in order.
fn quick() -> impl Iterator<Item = usize> {
    (3..28).flat_map(|power| [4, 5, 6].map(|fourths| fourths << power >> 2)).filter(|side| *side >= 8)
}

/// Transforms of tiles of one size. What is transformed lies column by column.
struct Transform {
    width: usize,
    height: usize,
    /// Of a row and of a column, forth and back.
    rows: [Arc<dyn Fft<f64>>; 2],
    columns: [Arc<dyn Fft<f64>>; 2],
    scratch: Vec<Complex64>,
    spare: Vec<Complex64>,
}

impl Transform {
    fn new(width: usize, height: usize) -> Transform {
        let mut planner = FftPlanner::new();
        let rows = [planner.plan_fft_forward(width), planner.plan_fft_inverse(width)];
        let columns = [planner.plan_fft_forward(height), planner.plan_fft_inverse(height)];
        let longest = rows.iter().chain(&columns).map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        let (zero, n) = (Complex64::default(), width * height);
        Transform { width, height, rows, columns, scratch: vec![zero; longest], spare: vec![zero; n] }
    }

    fn forth(&mut self, tile: &mut Vec<Complex64>) {
        self.rows[0].process_with_scratch(tile, &mut self.scratch);
        turn(tile, self.width, &mut self.spare);
        std::mem::swap(tile, &mut self.spare);
        self.columns[0].process_with_scratch(tile, &mut self.scratch);
    }

    fn back(&mut self, tile: &mut Vec<Complex64>) {
        self.columns[1].process_with_scratch(tile, &mut self.scratch);
        turn(tile, self.height, &mut self.spare);
        std::mem::swap(tile, &mut self.spare);
        self.rows[1].process_with_scratch(tile, &mut self.scratch);
    }
}

/// Rows of `width` made columns.
fn turn(from: &[Complex64], width: usize, to: &mut [Complex64]) {
    // In squares, so that what is read and what is written both stay near the processor.
    const SIDE: usize = 16;
    let height = from.len() / width;
    for (top, left) in (0..height).step_by(SIDE).flat_map(|top| (0..width).step_by(SIDE).map(move |left| (top, left))) {
        for x in left..(left + SIDE).min(width) {
            let column = &mut to[x * height + top..x * height + (top + SIDE).min(height)];
            column.iter_mut().enumerate().for_each(|(y, to)| *to = from[(top + y) * width + x]);
        }
    }
}

fn by_tiles(whole: &Luma, part: &Luma, (columns, rows): (Tiling, Tiling), mut take: impl FnMut(usize, usize, u64)) {
    let (across, down) = (whole.width + 1 - part.width, whole.height + 1 - part.height);
    let mut transform = Transform::new(columns.side, rows.side);
    let n = columns.side * rows.side;
    let mut weights = vec![Complex64::default(); n];
    for (to, from) in weights.chunks_exact_mut(columns.side).zip(part.data.chunks_exact(part.width)) {
        to.iter_mut().zip(from).for_each(|(to, from)| to.re = f64::from(*from));
    }
    transform.forth(&mut weights);
    // A correlation is a product with the conjugate; what goes forth and back is n times as large.
    weights.iter_mut().for_each(|weight| *weight = weight.conj() / n as f64);
    let tiles: Vec<(usize, usize)> = (0..rows.n).flat_map(|y| (0..columns.n).map(move |x| (x * columns.step, y * rows.step))).collect();
    let mut tile = vec![Complex64::default(); n];
    // Two at once: as the weights are of a real picture, what is real and what is imaginary do not mix.
    for two in tiles.chunks(2) {
        if interrupt::asked() {
            return;
        }
        tile.fill(Complex64::default());
        for (which, (left, top)) in two.iter().enumerate() {
            let width = columns.side.min(whole.width - left);
            for (to, from) in tile.chunks_exact_mut(columns.side).zip(whole.data.chunks_exact(whole.width).skip(*top)) {
                for (to, from) in to.iter_mut().zip(&from[*left..*left + width]) {
                    *(if which == 0 { &mut to.re } else { &mut to.im }) = f64::from(*from);
                }
            }
        }
        transform.forth(&mut tile);
        tile.iter_mut().zip(&weights).for_each(|(value, weight)| *value *= weight);
        transform.back(&mut tile);
        for (which, (left, top)) in two.iter().enumerate() {
            for (y, line) in (*top..down).zip(tile.chunks_exact(columns.side)).take(rows.step) {
                for (x, sum) in (*left..across).zip(line).take(columns.step) {
                    // The error is less than 1/10 for any picture: it grows with the square roots of the areas.
                    take(x, y, (if which == 0 { sum.re } else { sum.im }).round().max(0.0) as u64);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize, mut seed: u32) -> Luma {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        Luma { width, height, data: (0..width * height).map(|_| next()).collect() }
    }

    #[test]
    fn both_ways_give_the_same_sums() {
        for (whole, part) in [((70, 40), (9, 5)), ((600, 530), (17, 3)), ((65, 300), (64, 31)), ((40, 40), (40, 40)), ((900, 7), (1, 7))] {
            let (whole, part) = (noise(whole.0, whole.1, 5), noise(part.0, part.1, 9));
            let (across, down) = (whole.width + 1 - part.width, whole.height + 1 - part.height);
            let tilings = (Tiling::of(whole.width, part.width), Tiling::of(whole.height, part.height));
            let (mut one, mut other) = (vec![None; across * down], vec![None; across * down]);
            one_by_one(&whole, &part, |x, y, sum| assert!(one[y * across + x].replace(sum).is_none()));
            by_tiles(&whole, &part, tilings, |x, y, sum| assert!(other[y * across + x].replace(sum).is_none()));
            assert!(one == other && one.iter().all(Option::is_some), "{}x{}", whole.width, whole.height);
        }
    }

    #[test]
    fn tiles_hold_every_place() {
        for (whole, part) in [(1, 1), (1920, 64), (1920, 1920), (1080, 700), (16_384, 3), (1 << 27, 1 << 20)] {
            let tiling = Tiling::of(whole, part);
            assert!(tiling.side >= part && tiling.n * tiling.step > whole - part, "{tiling:?}");
        }
        assert!(quick().is_sorted() && quick().any(|side| side == 640) && quick().any(|side| side == 768));
    }
}
