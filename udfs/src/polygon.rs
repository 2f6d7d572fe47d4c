//! Polygons in pixels of a picture, as text writes them: `((x y, x y, …))`.

use datafusion_common::Result;

use crate::out_of_range::OutOfRange;

/// A polygon of at least three corners; its last one is joined to its first.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    corners: Vec<(f64, f64)>,
}

impl Polygon {
    /// Reads `((x y, x y, …))`, the outer parentheses as in WKT; a ring that repeats its first corner at the end is the same ring.
    /// Errs for fewer than three corners, for what is no number, and for holes.
    pub fn parse(text: &str) -> Result<Polygon> {
        Ok(Polygon::read(text).map_err(OutOfRange::new)?)
    }

    /// The same; the error is what is wrong with the text, and nothing else.
    pub fn read(text: &str) -> Result<Polygon, String> {
        let inner = text.trim().strip_prefix("((").and_then(|rest| rest.strip_suffix("))"));
        let Some(inner) = inner else { return Err(format!("a polygon is written '((x y, x y, x y))', not '{text}'")) };
        let mut corners = Vec::new();
        for corner in inner.split(',') {
            let numbers: Vec<f64> = corner.split_whitespace().map_while(|n| n.parse().ok().filter(|n: &f64| n.is_finite())).collect();
            match (numbers.as_slice(), corner.split_whitespace().count()) {
                ([x, y], 2) => corners.push((*x, *y)),
                _ => return Err(format!("a corner of a polygon is 'x y', not '{}'", corner.trim())),
            }
        }
        if corners.len() > 1 && corners.first() == corners.last() {
            corners.pop();
        }
        if corners.len() < 3 {
            return Err(format!("a polygon has at least three corners, not {}: '{text}'", corners.len()));
        }
        Ok(Polygon { corners })
    }

    /// The numbers, from 1, of two sides that meet elsewhere than at a corner that they share; None if there are none. The first side goes from
    /// the first corner to the second. A side without length meets the one before it.
    pub fn crossing(&self) -> Option<(usize, usize)> {
        let n = self.corners.len();
        let corner = |at: usize| self.corners.get(at % n).copied().unwrap_or_default();
        let side = |at: usize| (corner(at), corner(at + 1));
        let mut pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let meets = |(a, b): &(usize, usize)| match (b - a == 1, *a == 0 && b + 1 == n) {
            (true, _) => folded(side(*a), side(*b)),
            (_, true) => folded(side(*b), side(*a)),
            _ => meet(side(*a), side(*b)),
        };
        pairs.find(meets).map(|(a, b)| (a + 1, b + 1))
    }

    /// Its corners, in px.
    pub fn corners(&self) -> &[(f64, f64)] {
        &self.corners
    }

    /// Whether a point lies inside or on the border: a ray to the right crosses the border an odd number of times.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        if !(x.is_finite() && y.is_finite()) {
            return false;
        }
        let mut inside = false;
        let ends = self.corners.iter().zip(self.corners.iter().cycle().skip(1));
        for (&(ax, ay), &(bx, by)) in ends {
            let turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax);
            let between = x >= ax.min(bx) && x <= ax.max(bx) && y >= ay.min(by) && y <= ay.max(by);
            if turn == 0.0 && between {
                return true;
            }
            // An edge counts with its lower end and without its upper one, so that a corner is crossed once.
            if (ay > y) != (by > y) && (turn > 0.0) == (by > ay) {
                inside = !inside;
            }
        }
        inside
    }
}

type Side = ((f64, f64), (f64, f64));

/// Above 0 if the way from a by b to c turns to the right, below 0 if to the left (y grows downwards).
fn turn(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

/// Whether the second of two sides, which begins where the first ends, goes back over it, or has no length.
fn folded((a, b): Side, (_, c): Side) -> bool {
    let back = (a.0 - b.0) * (c.0 - b.0) + (a.1 - b.1) * (c.1 - b.1);
    b == c || a == b || turn(a, b, c) == 0.0 && back > 0.0
}

/// Whether two sides have a point in common.
fn meet((a, b): Side, (c, d): Side) -> bool {
    let on = |(from, to): Side, p: (f64, f64)| {
        let between = |p: f64, x: f64, y: f64| p >= x.min(y) && p <= x.max(y);
        turn(from, to, p) == 0.0 && between(p.0, from.0, to.0) && between(p.1, from.1, to.1)
    };
    let apart = |one: f64, other: f64| one > 0.0 && other < 0.0 || one < 0.0 && other > 0.0;
    apart(turn(a, b, c), turn(a, b, d)) && apart(turn(c, d, a), turn(c, d, b))
        || on((a, b), c)
        || on((a, b), d)
        || on((c, d), a)
        || on((c, d), b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_knows_its_inside_its_border_and_its_outside() {
        // An L: the corner at (4, 2) points inwards.
        let l = Polygon::parse("((0 0, 4 0, 4 2, 8 2, 8 6, 0 6, 0 0))").unwrap();
        assert_eq!(l.corners().len(), 6);
        for (x, y) in [(1.0, 1.0), (2.0, 5.0), (7.0, 3.0), (0.0, 3.0), (4.0, 1.0), (6.0, 2.0), (8.0, 6.0), (0.0, 0.0)] {
            assert!(l.contains(x, y), "{x} {y}");
        }
        for (x, y) in [(5.0, 1.0), (-1.0, 2.0), (9.0, 6.0), (-1.0, 0.0), (9.0, 2.0), (2.0, 7.0), (8.1, 4.0), (f64::NAN, 1.0)] {
            assert!(!l.contains(x, y), "{x} {y}");
        }
    }

    #[test]
    fn what_is_no_polygon_is_refused() {
        for text in [
            "",
            "0 0, 1 1, 2 0",
            "((0 0, 1 1))",
            "((0 0, 1 1, 0 0))",
            "((0 0, 1, 2 2))",
            "((0 0, 1 x, 2 2))",
            "((0 0, 1 NaN, 2 2))",
            "((0 0 0, 1 1 1, 2 2 2))",
        ] {
            assert!(Polygon::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sides_that_cross_are_found_and_those_of_a_plain_polygon_are_not() {
        let crossing = |text: &str| Polygon::parse(text).unwrap().crossing();
        assert_eq!(crossing("((0 0, 4 0, 4 2, 8 2, 8 6, 0 6))"), None);
        assert_eq!(crossing("((0 0, 4 0, 8 0, 8 6))"), None);
        assert_eq!(crossing("((0 0, 8 6, 8 0))"), None);
        assert_eq!(crossing("((0 0, 8 8, 8 0, 0 8))"), Some((1, 3)));
        // A corner on another side, and the last side back over the first.
        assert_eq!(crossing("((0 0, 8 0, 8 8, 4 0, 0 8))"), Some((1, 3)));
        assert_eq!(crossing("((2 0, 8 0, 8 8, 8 0))"), Some((1, 3)));
        assert!(crossing("((4 0, 8 0, 8 8, 6 0))").is_some());
    }
}
