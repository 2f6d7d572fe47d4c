//! The two lines of a lane in the luma of a road ahead: edges in a trapezium, straight lines through them, and how these bend.

use super::canny::edges;
use super::gaussian_blur::kernel;
use super::hough::{Line, lines};
use super::neighbourhood::{Samples, mirrored, weighted};

/// Where the trapezium begins and ends, of the height: the road, without what is far and without the bonnet.
const ROWS: (f64, f64) = (0.62, 0.95);
/// Its left and right sides at the upper row, and at the lower one, of the width.
const UPPER: (f64, f64) = (0.42, 0.58);
const LOWER: (f64, f64) = (0.02, 0.98);
/// Canny's two limits.
const EDGES: (f64, f64) = (50.0, 150.0);
/// The least pixels of a line, of the trapezium's rows.
const LEAST: f64 = 0.18;
/// How far a lane's line leans at least and at most: columns a row.
const LEAN: (f64, f64) = (0.35, 3.5);
/// How far apart the lines of a lane are at the lower border, of the width; and at the upper row, of that: further away they meet.
const APART: (f64, f64) = (0.3, 1.4);
const MEETING: (f64, f64) = (0.03, 0.65);
/// The strongest lines of a side that are looked at for one that makes a lane with the other side's.
const CANDIDATES: usize = 4;
/// How near to a line its edges are, of the width; and where it bends.
const BESIDE: f64 = 0.03;
const BENT: f64 = 0.05;
/// A bend of less than this share of the width, over the trapezium, is none.
const STRAIGHT: f64 = 0.02;

/// A line of the lane: where it is at the lower border and at the upper row, and how far its upper end bends to the right, all in px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Side {
    lower: (f64, f64),
    upper: (f64, f64),
    bend: f64,
    n_edges: usize,
}

impl Side {
    /// Whether it still leans as a lane's line on that side does.
    fn leans(&self, right: bool) -> bool {
        let lean = (self.lower.0 - self.upper.0) / (self.lower.1 - self.upper.1).max(1.0);
        (lean > 0.0) == right && (LEAN.0..=LEAN.1).contains(&lean.abs())
    }

    /// Its two ends in a picture that is so many times as large, the lower one first.
    pub(super) fn ends(&self, across: f64, down: f64) -> [f32; 4] {
        [self.lower.0 * across, self.lower.1 * down, self.upper.0 * across, self.upper.1 * down].map(|v| v as f32)
    }
}

/// What is found of a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lane {
    pub(super) left: Option<Side>,
    pub(super) right: Option<Side>,
    width: f64,
}

impl Lane {
    /// How far right of the lane's middle that of the picture is at the lower border: px, and of the lane's width.
    pub(super) fn offset(&self) -> Option<(f64, f64)> {
        let (left, right) = (self.left?.lower.0, self.right?.lower.0);
        let offset = (self.width - 1.0) / 2.0 - (left + right) / 2.0;
        Some((offset, offset / (right - left)))
    }

    /// Whether the road bends to the left, -1, or to the right, 1.
    pub(super) fn curvature(&self) -> Option<i32> {
        let sides = [self.left, self.right];
        let n: usize = sides.iter().flatten().map(|s| s.n_edges).sum();
        let bend = sides.iter().flatten().map(|s| s.bend * s.n_edges as f64).sum::<f64>() / n as f64;
        (n > 0).then(|| if bend.abs() < STRAIGHT * self.width { 0 } else { bend.signum() as i32 })
    }
}

/// The lane in luma of rows of `width`.
pub(super) fn lane(luma: &[u8], width: usize) -> Lane {
    let height = luma.len() / width.max(1);
    let none = Lane { left: None, right: None, width: width as f64 };
    if width < 32 || height < 32 {
        return none;
    }
    let samples = Samples { width, height, n: 1, data: luma.into() };
    let mut edges = edges(&weighted(&samples, &kernel(5), mirrored).data, width, EDGES.0, EDGES.1);
    let (top, bottom) = ((ROWS.0 * height as f64) as usize, (ROWS.1 * height as f64) as usize);
    for (y, line) in edges.chunks_exact_mut(width).enumerate() {
        let down = (y as f64 - top as f64) / (bottom - top).max(1) as f64;
        let side = |upper: f64, lower: f64| (upper + (lower - upper) * down) * width as f64;
        let (left, right) = (side(UPPER.0, LOWER.0), side(UPPER.1, LOWER.1));
        let inside = |x: usize| (top..bottom).contains(&y) && (left..right).contains(&(x as f64));
        line.iter_mut().enumerate().filter(|(x, _)| !inside(*x)).for_each(|(_, edge)| *edge = 0);
    }
    let points: Vec<(f64, f64)> =
        edges.iter().enumerate().filter(|(_, e)| **e > 0).map(|(at, _)| ((at % width) as f64, (at / width) as f64)).collect();
    let least = (LEAST * (bottom - top) as f64) as u32;
    let found = lines(&edges, width, least);
    let last = (height - 1) as f64;
    let sides = |right: bool| -> Vec<Side> {
        let middle = width as f64 / 2.0;
        let leans = |line: &&Line| {
            let lean = -line.theta.tan();
            let ours = |place: f64| (lean > 0.0) == right && (place > middle) == right && (LEAN.0..=LEAN.1).contains(&lean.abs());
            // What starts far outside the picture is the next lane's.
            line.x_at(last).is_some_and(|place| ours(place) && place.abs() < 1.5 * width as f64)
        };
        let fitted = |line| fitted(&points, line, (top as f64, last), width as f64);
        found.iter().filter(leans).take(CANDIDATES).filter_map(fitted).filter(|side| side.leans(right)).collect()
    };
    let (left, right) = (sides(false), sides(true));
    let pairs = left.iter().enumerate().flat_map(|(i, l)| right.iter().enumerate().map(move |(j, r)| (i + j, *l, *r)));
    let pair = pairs.filter(|(_, left, right)| are_a_lane(left, right, width as f64)).min_by_key(|(rank, ..)| *rank);
    match (pair, left.first().copied(), right.first().copied()) {
        (Some((_, left, right)), ..) => Lane { left: Some(left), right: Some(right), ..none },
        // Two that are no lane: the one that more edges stand for.
        (None, Some(left), Some(right)) if left.n_edges < right.n_edges => Lane { right: Some(right), ..none },
        (None, Some(left), Some(_)) => Lane { left: Some(left), ..none },
        (None, left, right) => Lane { left, right, ..none },
    }
}

