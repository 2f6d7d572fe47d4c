//! Where a picture may show a bar code, at whatever angle: areas whose edges all go one way, by the structure tensor of squares of 16 pixels and of 64.

use crate::model::kernels::{Work, fastest};

/// The side of a small square, px.
const SIDE: usize = 16;
/// Small squares along a large one: in a code as large as the picture a small one lies within a bar.
const LARGE: usize = 4;
/// The least mean of the squared change of luma in a square.
const LEAST_CHANGE: f32 = 60.0;
/// How much of the change goes one way, at least: 1 is all of it, 0 as much as across it.
const LEAST_COHERENCE: f32 = 0.7;
/// The cosine of twice the angle by which neighbours may differ from those before them, at least: 12 degrees.
const LEAST_LIKENESS: f32 = 0.91;
/// What is shorter across, in squares, is an edge and no code.
const LEAST_ACROSS: f32 = 2.5;
/// So many areas of each size are looked at, the largest first: a picture may be all texture.
const MOST: usize = 6;

/// An area of stripes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stripes {
    /// Its middle, px.
    pub(super) middle: (f32, f32),
    /// The direction across the stripes, of length 1.
    pub(super) across: (f32, f32),
    /// How far it goes from the middle across the stripes, and along them, px.
    pub(super) reach: (f32, f32),
}

impl Stripes {
    /// Whether they run along neither the rows nor the columns of the picture.
    pub(super) fn askew(&self) -> bool {
        self.across.0.abs().min(self.across.1.abs()) > 0.1
    }

    /// Whether a point lies in the area, or in the squares around it.
    pub(super) fn holds(&self, (x, y): (f32, f32)) -> bool {
        let (x, y) = (x - self.middle.0, y - self.middle.1);
        let (u, v) = (x * self.across.0 + y * self.across.1, y * self.across.0 - x * self.across.1);
        let around = 2.0 * SIDE as f32;
        u.abs() <= self.reach.0 + around && v.abs() <= self.reach.1 + around
    }
}

/// The areas of stripes, the larger first.
pub(super) fn stripes(luma: &[u8], width: usize) -> Vec<Stripes> {
    let small = fastest(Tensors { luma, width });
    let large = joined(&small);
    let mut found = areas(&large, (SIDE * LARGE) as f32);
    found.extend(areas(&small, SIDE as f32));
    found
}

/// Of each square the sums of the squared change across the picture, of that down it, and of their products.
struct Squares {
    n_across: usize,
    tensors: Vec<[f32; 3]>,
}

struct Tensors<'a> {
    luma: &'a [u8],
    width: usize,
}

impl Work for Tensors<'_> {
    type Made = Squares;

    #[inline(always)]
    fn run(self) -> Squares {
        let Tensors { luma, width } = self;
        let (n_across, n_down) = (width / SIDE, luma.len() / width.max(1) / SIDE);
        let mut tensors = vec![[0.0; 3]; n_across * n_down];
        for (row, made) in tensors.chunks_exact_mut(n_across.max(1)).enumerate() {
            // Every other row: bars are longer than one.
            for y in (row * SIDE + 1..(row + 1) * SIDE).step_by(2) {
                let [above, here, below] = [y - 1, y, y + 1].map(|y| luma.get(y * width..(y + 1) * width).unwrap_or_default());
                if below.is_empty() {
                    continue;
                }
                for (at, tensor) in made.iter_mut().enumerate() {
                    // The outermost pixels of a square change with those of the next: where there is none, the square has two fewer.
                    let from = (at * SIDE).max(1);
                    let to = ((at + 1) * SIDE).min(width - 1);
                    let (left, right) = (&here[from - 1..to - 1], &here[from + 1..to + 1]);
                    let (above, below) = (&above[from..to], &below[from..to]);
                    let (mut xx, mut yy, mut xy) = (0_i32, 0_i32, 0_i32);
                    for (((l, r), a), b) in left.iter().zip(right).zip(above).zip(below) {
                        let (x, y) = (i32::from(*r) - i32::from(*l), i32::from(*b) - i32::from(*a));
                        xx += x * x;
                        yy += y * y;
                        xy += x * y;
                    }
                    tensor[0] += xx as f32;
                    tensor[1] += yy as f32;
                    tensor[2] += xy as f32;
                }
            }
        }
        Squares { n_across, tensors }
    }
}

/// Squares put together to larger ones.
fn joined(small: &Squares) -> Squares {
    let n_across = small.n_across.div_ceil(LARGE);
    let n_down = (small.tensors.len() / small.n_across.max(1)).div_ceil(LARGE);
    let mut tensors = vec![[0.0; 3]; n_across * n_down];
    for (at, tensor) in small.tensors.iter().enumerate() {
        let (x, y) = (at % small.n_across, at / small.n_across);
        if let Some(sum) = tensors.get_mut(y / LARGE * n_across + x / LARGE) {
            sum.iter_mut().zip(tensor).for_each(|(sum, one)| *sum += one);
        }
    }
    Squares { n_across, tensors }
}

