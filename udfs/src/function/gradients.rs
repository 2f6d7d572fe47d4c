//! How luma changes from pixel to pixel, row by row: Sobel's gradients and the Laplacian.

use super::neighbourhood::{mirrored, padded};

/// The change of luma across and down, Sobel's 3 by 3, one row after the other.
#[derive(Default)]
pub(super) struct Gradients {
    sums: Vec<i16>,
    changes: Vec<i16>,
    wide: Vec<i16>,
    pub(super) across: Vec<i16>,
    pub(super) down: Vec<i16>,
}

impl Gradients {
    /// Makes those of a row.
    #[inline(always)]
    pub(super) fn make(&mut self, luma: &[u8], width: usize, y: usize, border: fn(isize, usize) -> usize) {
        let (height, y) = (luma.len() / width.max(1), y as isize);
        let Gradients { sums, changes, wide, across, down } = self;
        for row in [&mut *sums, &mut *changes, &mut *across, &mut *down] {
            row.resize(width, 0);
        }
        let [above, here, under] = [y - 1, y, y + 1].map(|y| &luma[border(y, height) * width..][..width]);
        // At most 1020: nothing wraps.
        for ((((sum, change), a), h), u) in sums.iter_mut().zip(changes.iter_mut()).zip(above).zip(here).zip(under) {
            let (a, h, u) = (i16::from(*a), i16::from(*h), i16::from(*u));
            *sum = a.wrapping_add(h.wrapping_mul(2)).wrapping_add(u);
            *change = u.wrapping_sub(a);
        }
        padded(sums, 1, 1, border, |v| v, wide);
        for ((across, left), right) in across.iter_mut().zip(&*wide).zip(&wide[2..]) {
            *across = right.wrapping_sub(*left);
        }
        padded(changes, 1, 1, border, |v| v, wide);
        for (((down, left), here), right) in down.iter_mut().zip(&*wide).zip(&wide[1..]).zip(&wide[2..]) {
            *down = left.wrapping_add(here.wrapping_mul(2)).wrapping_add(*right);
        }
    }
}

/// The sum of the four neighbours of each sample of a row less four times itself; mirrored at the border.
#[inline(always)]
pub(super) fn laplacians(luma: &[u8], width: usize, y: usize, wide: &mut Vec<i16>, made: &mut Vec<i16>) {
    let (height, y) = (luma.len() / width.max(1), y as isize);
    let [above, here, under] = [y - 1, y, y + 1].map(|y| &luma[mirrored(y, height) * width..][..width]);
    padded(here, 1, 1, mirrored, i16::from, wide);
    made.resize(width, 0);
    // At most 1020: nothing wraps.
    for (((((made, left), here), right), a), u) in made.iter_mut().zip(&*wide).zip(&wide[1..]).zip(&wide[2..]).zip(above).zip(under) {
        let four = left.wrapping_add(*right).wrapping_add(i16::from(*a)).wrapping_add(i16::from(*u));
        *made = four.wrapping_sub(here.wrapping_mul(4));
    }
}
