//! Where a small picture of luma correlates best with a large one: everywhere, or from coarse to fine where that would take too long.

use crate::interrupt;

/// Products of pixels in one search at most; a larger one is made at half the size first.
const MOST_PRODUCTS: usize = 1 << 27;
/// How far from twice the place found at half the size the best one may be, px.
const NEAR: usize = 3;
/// The least side of a template that is halved, px.
const LEAST: usize = 16;

/// Luma in rows of `width`.
pub(super) struct Luma {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
}

impl Luma {
    /// Half as large, each pixel the mean of four.
    fn half(&self) -> Luma {
        let (width, height) = (self.width / 2, self.height / 2);
        let at = |x: usize, y: usize| u32::from(self.data[y * self.width + x]);
        let mean = |x: usize, y: usize| ((at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1) + 2) / 4) as u8;
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| mean(2 * x, 2 * y)).collect();
        Luma { width, height, data }
    }
}

/// The upper left pixel of the best place, and its correlation, -1 to 1; of two as good the upper, the left one. None for a template
/// of one colour. The template is no larger than the picture.
pub(super) fn best(whole: &Luma, part: &Luma) -> Option<((usize, usize), f64)> {
    let (across, down) = (whole.width + 1 - part.width, whole.height + 1 - part.height);
    let products = across.saturating_mul(down).saturating_mul(part.width * part.height);
    if products <= MOST_PRODUCTS || part.width.min(part.height) < LEAST {
        return search(whole, part, (0, across), (0, down));
    }
    let ((x, y), _) = best(&whole.half(), &part.half())?;
    let around = |at: usize, n: usize| ((2 * at).saturating_sub(NEAR).min(n - 1), (2 * at + NEAR + 1).min(n));
    search(whole, part, around(x, across), around(y, down))
}

/// The best of the places whose columns and rows are in those ranges, the end left out.
fn search(whole: &Luma, part: &Luma, columns: (usize, usize), rows: (usize, usize)) -> Option<((usize, usize), f64)> {
    let n = (part.width * part.height) as f64;
    let sum: f64 = part.data.iter().map(|v| f64::from(*v)).sum();
    let squares: f64 = part.data.iter().map(|v| f64::from(*v).powi(2)).sum();
    let spread = squares - sum * sum / n;
    if spread <= 0.0 {
        return None;
    }
    let sums = Sums::of(whole);
    let mut best: Option<((usize, usize), f64)> = None;
    let mut products = vec![0_u64; columns.1 - columns.0];
    for y in rows.0..rows.1 {
        if interrupt::asked() {
            break;
        }
        products.fill(0);
        for (line, of_part) in (y..).zip(part.data.chunks_exact(part.width)) {
            let row = &whole.data[line * whole.width..][..whole.width];
            let mut of_row = vec![0_u32; products.len()];
            for (dx, weight) in of_part.iter().enumerate() {
                let weight = u32::from(*weight);
                of_row.iter_mut().zip(&row[columns.0 + dx..]).for_each(|(sum, value)| *sum += weight * u32::from(*value));
            }
            products.iter_mut().zip(of_row).for_each(|(sum, more)| *sum += u64::from(more));
        }
        for (x, product) in (columns.0..).zip(&products) {
            let (of_sum, of_squares) = sums.of_area((x, y), (part.width, part.height));
            let there = of_squares - of_sum * of_sum / n;
            // A place of one colour is like nothing.
            let score = if there > 1e-6 { (*product as f64 - of_sum * sum / n) / (there * spread).sqrt() } else { 0.0 };
            if best.is_none_or(|(_, most)| score > most) {
                best = Some(((x, y), score.clamp(-1.0, 1.0)));
            }
        }
    }
    best
}

/// The sums of all pixels, and of their squares, above and left of each.
struct Sums {
    width: usize,
    sums: Vec<(u64, u64)>,
}

impl Sums {
    fn of(luma: &Luma) -> Sums {
        let width = luma.width + 1;
        let mut sums = vec![(0, 0); width];
        for line in luma.data.chunks_exact(luma.width.max(1)) {
            let (above, mut left) = (sums.len() - width, (0, 0));
            sums.push((0, 0));
            for (x, value) in line.iter().enumerate() {
                let value = u64::from(*value);
                left = (left.0 + value, left.1 + value * value);
                let up = sums[above + x + 1];
                sums.push((up.0 + left.0, up.1 + left.1));
            }
        }
        Sums { width, sums }
    }

    fn of_area(&self, (x, y): (usize, usize), (w, h): (usize, usize)) -> (f64, f64) {
        let at = |x: usize, y: usize| self.sums[y * self.width + x];
        let (a, b, c, d) = (at(x, y), at(x + w, y), at(x, y + h), at(x + w, y + h));
        ((a.0 + d.0 - b.0 - c.0) as f64, (a.1 + d.1 - b.1 - c.1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(width: usize, height: usize) -> Luma {
        let value = |at: usize| ((at % width * 37 + at / width * 91 + (at % width) * (at / width)) % 251) as u8;
        Luma { width, height, data: (0..width * height).map(value).collect() }
    }

    fn cut(whole: &Luma, (x, y): (usize, usize), (width, height): (usize, usize)) -> Luma {
        let data = (y..y + height).flat_map(|y| whole.data[y * whole.width + x..][..width].to_vec()).collect();
        Luma { width, height, data }
    }

    #[test]
    fn a_part_is_found_where_it_was_cut_out() {
        let whole = ground(60, 40);
        for (place, size) in [((0, 0), (60, 40)), ((13, 7), (8, 5)), ((52, 35), (8, 5)), ((3, 3), (1, 9))] {
            let (found, score) = best(&whole, &cut(&whole, place, size)).unwrap();
            assert!(score > 0.999, "{place:?}: {score}");
            assert!(found == place || size.0 == 1, "{place:?}: {found:?}");
        }
        assert_eq!(best(&whole, &Luma { width: 3, height: 3, data: vec![9; 9] }), None);
        assert_eq!(best(&Luma { width: 3, height: 3, data: vec![9; 9] }, &cut(&whole, (0, 0), (2, 2))), Some(((0, 0), 0.0)));
    }

    #[test]
    fn a_large_search_goes_from_coarse_to_fine() {
        let smooth = |at: usize| {
            (128.0
                + 60.0 * ((at % 900) as f64 / 17.0).sin() * ((at / 900) as f64 / 23.0).cos()
                + 50.0 * ((at % 900 + at / 900) as f64 / 71.0).sin()) as u8
        };
        let whole = Luma { width: 900, height: 600, data: (0..900 * 600).map(smooth).collect() };
        let (found, score) = best(&whole, &cut(&whole, (411, 203), (120, 90))).unwrap();
        assert_eq!(found, (411, 203));
        assert!(score > 0.999);
    }
}