/// Neighbouring squares of one direction, each such group an area; `side` is that of a square, px.
fn areas(squares: &Squares, side: f32) -> Vec<Stripes> {
    let n_across = squares.n_across;
    let enough = LEAST_CHANGE * side * side / 2.0;
    // Twice the angle, so that opposite directions are one, as long as the change goes that way only.
    let mut open: Vec<Option<(f32, f32)>> = squares
        .tensors
        .iter()
        .map(|[xx, yy, xy]| {
            let (doubled, all) = ((xx - yy, 2.0 * xy), xx + yy);
            let one_way = doubled.0.hypot(doubled.1);
            (all >= enough && one_way >= LEAST_COHERENCE * all).then_some(doubled)
        })
        .collect();
    let mut found: Vec<(usize, Stripes)> = Vec::new();
    for first in 0..open.len() {
        let Some(mut sum) = open.get_mut(first).and_then(Option::take) else { continue };
        let (mut members, mut next) = (vec![first], 0);
        while let Some(at) = members.get(next).copied() {
            next += 1;
            let (x, y) = (at % n_across, at / n_across);
            let beside =
                [(x > 0).then(|| at - 1), (x + 1 < n_across).then_some(at + 1), (y > 0).then(|| at - n_across), Some(at + n_across)];
            for other in beside.into_iter().flatten() {
                let Some(slot) = open.get_mut(other) else { continue };
                let Some(one) = *slot else { continue };
                if one.0 * sum.0 + one.1 * sum.1 >= LEAST_LIKENESS * one.0.hypot(one.1) * sum.0.hypot(sum.1) {
                    *slot = None;
                    sum = (sum.0 + one.0, sum.1 + one.1);
                    members.push(other);
                }
            }
        }
        let angle = sum.1.atan2(sum.0) / 2.0;
        let across = (angle.cos(), angle.sin());
        let middles = members.iter().map(|at| ((at % n_across) as f32 + 0.5, (at / n_across) as f32 + 0.5));
        let [(from_u, to_u), (from_v, to_v)] = [(across.0, across.1), (-across.1, across.0)].map(|(x, y)| {
            let along = middles.clone().map(|(mx, my)| mx * x + my * y);
            along.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), at| (least.min(at), most.max(at)))
        });
        let (u, v) = ((from_u + to_u) / 2.0 * side, (from_v + to_v) / 2.0 * side);
        let reach = ((to_u - from_u + 1.0) / 2.0 * side, (to_v - from_v + 1.0) / 2.0 * side);
        if 2.0 * reach.0 >= LEAST_ACROSS * side {
            let middle = (u * across.0 - v * across.1, u * across.1 + v * across.0);
            found.push((members.len(), Stripes { middle, across, reach }));
        }
    }
    found.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    found.truncate(MOST);
    found.into_iter().map(|(_, area)| area).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one grey with stripes of eight pixels in a disc.
    fn striped(angle: f32, middle: (f32, f32), radius: f32) -> (Vec<u8>, usize) {
        let (width, height) = (400_usize, 300_usize);
        let value = |at: usize| {
            let (x, y) = ((at % width) as f32 - middle.0, (at / width) as f32 - middle.1);
            if x.hypot(y) > radius { 128 } else { (128.0 + 100.0 * ((x * angle.cos() + y * angle.sin()) * 0.785).sin()) as u8 }
        };
        ((0..width * height).map(value).collect(), width)
    }

    #[test]
    fn stripes_are_found_with_their_direction() {
        for degrees in [0.0_f32, 20.0, 45.0, 80.0, 100.0, 135.0, 170.0] {
            let (luma, width) = striped(degrees.to_radians(), (220.0, 140.0), 70.0);
            let found = stripes(&luma, width);
            let best = found.last().unwrap();
            let (x, y) = (degrees.to_radians().cos(), degrees.to_radians().sin());
            assert!((best.across.0 * x + best.across.1 * y).abs() > 0.999, "{degrees}: {best:?}");
            assert!((best.middle.0 - 220.0).hypot(best.middle.1 - 140.0) < 12.0, "{degrees}: {best:?}");
            assert!((50.0..90.0).contains(&best.reach.0) && (50.0..90.0).contains(&best.reach.1), "{degrees}: {best:?}");
        }
        assert!(stripes(&[7; 40 * 40], 40).is_empty());
        assert!(stripes(&[], 0).is_empty());
        assert!(stripes(&[1, 2, 3], 1).is_empty());
    }
}
