//! Where a small picture of luma correlates best with a large one.

use super::products::products;

/// Luma in rows of `width`.
pub(super) struct Luma {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
}

/// The upper left pixel of the best place, and its correlation, -1 to 1; of two as good the upper, the left one. None for a template
/// of one colour. The template is no larger than the picture.
pub(super) fn best(whole: &Luma, part: &Luma) -> Option<((usize, usize), f64)> {
    let n = (part.width * part.height) as f64;
    let sum: f64 = part.data.iter().map(|v| f64::from(*v)).sum();
    let squares: f64 = part.data.iter().map(|v| f64::from(*v).powi(2)).sum();
    let spread = squares - sum * sum / n;
    if spread <= 0.0 {
        return None;
    }
    let sums = Sums::of(whole);
    let mut best: Option<((usize, usize), f64)> = None;
    products(whole, part, |x, y, product| {
        let (of_sum, of_squares) = sums.of_area((x, y), (part.width, part.height));
        let there = of_squares - of_sum * of_sum / n;
        // A place of one colour is like nothing.
        let score = if there > 1e-6 { ((product as f64 - of_sum * sum / n) / (there * spread).sqrt()).clamp(-1.0, 1.0) } else { 0.0 };
        if best.is_none_or(|(at, most)| score > most || score == most && (y, x) < (at.1, at.0)) {
            best = Some(((x, y), score));
        }
    });
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

    /// A photograph's finest grain on a ground that repeats: half as large, copies of the part are as good as the part itself.
    fn grained(width: usize, height: usize) -> Luma {
        let mut seed = 7_u32;
        let mut grain = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 26) as usize
        };
        let value = |at: usize| ((at % width / 4 * 29 + at / width / 4 * 53) % 128 + grain()) as u8;
        Luma { width, height, data: (0..width * height).map(value).collect() }
    }

    #[test]
    fn an_exact_copy_is_never_missed_however_large_the_search() {
        let whole = grained(1280, 720);
        for (at, side) in [16, 19, 23, 32, 46, 100].into_iter().enumerate() {
            for place in [(11 + 97 * at, 500 - 61 * at), (1280 - side, 720 - side), (0, 0)] {
                let (found, score) = best(&whole, &cut(&whole, place, (side, side))).unwrap();
                assert!(found == place && score > 1.0 - 1e-12, "{side} at {place:?}: {found:?} {score}");
            }
        }
    }
}
