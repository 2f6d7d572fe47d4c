//! Polygons in pixels of a picture, as text writes them: `((x y, x y, …))`.

use datafusion_common::{Result, exec_err};

/// A polygon of at least three corners; its last one is joined to its first.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    corners: Vec<(f64, f64)>,
}

impl Polygon {
    /// Reads `((x y, x y, …))`, the outer parentheses as in WKT; a ring that repeats its first corner at the end is the same ring.
    /// Errs for fewer than three corners, for what is no number, and for holes.
    pub fn parse(text: &str) -> Result<Polygon> {
        let inner = text.trim().strip_prefix("((").and_then(|rest| rest.strip_suffix("))"));
        let Some(inner) = inner else { return exec_err!("a polygon is written '((x y, x y, x y))', not '{text}'") };
        let mut corners = Vec::new();
        for corner in inner.split(',') {
            let numbers: Vec<f64> = corner.split_whitespace().map_while(|n| n.parse().ok().filter(|n: &f64| n.is_finite())).collect();
            match (numbers.as_slice(), corner.split_whitespace().count()) {
                ([x, y], 2) => corners.push((*x, *y)),
                _ => return exec_err!("a corner of a polygon is 'x y', not '{}'", corner.trim()),
            }
        }
        if corners.len() > 1 && corners.first() == corners.last() {
            corners.pop();
        }
        if corners.len() < 3 {
            return exec_err!("a polygon has at least three corners, not {}: '{text}'", corners.len());
        }
        Ok(Polygon { corners })
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
}
