//! Straight lines through bright pixels: each votes for all the lines that it lies on (Duda and Hart 1972).

use std::f64::consts::PI;

/// Angles that are told apart, a degree each.
const N_ANGLES: usize = 180;

/// A line: its points have x cos(theta) + y sin(theta) = rho.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// How far it is from the upper left pixel, px; below 0 where it passes above it on the way to theta.
    pub(super) rho: f64,
    /// The angle between the x axis and the way to it, radians, 0 to pi; 0 is an upright line.
    pub(super) theta: f64,
    /// How many pixels lie on it.
    pub(super) votes: u32,
}

impl Line {
    /// Where it crosses a row; None for a line along it.
    pub(super) fn x_at(&self, y: f64) -> Option<f64> {
        let cos = self.theta.cos();
        (cos.abs() > 1e-9).then(|| (self.rho - y * self.theta.sin()) / cos)
    }

    /// Its two ends at the borders of a picture of that size, the left or upper one first; None if it passes by.
    pub(super) fn ends(&self, width: f64, height: f64) -> Option<[(f64, f64); 2]> {
        let (cos, sin) = (self.theta.cos(), self.theta.sin());
        let (right, bottom) = (width - 1.0, height - 1.0);
        let mut ends: Vec<(f64, f64)> = Vec::new();
        if sin.abs() > 1e-9 {
            ends.extend([0.0, right].map(|x| (x, (self.rho - x * cos) / sin)));
        }
        if cos.abs() > 1e-9 {
            ends.extend([0.0, bottom].map(|y| ((self.rho - y * sin) / cos, y)));
        }
        let inside = |(x, y): &(f64, f64)| (-0.5..=right + 0.5).contains(x) && (-0.5..=bottom + 0.5).contains(y);
        ends.retain(inside);
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        Some([*ends.first()?, *ends.last()?])
    }
}

/// The lines of more than `threshold` pixels, each with more than its neighbours, the strongest first, as OpenCV's HoughLines with steps of a
/// pixel and a degree. `samples` has rows of `width`.
pub(super) fn lines(samples: &[u8], width: usize, threshold: u32) -> Vec<Line> {
    let height = samples.len() / width.max(1);
    let n_distances = 2 * (width + height) + 1;
    let middle = ((n_distances - 1) / 2) as i64;
    let angles: Vec<(f32, f32)> =
        (0..N_ANGLES).map(|n| (n as f64 * PI / N_ANGLES as f64).sin_cos()).map(|(s, c)| (s as f32, c as f32)).collect();
    // A border of nothing all round, so that every cell has four neighbours.
    let row = n_distances + 2;
    let mut votes = vec![0_u32; (N_ANGLES + 2) * row];
    for at in (0..samples.len()).filter(|at| samples[*at] > 0) {
        let (x, y) = ((at % width) as f32, (at / width) as f32);
        for (n, (sin, cos)) in angles.iter().enumerate() {
            let distance = (x * cos + y * sin).round_ties_even() as i64 + middle;
            votes[(n + 1) * row + distance as usize + 1] += 1;
        }
    }
    let mut found: Vec<(u32, usize)> = Vec::new();
    for n in 1..=N_ANGLES {
        for at in n * row + 1..n * row + 1 + n_distances {
            let v = votes[at];
            if v > threshold && v > votes[at - 1] && v >= votes[at + 1] && v > votes[at - row] && v >= votes[at + row] {
                found.push((v, at));
            }
        }
    }
    found.sort_by_key(|(votes, at)| (std::cmp::Reverse(*votes), *at));
    let line = |(votes, at): (u32, usize)| Line {
        rho: (at % row) as f64 - 1.0 - middle as f64,
        theta: (at / row - 1) as f64 * PI / N_ANGLES as f64,
        votes,
    };
    found.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_line_is_the_strongest() {
        let mut samples = vec![0_u8; 60 * 40];
        (0..40).for_each(|y| samples[y * 60 + 17] = 255);
        (5..60).for_each(|x| samples[30 * 60 + x] = 255);
        let found = lines(&samples, 60, 30);
        assert_eq!((found[0].rho, found[0].votes), (30.0, 55));
        assert!((found[0].theta - PI / 2.0).abs() < 1e-9);
        let upright = found.iter().find(|l| l.theta == 0.0).unwrap();
        assert_eq!((upright.rho, upright.votes, upright.x_at(12.0)), (17.0, 40, Some(17.0)));
        assert_eq!(upright.ends(60.0, 40.0), Some([(17.0, 0.0), (17.0, 39.0)]));
        assert!(found[0].x_at(3.0).is_none());
        assert_eq!(Line { rho: 500.0, theta: 0.0, votes: 1 }.ends(60.0, 40.0), None);
        assert!(lines(&[], 0, 0).is_empty() && lines(&[0; 12], 4, 0).is_empty());
    }
}
