//! A second tracker, written to be believed and not to be fast: whole matrices, every assignment tried, one rule after the other as docs/sql.md says them.

use framesql_udfs::detection::{Box as Bbox, iou};
use framesql_udfs::track::{Method, Parameters, Seen};

type Matrix = Vec<Vec<f64>>;

fn matrix(n_rows: usize, n_columns: usize, of: impl Fn(usize, usize) -> f64) -> Matrix {
    (0..n_rows).map(|row| (0..n_columns).map(|column| of(row, column)).collect()).collect()
}

fn times(a: &Matrix, b: &Matrix) -> Matrix {
    matrix(a.len(), b[0].len(), |row, column| (0..b.len()).map(|at| a[row][at] * b[at][column]).sum())
}

fn turned(a: &Matrix) -> Matrix {
    matrix(a[0].len(), a.len(), |row, column| a[column][row])
}

fn plus(a: &Matrix, b: &Matrix, sign: f64) -> Matrix {
    matrix(a.len(), a[0].len(), |row, column| a[row][column] + sign * b[row][column])
}

/// By Gauss and Jordan.
fn inverse(a: &Matrix) -> Matrix {
    let n = a.len();
    let mut both = matrix(n, 2 * n, |row, column| if column < n { a[row][column] } else { f64::from(u8::from(column - n == row)) });
    for at in 0..n {
        let pivot = (at..n).max_by(|a, b| both[*a][at].abs().total_cmp(&both[*b][at].abs())).unwrap();
        both.swap(at, pivot);
        let whole = both[at][at];
        both[at].iter_mut().for_each(|x| *x /= whole);
        for row in (0..n).filter(|row| *row != at) {
            let factor = both[row][at];
            let pivot = both[at].clone();
            both[row].iter_mut().zip(pivot).for_each(|(x, y)| *x -= factor * y);
        }
    }
    matrix(n, n, |row, column| both[row][n + column])
}

/// Centre, width, height; then how each changes a second.
struct Track {
    id: Option<i64>,
    seen_at: i64,
    n_hits: u32,
    state: Matrix,
    covariance: Matrix,
}

fn square(x: f64) -> f64 {
    x * x
}

fn measured(bbox: &Bbox) -> Matrix {
    let (x, y, w, h) = (f64::from(bbox.x), f64::from(bbox.y), f64::from(bbox.w), f64::from(bbox.h));
    matrix(4, 1, |row, _| [x + w / 2.0, y + h / 2.0, w, h][row])
}

impl Track {
    fn new(bbox: &Bbox, us: i64) -> Track {
        let (seen, h) = (measured(bbox), f64::from(bbox.h).max(1.0));
        let state = matrix(8, 1, |row, _| if row < 4 { seen[row][0] } else { 0.0 });
        let variance = |at: usize| square(h * [0.03, 0.03, 0.03, 0.03, 4.7, 4.7, 2.0, 2.0][at]);
        let covariance = matrix(8, 8, |row, column| if row == column { variance(row) } else { 0.0 });
        Track { id: None, seen_at: us, n_hits: 1, state, covariance }
    }

    fn height(&self) -> f64 {
        self.state[3][0].max(1.0)
    }

    fn predict(&mut self, seconds: f64) {
        let h = self.height();
        let on = |row: usize, column: usize| if row + 4 == column { seconds } else { 0.0 };
        let step = matrix(8, 8, |row, column| if row == column { 1.0 } else { on(row, column) });
        let strayed = |at: usize| square(h * if at < 4 { 0.5 } else { 0.78 }) * seconds;
        let noise = matrix(8, 8, |row, column| if row == column { strayed(row) } else { 0.0 });
        self.state = times(&step, &self.state);
        self.covariance = plus(&times(&times(&step, &self.covariance), &turned(&step)), &noise, 1.0);
    }

    fn update(&mut self, bbox: &Bbox, us: i64) {
        let h = self.height();
        let looks = matrix(4, 8, |row, column| f64::from(u8::from(row == column)));
        let noise = matrix(4, 4, |row, column| if row == column { square(0.03 * h) } else { 0.0 });
        let off = plus(&measured(bbox), &times(&looks, &self.state), -1.0);
        let sure = plus(&times(&times(&looks, &self.covariance), &turned(&looks)), &noise, 1.0);
        let gain = times(&times(&self.covariance, &turned(&looks)), &inverse(&sure));
        self.state = plus(&self.state, &times(&gain, &off), 1.0);
        let less = times(&times(&gain, &looks), &self.covariance);
        self.covariance = plus(&self.covariance, &less, -1.0);
        (self.seen_at, self.n_hits) = (us, self.n_hits + 1);
    }

