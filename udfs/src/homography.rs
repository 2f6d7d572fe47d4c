//! A homography: how one flat thing seen at a slant lies on another, known by four points.

/// The eight numbers of it: x' = (h0 x + h1 y + h2) / (h6 x + h7 y + 1) and the same of y'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Homography([f64; 8]);

type Point = (f64, f64);

impl Homography {
    /// The one that leads from four points to four others; None if three of either lie on a line.
    pub(crate) fn of(from: [Point; 4], to: [Point; 4]) -> Option<Homography> {
        let turn = |a: Point, b: Point, c: Point| (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0);
        let on_a_line =
            |[a, b, c, d]: [Point; 4]| [turn(a, b, c), turn(b, c, d), turn(c, d, a), turn(d, a, b)].iter().any(|t| t.abs() < 1e-9);
        if on_a_line(from) || on_a_line(to) {
            return None;
        }
        // Two rows a point.
        let mut rows = [[0.0_f64; 9]; 8];
        for (at, ((u, v), (x, y))) in from.into_iter().zip(to).enumerate() {
            rows[2 * at] = [u, v, 1.0, 0.0, 0.0, 0.0, -u * x, -v * x, x];
            rows[2 * at + 1] = [0.0, 0.0, 0.0, u, v, 1.0, -u * y, -v * y, y];
        }
        // Gauss and Jordan, the largest of a column first.
        for column in 0..8 {
            let pivot = (column..8).max_by(|i, j| rows[*i][column].abs().total_cmp(&rows[*j][column].abs()))?;
            rows.swap(column, pivot);
            let first = rows[column];
            if first[column].abs() < 1e-12 {
                return None;
            }
            for (_, row) in rows.iter_mut().enumerate().filter(|(at, _)| *at != column) {
                let factor = row[column] / first[column];
                row.iter_mut().zip(first).for_each(|(value, by)| *value -= factor * by);
            }
        }
        let mut numbers = [0.0; 8];
        numbers.iter_mut().enumerate().for_each(|(at, h)| *h = rows[at][8] / rows[at][at]);
        Some(Homography(numbers))
    }

    /// What a point's place is divided by; at 0 it is without end.
    #[inline(always)]
    pub(crate) fn depth(&self, (x, y): Point) -> f64 {
        let [.., h6, h7] = self.0;
        h6 * x + h7 * y + 1.0
    }

    /// Where a point is.
    #[inline(always)]
    pub(crate) fn apply(&self, (x, y): Point) -> Point {
        let [h0, h1, h2, h3, h4, h5, ..] = self.0;
        let depth = self.depth((x, y));
        ((h0 * x + h1 * y + h2) / depth, (h3 * x + h4 * y + h5) / depth)
    }

    /// What a speed at a point is: the place's derivative in its direction.
    pub(crate) fn speed(&self, at: Point, (vx, vy): Point) -> Point {
        let [h0, h1, _, h3, h4, _, h6, h7] = self.0;
        let (depth, (x, y)) = (self.depth(at), self.apply(at));
        let nearer = h6 * vx + h7 * vy;
        ((h0 * vx + h1 * vy - x * nearer) / depth, (h3 * vx + h4 * vy - y * nearer) / depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_lead_to_corners() {
        let corners = [(10.0, 10.0), (200.0, 30.0), (210.0, 140.0), (5.0, 120.0)];
        let rectangle = [(0.0, 0.0), (99.0, 0.0), (99.0, 49.0), (0.0, 49.0)];
        let way = Homography::of(rectangle, corners).unwrap();
        for (from, to) in rectangle.into_iter().zip(corners) {
            let found = way.apply(from);
            assert!((found.0 - to.0).abs() < 1e-6 && (found.1 - to.1).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(Homography::of(rectangle, [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (0.0, 5.0)]), None);
        assert_eq!(Homography::of([(0.0, 0.0); 4], corners), None);
    }
}
