//! Tracks: which detections of one frame are the things that were seen in the frames before. No state of a query and no clock is here.

mod assignment;
pub mod kalman;

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::detection::{Box, iou};
use assignment::assign;
use kalman::BoxFilter;

/// How detections are told to be of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Serialize, Deserialize)]
pub enum Method {
    /// All in one go, by overlap (Bewley, Ge, Ott, Ramos and Upcroft: Simple Online and Realtime Tracking, 2016).
    Sort,
    /// The sure ones first; what is left of the tracks then takes the less sure ones (Zhang and others: ByteTrack, 2022).
    Bytetrack,
}

/// What a tracker goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Serialize, Deserialize)]
pub struct Parameters {
    /// How detections are told to be of a track.
    pub method: Method,
    /// How long a track that is not seen is looked for, µs.
    pub max_age_us: i64,
    /// How often something has to be seen before it has an id.
    pub min_hits: u32,
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Sort => "sort",
            Method::Bytetrack => "bytetrack",
        };
        write!(f, "method={method}, max_age={} ms, min_hits={}", self.max_age_us / 1_000, self.min_hits)
    }
}

/// How much a detection has to overlap with where a track is expected.
const LEAST_IOU: f64 = 0.1;
/// How much one that is not sure has to.
const LEAST_IOU_UNSURE: f64 = 0.3;
/// How much it has to where sure and unsure are not told apart.
const LEAST_IOU_OF_ALL: f64 = 0.25;
/// Above it a detection is sure, and may begin a track.
const SURE: f64 = 0.7;
/// Below it one is not looked at.
const LEAST_SCORE: f64 = 0.4;
/// What overlaps so much with something that has a track is not something else.
const SAME_IOU: f64 = 0.4;

/// A detection: where, and how sure the detector is, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Where it is, px.
    pub bbox: Box,
    /// How sure the detector is.
    pub score: f64,
}

impl Seen {
    /// The surest first, then from the left and from above: what a tracker finds does not depend on the order in which it is told.
    fn order(&self, other: &Seen) -> Ordering {
        let sides = |of: &Seen| [of.bbox.x, of.bbox.y, of.bbox.w, of.bbox.h];
        let by_sides = sides(self).iter().zip(sides(other)).map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne());
        other.score.total_cmp(&self.score).then(by_sides.unwrap_or(Ordering::Equal))
    }
}

/// What is known of a detection's track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracked {
    /// Its number, from 1.
    pub id: i64,
    /// Since when it has been seen, µs.
    pub age_us: i64,
    /// How its centre moves, px a second to the right.
    pub vx: f64,
    /// And down.
    pub vy: f64,
}

/// Something that is followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// None until it has been seen often enough.
    pub id: Option<i64>,
    /// When it was first seen, µs.
    pub first_us: i64,
    /// When it was last seen, µs.
    pub last_us: i64,
    /// How often it has been seen.
    pub n_hits: u32,
    /// Where it goes.
    pub filter: BoxFilter,
}

/// What follows the things of one camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracker {
    /// The time of the frame before, µs; None before the first.
    pub last_us: Option<i64>,
    /// How many frames there were.
    pub n_frames: i64,
    /// The next track's number.
    pub next_id: i64,
    /// In the order in which they began.
    pub tracks: Vec<Track>,
}

impl Default for Tracker {
    fn default() -> Tracker {
        Tracker { last_us: None, n_frames: 0, next_id: 1, tracks: Vec::new() }
    }
}

impl Tracker {
    /// The detections of the next frame, perhaps none, and for each what is known of its track; None is one without a track, or whose track
    /// has no id yet. Time is event time: a frame that nobody told of is a longer step, and counts as nothing.
    pub fn step(&mut self, parameters: &Parameters, us: i64, seen: &[Seen]) -> Vec<Option<Tracked>> {
        let mut order: Vec<usize> = (0..seen.len()).collect();
        order.sort_by(|a, b| seen[*a].order(&seen[*b]));
        let sorted: Vec<Seen> = order.iter().map(|at| seen[*at]).collect();
        let mut tracked = vec![None; seen.len()];
        for (at, found) in order.into_iter().zip(self.step_in_order(parameters, us, &sorted)) {
            tracked[at] = found;
        }
        tracked
    }