/// Whether two lines are those of one lane: so far apart at the lower border, and nearer to each other further away.
fn are_a_lane(left: &Side, right: &Side, width: f64) -> bool {
    let (near, far) = (right.lower.0 - left.lower.0, right.upper.0 - left.upper.0);
    (APART.0 * width..=APART.1 * width).contains(&near) && (MEETING.0 * near..=MEETING.1 * near).contains(&far)
}

/// A straight line through the edges beside one, and how far a parabola through those a little further away bends from it.
fn fitted(points: &[(f64, f64)], line: &Line, (top, last): (f64, f64), width: f64) -> Option<Side> {
    let beside = |share: f64| -> Vec<(f64, f64)> {
        let near = |(x, y): &&(f64, f64)| line.x_at(*y).is_some_and(|at| (x - at).abs() <= share * width);
        // Rows from the upper one, in heights of the trapezium.
        points.iter().filter(near).map(|(x, y)| (*x, (last - y) / (last - top).max(1.0))).collect()
    };
    let close = beside(BESIDE);
    let [at, lean, _] = parabola(&close, 2)?;
    let bent = beside(BENT);
    let spread = bent.iter().map(|p| p.1).fold((f64::MAX, f64::MIN), |(low, high), t| (low.min(t), high.max(t)));
    // A short dash says nothing of a bend.
    let bend = if spread.1 - spread.0 > 0.5 { parabola(&bent, 3).map_or(0.0, |[_, _, bend]| bend) } else { 0.0 };
    Some(Side { lower: (at, last), upper: (at + lean, top), bend, n_edges: bent.len() })
}

/// x = a + b t + c t² with the least squares, of the first `n` of the three; None if the points do not tell.
fn parabola(points: &[(f64, f64)], n: usize) -> Option<[f64; 3]> {
    let power = |k: i32| points.iter().map(|(_, t)| t.powi(k)).sum::<f64>();
    let mut rows = [[0.0_f64; 4]; 3];
    for (i, row) in rows.iter_mut().enumerate().take(n) {
        (0..n).for_each(|j| row[j] = power((i + j) as i32));
        row[3] = points.iter().map(|(x, t)| x * t.powi(i as i32)).sum();
    }
    for column in 0..n {
        let first = rows[column];
        if first[column].abs() < 1e-9 {
            return None;
        }
        for (_, row) in rows.iter_mut().enumerate().take(n).filter(|(at, _)| *at != column) {
            let factor = row[column] / first[column];
            row.iter_mut().zip(first).for_each(|(value, by)| *value -= factor * by);
        }
    }
    let mut result = [0.0; 3];
    result.iter_mut().enumerate().take(n).for_each(|(at, value)| *value = rows[at][3] / rows[at][at]);
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey road with two white lines that meet at the horizon, and bend by so many px there.
    fn road(width: usize, height: usize, lower: (f64, f64), bend: f64) -> Vec<u8> {
        let horizon = height as f64 * 0.55;
        let shade = |at: usize| {
            let (x, y) = ((at % width) as f64, (at / width) as f64);
            if y < horizon {
                return 180;
            }
            let near = (y - horizon) / (height as f64 - 1.0 - horizon);
            let meet = width as f64 / 2.0;
            let line = |lower: f64| meet + (lower - meet) * near + bend * (1.0 - near).powi(2);
            let white = [lower.0, lower.1].iter().any(|lower| (x - line(*lower)).abs() < 1.0 + 6.0 * near);
            if white { 240 } else { 70 + (at * 7 % 5) as u8 }
        };
        (0..width * height).map(shade).collect()
    }

    #[test]
    fn a_drawn_road_is_found_with_its_offset() {
        for (lower, offset) in [((140.0, 500.0), -0.5), ((100.0, 460.0), 39.5), ((180.0, 540.0), -40.5)] {
            let found = lane(&road(640, 360, lower, 0.0), 640);
            let (left, right) = (found.left.unwrap(), found.right.unwrap());
            assert!((left.lower.0 - lower.0).abs() < 4.0 && (right.lower.0 - lower.1).abs() < 4.0, "{lower:?}: {left:?} {right:?}");
            let (px, share) = found.offset().unwrap();
            assert!((px - offset).abs() < 4.0 && (share - offset / 360.0).abs() < 0.02, "{lower:?}: {px} {share}");
            assert_eq!(found.curvature(), Some(0), "{lower:?}");
        }
    }

    #[test]
    fn a_road_bends_and_a_plain_is_none() {
        assert_eq!(lane(&road(640, 360, (140.0, 500.0), 60.0), 640).curvature(), Some(1));
        assert_eq!(lane(&road(640, 360, (140.0, 500.0), -60.0), 640).curvature(), Some(-1));
        let plain = lane(&[90; 640 * 360], 640);
        assert_eq!((plain.left, plain.right, plain.offset(), plain.curvature()), (None, None, None, None));
        for (width, height) in [(0, 0), (1, 1), (640, 1), (5, 300), (33, 40)] {
            lane(&vec![200; width * height], width);
        }
    }
}
