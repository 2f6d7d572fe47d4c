//! A Kalman filter over a box: its centre, width and height, each with a velocity, which do not lean on one another.
//!
//! Time is in seconds and noise is per second, so that a camera of 5 frames a second, or a gap, needs no other numbers. What is noise in pixels
//! is told in heights of the box: what is near is large, and moves more.

use crate::detection::Box;

/// How sure a detector's edges are: standard deviation, in heights.
const MEASURED: f64 = 0.03;
/// How far something strays from going on as it did: standard deviation after a second, in heights.
const STRAYED: f64 = 0.5;
/// How much it changes its velocity: standard deviation after a second, in heights a second.
const TURNED: f64 = 0.78;
/// How fast it may be when it is first seen: standard deviation, in heights a second.
const AT_FIRST: f64 = 4.7;
/// How fast it may grow or shrink then, likewise: things pass a camera faster than they come nearer.
const GROWING_AT_FIRST: f64 = 2.0;

/// How many numbers a filter is.
pub const N_NUMBERS: usize = 20;

/// One quantity: where it is, how fast it changes a second, and how far both may be off (the upper half of their covariance).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quantity {
    at: f64,
    speed: f64,
    variances: [f64; 3],
}

impl Quantity {
    fn new(at: f64, at_first: f64, height: f64) -> Quantity {
        Quantity { at, speed: 0.0, variances: [square(MEASURED * height), 0.0, square(at_first * height)] }
    }

    /// Constant velocity, with white noise on both: x' = F x, P' = F P Fᵀ + Q.
    fn predict(&mut self, seconds: f64, height: f64) {
        let [at, both, speed] = self.variances;
        self.at += self.speed * seconds;
        self.variances = [
            at + seconds * (2.0 * both + seconds * speed) + square(STRAYED * height) * seconds,
            both + seconds * speed,
            speed + square(TURNED * height) * seconds,
        ];
    }

    fn update(&mut self, seen: f64, height: f64) {
        let [at, both, speed] = self.variances;
        let sure = at + square(MEASURED * height);
        let (gain, gain_speed) = (at / sure, both / sure);
        let off = seen - self.at;
        self.at += gain * off;
        self.speed += gain_speed * off;
        self.variances = [at * (1.0 - gain), both * (1.0 - gain), speed - gain_speed * both];
    }
}

fn square(x: f64) -> f64 {
    x * x
}

/// Where a box is, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxFilter([Quantity; 4]);

/// Centre, width and height.
fn quantities(bbox: &Box) -> [f64; 4] {
    let (x, y, w, h) = (f64::from(bbox.x), f64::from(bbox.y), f64::from(bbox.w), f64::from(bbox.h));
    [x + w / 2.0, y + h / 2.0, w, h]
}

impl BoxFilter {
    /// Something seen for the first time.
    pub fn new(bbox: &Box) -> BoxFilter {
        let [cx, cy, w, h] = quantities(bbox);
        let seen = [(cx, AT_FIRST), (cy, AT_FIRST), (w, GROWING_AT_FIRST), (h, GROWING_AT_FIRST)];
        BoxFilter(seen.map(|(at, at_first)| Quantity::new(at, at_first, h.max(1.0))))
    }

    /// So many seconds later, unseen.
    pub fn predict(&mut self, seconds: f64) {
        let height = self.height();
        self.0.iter_mut().for_each(|quantity| quantity.predict(seconds, height));
    }

    /// It is seen here.
    pub fn update(&mut self, bbox: &Box) {
        let height = self.height();
        self.0.iter_mut().zip(quantities(bbox)).for_each(|(quantity, seen)| quantity.update(seen, height));
    }

    /// Where it is taken to be, px.
    pub fn bbox(&self) -> Box {
        let [cx, cy, w, h] = self.0.map(|quantity| quantity.at);
        let (w, h) = (w.max(0.0), h.max(0.0));
        Box { x: (cx - w / 2.0) as f32, y: (cy - h / 2.0) as f32, w: w as f32, h: h as f32 }
    }

    /// How its centre moves: to the right and down, px a second.
    pub fn velocity(&self) -> (f64, f64) {
        (self.0[0].speed, self.0[1].speed)
    }

    /// Noise never vanishes with the height: a filter that is sure of all takes nothing in any more.
    fn height(&self) -> f64 {
        self.0[3].at.max(1.0)
    }

    /// All that it knows, to be kept.
    pub fn numbers(&self) -> [f64; N_NUMBERS] {
        let mut all = [0.0; N_NUMBERS];
        for (of, Quantity { at, speed, variances: [a, b, c] }) in all.chunks_exact_mut(5).zip(self.0) {
            of.copy_from_slice(&[at, speed, a, b, c]);
        }
        all
    }

    /// A filter that knows what one of those numbers knew.
    pub fn of_numbers(all: &[f64]) -> BoxFilter {
        let number = |at: usize| all.get(at).copied().unwrap_or(0.0);
        let quantity = |of: usize| {
            let first = of * 5;
            Quantity { at: number(first), speed: number(first + 1), variances: [number(first + 2), number(first + 3), number(first + 4)] }
        };
        BoxFilter(std::array::from_fn(quantity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_as_it_did_is_expected_where_it_is() {
        let at = |frame: usize| Box { x: 100.0 + 6.0 * frame as f32, y: 50.0 - 2.0 * frame as f32, w: 40.0, h: 80.0 };
        let mut filter = BoxFilter::new(&at(0));
        for frame in 1..30 {
            filter.predict(0.04);
            filter.update(&at(frame));
        }
        let (vx, vy) = filter.velocity();
        assert!((vx - 150.0).abs() < 1.0 && (vy + 50.0).abs() < 1.0, "{vx} {vy}");
        // Half a second unseen: twelve frames and a half further.
        filter.predict(0.5);
        let found = filter.bbox();
        assert!((found.x - 349.0).abs() < 2.0 && (found.y + 33.0).abs() < 2.0 && (found.w - 40.0).abs() < 0.5, "{found:?}");
        assert_eq!(BoxFilter::of_numbers(&filter.numbers()), filter);
    }
}