    /// Lets go of tracks that are not looked for any more at that time.
    pub fn forget(&mut self, us: i64, max_age_us: i64) {
        self.tracks.retain(|track| us.saturating_sub(track.last_us) <= max_age_us);
    }

    fn step_in_order(&mut self, parameters: &Parameters, us: i64, seen: &[Seen]) -> Vec<Option<Tracked>> {
        let seconds = self.last_us.map_or(0.0, |last_us| us.saturating_sub(last_us).max(0) as f64 / 1e6);
        self.last_us = Some(us);
        self.n_frames += 1;
        self.forget(us, parameters.max_age_us);
        self.tracks.iter_mut().for_each(|track| track.filter.predict(seconds));
        let expected: Vec<Box> = self.tracks.iter().map(|track| track.filter.bbox()).collect();
        let mut track_of: Vec<Option<usize>> = vec![None; seen.len()];
        let mut free: Vec<usize> = (0..self.tracks.len()).collect();
        let sure = |one: &Seen| one.score >= SURE;
        let unsure = |one: &Seen| one.score >= LEAST_SCORE && !sure(one);
        match parameters.method {
            Method::Sort => associate(&expected, seen, LEAST_IOU_OF_ALL, |_| true, &mut free, &mut track_of),
            Method::Bytetrack => {
                associate(&expected, seen, LEAST_IOU, sure, &mut free, &mut track_of);
                associate(&expected, seen, LEAST_IOU_UNSURE, unsure, &mut free, &mut track_of);
            }
        }
        let taken: Vec<Box> = seen.iter().zip(&track_of).filter(|(_, track)| track.is_some()).map(|(one, _)| one.bbox).collect();
        for (one, of) in seen.iter().zip(&mut track_of) {
            match of {
                Some(at) => {
                    if let Some(track) = self.tracks.get_mut(*at) {
                        track.filter.update(&one.bbox);
                        track.last_us = us;
                        track.n_hits = track.n_hits.saturating_add(1);
                    }
                }
                None if sure(one) && taken.iter().all(|other| iou(&one.bbox, other) <= SAME_IOU) => {
                    *of = Some(self.tracks.len());
                    let filter = BoxFilter::new(&one.bbox);
                    self.tracks.push(Track { id: None, first_us: us, last_us: us, n_hits: 1, filter });
                }
                None => {}
            }
        }
        // What is there in the first frames cannot have been seen often, and is there all the same.
        let first = self.n_frames <= i64::from(parameters.min_hits);
        for track in self.tracks.iter_mut().filter(|track| track.last_us == us && track.id.is_none()) {
            if first || track.n_hits >= parameters.min_hits {
                track.id = Some(self.next_id);
                self.next_id += 1;
            }
        }
        track_of.into_iter().map(|of| self.tracked(of?)).collect()
    }

    fn tracked(&self, at: usize) -> Option<Tracked> {
        let track = self.tracks.get(at)?;
        let (vx, vy) = track.filter.velocity();
        Some(Tracked { id: track.id?, age_us: track.last_us.saturating_sub(track.first_us), vx, vy })
    }
}

