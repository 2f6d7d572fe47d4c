//! A zone: a polygon in pixels of the picture, and the point of a box that has to be in it.

use std::fmt;

use datafusion_common::{DataFusionError, Result};

use super::anchor::Anchor;
use super::apart;
use crate::detection::Box;
use crate::polygon::Polygon;

/// A zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    polygon: Polygon,
    anchor: Anchor,
}

impl Zone {
    /// A zone of a polygon `((x y, x y, …))`. Errs with what is wrong with it: it has three corners at least, and no side crosses another.
    pub fn new(polygon: &str, anchor: Anchor) -> Result<Zone, String> {
        let polygon = Polygon::read(polygon)?;
        match polygon.crossing() {
            Some((a, b)) => Err(format!("the polygon crosses itself: its side {a} meets its side {b}")),
            None => Ok(Zone { polygon, anchor }),
        }
    }

    /// Reads what `to_string` has written.
    pub fn parse(text: &str) -> Result<Zone> {
        let (anchor, polygon) = apart(text)?;
        Zone::new(polygon, anchor).map_err(DataFusionError::Execution)
    }

    /// Whether a box is in it: its anchor is inside the polygon or on its border.
    pub fn contains(&self, bbox: &Box) -> bool {
        let (x, y) = self.anchor.of(bbox);
        self.polygon.contains(x, y)
    }

    /// The corners, px.
    pub fn corners(&self) -> &[(f64, f64)] {
        self.polygon.corners()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let corners: Vec<String> = self.polygon.corners().iter().map(|(x, y)| format!("{x} {y}")).collect();
        write!(f, "{} (({}))", self.anchor.word, corners.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_in_a_zone_by_its_anchor() {
        let zone = |anchor: &str| Zone::new("((0 0, 100 0, 100 50, 0 50))", Anchor::named(anchor).unwrap()).unwrap();
        let bbox = Box { x: 40.0, y: 20.0, w: 20.0, h: 40.0 };
        assert!(!zone("bottom_center").contains(&bbox) && zone("center").contains(&bbox));
        assert!(zone("bottom_center").contains(&Box { h: 30.0, ..bbox }));
        let again = Zone::parse(&zone("center").to_string()).unwrap();
        assert_eq!((again.to_string().as_str(), again), ("center ((0 0, 100 0, 100 50, 0 50))", zone("center")));
    }

    #[test]
    fn what_is_no_zone_is_refused_with_the_reason() {
        let refused = |polygon: &str| Zone::new(polygon, Anchor::default()).unwrap_err();
        assert!(refused("((0 0, 10 10))").contains("at least three corners"));
        assert!(refused("((0 0, 10 10, 10 0, 0 10))").contains("its side 1 meets its side 3"));
        assert!(refused("0 0, 1 1, 2 2").contains("is written"));
        // Back on its own way, and a corner twice.
        assert!(refused("((0 0, 10 0, 5 0, 5 5))").contains("crosses itself"));
        assert!(refused("((0 0, 10 0, 10 0, 5 5))").contains("crosses itself"));
        assert!(refused("((0 0, 10 0, 5 0))").contains("crosses itself"));
        assert!(Zone::parse("feet ((0 0, 1 0, 1 1))").is_err() && Zone::parse("").is_err());
    }
}
