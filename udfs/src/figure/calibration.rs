//! A calibration: what the pixels of a flat ground are in metres, known by four of its points.

use std::fmt;

use datafusion_common::{DataFusionError, Result};

use super::anchor::Anchor;
use super::{apart, point};
use crate::detection::Box;
use crate::homography::Homography;

/// A calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Four points of the picture, px, each with its place on the ground, m.
    points: [((f64, f64), (f64, f64)); 4],
    to_ground: Homography,
    /// The depth at the first point: what has one of another sign is above the horizon.
    depth: f64,
    anchor: Anchor,
}

impl Calibration {
    /// A calibration `((x y -> x y, …))` of four points, px to m. Errs with what is wrong with them.
    pub fn new(text: &str, anchor: Anchor) -> Result<Calibration, String> {
        let inner = text.trim().strip_prefix("((").and_then(|rest| rest.strip_suffix("))"));
        let form = "'((x y -> x y, x y -> x y, x y -> x y, x y -> x y))', pixels and then metres";
        let Some(inner) = inner else { return Err(format!("the points of a calibration are written {form}, not '{text}'")) };
        let read = |part: &str| {
            let pair = part.split_once("->").and_then(|(pixel, metre)| Some((point(pixel)?, point(metre)?)));
            pair.ok_or_else(|| format!("a point of a calibration is 'x y -> x y', not '{}'", part.trim()))
        };
        let points = inner.split(',').map(read).collect::<Result<Vec<_>, String>>()?;
        let Ok(points) = <[_; 4]>::try_from(points.as_slice()) else {
            return Err(format!("a calibration has four points, not {}", points.len()));
        };
        let (pixels, metres) = (points.map(|(pixel, _)| pixel), points.map(|(_, metre)| metre));
        let Some(to_ground) = Homography::of(pixels, metres) else {
            return Err("three of the four points lie on a line".to_owned());
        };
        let [depth, ..] = pixels.map(|pixel| to_ground.depth(pixel));
        if pixels.iter().any(|pixel| to_ground.depth(*pixel) * depth <= 0.0) {
            return Err("the four points follow one another otherwise in the picture than on the ground".to_owned());
        }
        Ok(Calibration { points, to_ground, depth, anchor })
    }

    /// Reads what `to_string` has written.
    pub fn parse(text: &str) -> Result<Calibration> {
        let (anchor, points) = apart(text)?;
        Calibration::new(points, anchor).map_err(DataFusionError::Execution)
    }

    /// The point of a box that stands on the ground, px.
    pub fn place(&self, bbox: &Box) -> (f64, f64) {
        self.anchor.of(bbox)
    }

    /// The four points of the picture, px.
    pub fn pixels(&self) -> [(f64, f64); 4] {
        self.points.map(|(pixel, _)| pixel)
    }

    /// Where a pixel of the ground is, m. None above the horizon, where there is no ground.
    pub fn ground(&self, pixel: (f64, f64)) -> Option<(f64, f64)> {
        (self.to_ground.depth(pixel) * self.depth > 0.0).then(|| self.to_ground.apply(pixel))
    }

    /// What a speed in the picture, px a second, is on the ground at that pixel, m/s. None above the horizon.
    pub fn speed(&self, pixel: (f64, f64), speed: (f64, f64)) -> Option<(f64, f64)> {
        self.ground(pixel).map(|_| self.to_ground.speed(pixel, speed))
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points: Vec<String> = self.points.iter().map(|((x, y), (right, up))| format!("{x} {y} -> {right} {up}")).collect();
        write!(f, "{} (({}))", self.anchor.word, points.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A road 6 m wide, seen from above its middle: 20 m of it, narrower the further away.
    const ROAD: &str = "((100 400 -> 0 0, 540 400 -> 6 0, 400 100 -> 6 20, 240 100 -> 0 20))";

    #[test]
    fn pixels_are_metres_on_the_ground_and_none_above_the_horizon() {
        let road = Calibration::new(ROAD, Anchor::default()).unwrap();
        for (pixel, metres) in [((100.0, 400.0), (0.0, 0.0)), ((400.0, 100.0), (6.0, 20.0)), ((320.0, 400.0), (3.0, 0.0))] {
            let found = road.ground(pixel).unwrap();
            assert!((found.0 - metres.0).abs() < 1e-9 && (found.1 - metres.1).abs() < 1e-9, "{found:?}");
        }
        // The sides of the road meet at the horizon: 440 px wide at y = 400, 160 px at y = 100.
        let horizon = 400.0 - 440.0 / (440.0 - 160.0) * 300.0;
        assert!(road.ground((320.0, horizon + 1.0)).unwrap().1 > 100.0);
        assert_eq!(road.ground((320.0, horizon - 1.0)), None);
        assert_eq!(Calibration::parse(&road.to_string()).unwrap(), road);
    }

    #[test]
    fn a_speed_is_what_the_place_changes_by() {
        let road = Calibration::new(ROAD, Anchor::default()).unwrap();
        let (pixel, speed, step) = ((300.0, 250.0), (-12.0, 30.0), 1e-6);
        let found = road.speed(pixel, speed).unwrap();
        let (a, b) = (road.ground(pixel).unwrap(), road.ground((pixel.0 + speed.0 * step, pixel.1 + speed.1 * step)).unwrap());
        assert!((found.0 - (b.0 - a.0) / step).abs() < 1e-3 && (found.1 - (b.1 - a.1) / step).abs() < 1e-3, "{found:?}");
        assert_eq!(road.speed((320.0, -500.0), speed), None);
    }

    #[test]
    fn what_is_no_calibration_is_refused_with_the_reason() {
        let refused = |text: &str| Calibration::new(text, Anchor::default()).unwrap_err();
        assert!(refused("(1 2 -> 3 4)").contains("are written"));
        assert!(refused("((0 0 -> 0 0, 1 0 -> 1 0, 1 1 -> 1 1))").contains("four points, not 3"));
        assert!(refused("((0 0 -> 0 0, 1 0 -> 1 0, 1 1 -> 1 1, 0 1))").contains("not '0 1'"));
        assert!(refused("((0 0 -> 0 0, 1 0 -> 1 0, 2 0 -> 1 1, 0 1 -> 0 1))").contains("on a line"));
        assert!(refused("((0 0 -> 0 0, 1 0 -> 1 0, 1 1 -> 2 0, 0 1 -> 0 1))").contains("on a line"));
        assert!(refused("((0 0 -> 0 0, 10 0 -> 10 10, 10 10 -> 10 0, 0 10 -> 0 10))").contains("follow one another"));
    }
}