/// Gives those detections that are among `which` to tracks that are still free, so that they overlap most in all; none overlaps less than `least`.
fn associate(
    expected: &[Box],
    seen: &[Seen],
    least: f64,
    which: impl Fn(&Seen) -> bool,
    free: &mut Vec<usize>,
    track_of: &mut [Option<usize>],
) {
    let candidates: Vec<usize> =
        seen.iter().enumerate().filter(|(at, one)| which(one) && track_of[*at].is_none()).map(|(at, _)| at).collect();
    let overlap = |row: usize, column: usize| iou(&expected[free[row]], &seen[candidates[column]].bbox);
    let assigned = assign(free.len(), candidates.len(), |row, column| 1.0 - overlap(row, column));
    let mut left = Vec::new();
    for (row, column) in assigned.into_iter().enumerate() {
        match column.filter(|column| overlap(row, *column) >= least) {
            Some(column) => track_of[candidates[column]] = Some(free[row]),
            None => left.push(free[row]),
        }
    }
    *free = left;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: Parameters = Parameters { method: Method::Bytetrack, max_age_us: 1_500_000, min_hits: 3 };

    fn seen(x: f32, score: f64) -> Seen {
        Seen { bbox: Box { x, y: 100.0, w: 40.0, h: 80.0 }, score }
    }

    /// The ids that one frame after another gives, 25 a second.
    fn ids(tracker: &mut Tracker, first: i64, frames: &[Vec<Seen>]) -> Vec<Vec<Option<i64>>> {
        let step = |(at, frame): (usize, &Vec<Seen>)| {
            let tracked = tracker.step(&PARAMETERS, (first + at as i64) * 40_000, frame);
            tracked.into_iter().map(|one| one.map(|one| one.id)).collect()
        };
        frames.iter().enumerate().map(step).collect()
    }

    #[test]
    fn two_that_pass_each_other_keep_their_ids() {
        // One to the right, the other to the left: they meet in the middle, where the sure one hides the other.
        let frame = |at: i32| {
            let (a, b) = (seen(100.0 + 8.0 * at as f32, 0.9), seen(420.0 - 8.0 * at as f32, 0.8));
            if (18..=22).contains(&at) { vec![a] } else { vec![b, a] }
        };
        let frames: Vec<Vec<Seen>> = (0..40).map(frame).collect();
        let found = ids(&mut Tracker::default(), 0, &frames);
        assert_eq!(found[0], [Some(2), Some(1)]);
        assert!(found.iter().all(|ids| *ids == [Some(2), Some(1)] || *ids == [Some(1)]), "{found:?}");
    }

    #[test]
    fn an_id_comes_with_the_third_time_and_goes_with_its_age() {
        let mut tracker = Tracker::default();
        // The first frames are empty: after them nothing is taken for granted.
        assert_eq!(ids(&mut tracker, 0, &vec![Vec::new(); 3]), vec![Vec::new(); 3]);
        let still = vec![vec![seen(50.0, 0.9)]; 4];
        assert_eq!(ids(&mut tracker, 3, &still), [[None], [None], [Some(1)], [Some(1)]]);
        // One second later it is the same, two seconds later another.
        assert_eq!(ids(&mut tracker, 31, &still[..1]), [[Some(1)]]);
        assert_eq!(ids(&mut tracker, 81, &still[..3]), [[None], [None], [Some(2)]]);
    }

    #[test]
    fn what_is_hardly_seen_goes_on_and_does_not_begin() {
        let mut tracker = Tracker::default();
        let scores = [0.9, 0.9, 0.5, 0.45, 0.9];
        let found = ids(&mut tracker, 0, &scores.map(|score| vec![seen(50.0, score), seen(300.0, 0.5)]));
        assert_eq!(found, [[Some(1), None]; 5]);
        // Beside one that is followed no second of it begins.
        assert_eq!(ids(&mut tracker, 5, &[vec![seen(50.0, 0.9), seen(58.0, 0.8)]]), [[Some(1), None]]);
    }

    #[test]
    fn the_order_of_the_detections_of_a_frame_does_not_matter() {
        let frame =
            |at: i32| -> Vec<Seen> { (0..6).map(|i| seen(30.0 * i as f32 + (at * i) as f32, 0.7 + 0.01 * f64::from(i % 3))).collect() };
        let frames: Vec<Vec<Seen>> = (0..30).map(frame).collect();
        let turned: Vec<Vec<Seen>> = frames.iter().map(|frame| frame.iter().rev().copied().collect()).collect();
        let mut found = ids(&mut Tracker::default(), 0, &turned);
        found.iter_mut().for_each(|ids| ids.reverse());
        assert_eq!(found, ids(&mut Tracker::default(), 0, &frames));
    }
}