    fn bbox(&self) -> Bbox {
        let [cx, cy, w, h] = [0, 1, 2, 3].map(|at| self.state[at][0]);
        let (w, h) = (w.max(0.0), h.max(0.0));
        Bbox { x: (cx - w / 2.0) as f32, y: (cy - h / 2.0) as f32, w: w as f32, h: h as f32 }
    }
}

/// The pairs of tracks and detections that overlap most in all, by trying all ways.
fn best(overlaps: &Matrix, track: usize, taken: &mut Vec<bool>) -> (f64, Vec<(usize, usize)>) {
    if track == overlaps.len() {
        return (0.0, Vec::new());
    }
    let (mut most, mut pairs) = best(overlaps, track + 1, taken);
    for column in 0..taken.len() {
        if !taken[column] && overlaps[track][column] > 0.0 {
            taken[column] = true;
            let (total, mut found) = best(overlaps, track + 1, taken);
            taken[column] = false;
            if total + overlaps[track][column] > most {
                most = total + overlaps[track][column];
                found.push((track, column));
                pairs = found;
            }
        }
    }
    (most, pairs)
}

/// Of each frame's detections, in their order, the id and how fast it moves to the right.
pub(super) fn follow(parameters: &Parameters, frames: &[(i64, Vec<Seen>)]) -> Vec<Vec<Option<(i64, f64)>>> {
    let (mut tracks, mut next_id, mut before): (Vec<Track>, i64, Option<i64>) = (Vec::new(), 1, None);
    let mut answers = Vec::new();
    for (n_before, (us, seen)) in frames.iter().enumerate() {
        let mut order: Vec<usize> = (0..seen.len()).collect();
        let place = |at: &usize| (seen[*at].bbox.x, seen[*at].bbox.y);
        order.sort_by(|a, b| seen[*b].score.total_cmp(&seen[*a].score).then(place(a).partial_cmp(&place(b)).unwrap()));
        tracks.retain(|track| us - track.seen_at <= parameters.max_age_us);
        let seconds = before.map_or(0.0, |before| (us - before) as f64 / 1e6);
        tracks.iter_mut().for_each(|track| track.predict(seconds));
        before = Some(*us);
        let mut found: Vec<Option<usize>> = vec![None; seen.len()];
        let rounds: &[(f64, f64, f64)] = match parameters.method {
            Method::Sort => &[(f64::NEG_INFINITY, f64::INFINITY, 0.25)],
            Method::Bytetrack => &[(0.7, f64::INFINITY, 0.1), (0.4, 0.7, 0.3)],
        };
        let expected: Vec<Bbox> = tracks.iter().map(Track::bbox).collect();
        for (from, to, least) in rounds {
            let free: Vec<usize> = (0..tracks.len()).filter(|track| !found.contains(&Some(*track))).collect();
            let open: Vec<usize> =
                order.iter().copied().filter(|at| (*from..*to).contains(&seen[*at].score) && found[*at].is_none()).collect();
            if free.is_empty() || open.is_empty() {
                continue;
            }
            let overlaps = matrix(free.len(), open.len(), |row, column| iou(&expected[free[row]], &seen[open[column]].bbox));
            for (row, column) in best(&overlaps, 0, &mut vec![false; open.len()]).1 {
                if overlaps[row][column] >= *least {
                    found[open[column]] = Some(free[row]);
                }
            }
        }
        let taken: Vec<Bbox> = (0..seen.len()).filter(|at| found[*at].is_some()).map(|at| seen[at].bbox).collect();
        for at in &order {
            let bbox = &seen[*at].bbox;
            if let Some(track) = found[*at] {
                tracks[track].update(bbox, *us);
            } else if seen[*at].score >= 0.7 && taken.iter().all(|other| iou(bbox, other) <= 0.4) {
                found[*at] = Some(tracks.len());
                tracks.push(Track::new(bbox, *us));
            }
        }
        for track in tracks.iter_mut().filter(|track| track.seen_at == *us && track.id.is_none()) {
            if track.n_hits >= parameters.min_hits || n_before < parameters.min_hits as usize {
                track.id = Some(next_id);
                next_id += 1;
            }
        }
        let answer = |of: &Option<usize>| of.and_then(|track| Some((tracks[track].id?, tracks[track].state[4][0])));
        answers.push(found.iter().map(answer).collect());
    }
    answers
}
