//! A line: a stretch from one point of the picture to another, with a left and a right side, and the point of a box that crosses it.

use std::fmt;

use datafusion_common::{DataFusionError, Result};

use super::anchor::Anchor;
use super::{apart, point};
use crate::detection::Box;

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    from: (f64, f64),
    to: (f64, f64),
    anchor: Anchor,
}

impl Line {
    /// A line `(x y, x y)`. Errs with what is wrong with it.
    pub fn new(text: &str, anchor: Anchor) -> Result<Line, String> {
        let inner = text.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let Some(inner) = inner else { return Err(format!("a line is written '(x y, x y)', not '{text}'")) };
        let parts: Vec<&str> = inner.split(',').collect();
        let [from, to] = parts.as_slice() else { return Err(format!("a line has two points, not {}: '{text}'", parts.len())) };
        let read = |part: &str| point(part).ok_or_else(|| format!("a point of a line is 'x y', not '{}'", part.trim()));
        let (from, to) = (read(from)?, read(to)?);
        if from == to {
            return Err(format!("the two points of a line are one: '{text}'"));
        }
        Ok(Line { from, to, anchor })
    }

    /// Reads what `to_string` has written.
    pub fn parse(text: &str) -> Result<Line> {
        let (anchor, line) = apart(text)?;
        Line::new(line, anchor).map_err(DataFusionError::Execution)
    }

    /// The point of a box that crosses it, px.
    pub fn place(&self, bbox: &Box) -> (f64, f64) {
        self.anchor.of(bbox)
    }

    /// How far a point is from the line, drawn on without end, px: above 0 to the right of who looks along it, below 0 to the left.
    pub fn side(&self, (x, y): (f64, f64)) -> f64 {
        let (dx, dy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        // y grows downwards, so that right of `to the right` is below.
        (dx * (y - self.from.1) - dy * (x - self.from.0)) / dx.hypot(dy)
    }

    /// Whether the way from a point of one side to one of the other leads through the line, and not past its ends.
    pub fn between(&self, a: (f64, f64), b: (f64, f64)) -> bool {
        let (side_a, side_b) = (self.side(a), self.side(b));
        let share = side_a / (side_a - side_b);
        let met = (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share);
        let (dx, dy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let along = ((met.0 - self.from.0) * dx + (met.1 - self.from.1) * dy) / (dx * dx + dy * dy);
        (0.0..=1.0).contains(&along)
    }

    /// Its two points, px.
    pub fn ends(&self) -> [(f64, f64); 2] {
        [self.from, self.to]
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {}, {} {})", self.anchor.word, self.from.0, self.from.1, self.to.0, self.to.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::new(text, Anchor::default()).unwrap()
    }

    #[test]
    fn left_and_right_are_those_of_who_looks_along_the_line() {
        // From the bottom of the picture to its top: left is left.
        let up = line("(100 200, 100 0)");
        assert_eq!((up.side((90.0, 50.0)), up.side((110.0, 250.0)), up.side((100.0, 7.0))), (-10.0, 10.0, 0.0));
        // From left to right: the right hand points down.
        let across = line("(0 100, 200 100)");
        assert_eq!((across.side((5.0, 90.0)), across.side((5.0, 130.0))), (-10.0, 30.0));
        assert_eq!(Line::parse(&up.to_string()).unwrap(), up);
    }

    #[test]
    fn a_way_past_the_end_is_no_crossing() {
        let across = line("(0 100, 200 100)");
        assert!(across.between((100.0, 90.0), (110.0, 110.0)) && across.between((-10.0, 90.0), (10.0, 110.0)));
        assert!(!across.between((201.0, 90.0), (210.0, 110.0)) && !across.between((-30.0, 90.0), (10.0, 110.0)));
    }

    #[test]
    fn what_is_no_line_is_refused_with_the_reason() {
        let refused = |text: &str| Line::new(text, Anchor::default()).unwrap_err();
        assert!(refused("0 0, 1 1").contains("is written"));
        assert!(refused("(0 0, 1 1, 2 2)").contains("two points, not 3"));
        assert!(refused("(0 0, 1)").contains("not '1'"));
        assert!(refused("(0 0, 1 inf)").contains("not '1 inf'"));
        assert!(refused("(3 4, 3 4)").contains("are one"));
    }
}
