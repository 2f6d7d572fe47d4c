//! The point of a box that is held against a figure: where a person stands is the middle of the lower edge.

use crate::detection::Box;

/// A point of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anchor {
    /// Its name.
    pub word: &'static str,
    /// How far to the right it is, as a share of the width.
    right: f64,
    /// How far down, as a share of the height.
    down: f64,
}

/// The anchors; the first is that of a figure that names none.
pub const ANCHORS: [Anchor; 9] = [
    Anchor { word: "bottom_center", right: 0.5, down: 1.0 },
    Anchor { word: "center", right: 0.5, down: 0.5 },
    Anchor { word: "top_center", right: 0.5, down: 0.0 },
    Anchor { word: "bottom_left", right: 0.0, down: 1.0 },
    Anchor { word: "bottom_right", right: 1.0, down: 1.0 },
    Anchor { word: "center_left", right: 0.0, down: 0.5 },
    Anchor { word: "center_right", right: 1.0, down: 0.5 },
    Anchor { word: "top_left", right: 0.0, down: 0.0 },
    Anchor { word: "top_right", right: 1.0, down: 0.0 },
];

impl Default for Anchor {
    fn default() -> Anchor {
        let [first, ..] = ANCHORS;
        first
    }
}

impl Anchor {
    /// The anchor of that name.
    pub fn named(word: &str) -> Option<Anchor> {
        ANCHORS.into_iter().find(|anchor| anchor.word == word)
    }

    /// Where it is in a box, px.
    pub fn of(&self, bbox: &Box) -> (f64, f64) {
        let at = |start: f32, length: f32, share: f64| f64::from(start) + f64::from(length) * share;
        (at(bbox.x, bbox.w, self.right), at(bbox.y, bbox.h, self.down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_points_of_the_box() {
        let bbox = Box { x: 10.0, y: 20.0, w: 4.0, h: 8.0 };
        let at = |word: &str| Anchor::named(word).unwrap().of(&bbox);
        assert_eq!([at("bottom_center"), at("center"), at("top_left")], [(12.0, 28.0), (12.0, 24.0), (10.0, 20.0)]);
        assert_eq!([at("center_right"), at("bottom_right")], [(14.0, 24.0), (14.0, 28.0)]);
        assert_eq!((Anchor::default().word, Anchor::named("feet")), ("bottom_center", None));
    }
}
