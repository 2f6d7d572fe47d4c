//! Where points of one picture are in the next: Lucas and Kanade (IJCAI 1981), from coarse to fine (Bouguet 2001).

use std::array::from_fn;

use super::neighbourhood::mirrored;
use crate::model::kernels::{Work, fastest};

/// From one point of the grid to the next, px.
const STEP: usize = 16;
/// Half the side of a window, without its middle, px.
const HALF: isize = 7;
/// The side of a window, px.
const SIDE: usize = 2 * HALF as usize + 1;
/// The same with one more pixel on every side, px.
const WIDE: usize = SIDE + 2;
/// Pictures of a pyramid at most, each half as large as the one before: OpenCV's maxLevel of 3 and the picture itself.
const N_LEVELS: usize = 4;
/// Steps at most by which a point is moved on one level.
const N_STEPS: usize = 20;
/// A point that moves less has arrived, px.
const ARRIVED: f32 = 0.03;
/// The least eigenvalue of the gradients, per pixel of the window and in squares of grey levels, at which a point can be told from its
/// neighbours in both directions.
const TEXTURE: f32 = 4.0;
/// The same on the smaller pictures, where texture is washed out: a rough guess is better than none.
const COARSE_TEXTURE: f32 = 0.1;
/// A point whose window differs by more on average is not where it was found, grey levels.
const LOST: f32 = 30.0;
/// A point that is followed back must come home this near, or it was lost on the way (Kalal, ICPR 2010), px.
const HOME: f32 = 1.0;

/// A picture and smaller ones of it.
pub(super) struct Levels(Vec<Level>);

struct Level {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

impl Levels {
    /// Of luma in rows of `width`.
    pub(super) fn of(luma: &[u8], width: usize) -> Levels {
        let height = luma.len() / width.max(1);
        let mut levels = vec![Level { width, height, data: luma.iter().map(|v| f32::from(*v)).collect() }];
        while let Some(last) = levels.last()
            && levels.len() < N_LEVELS
            && last.width.min(last.height).div_ceil(2) > 2 * HALF as usize + 1
        {
            levels.push(last.half());
        }
        Levels(levels)
    }
}

impl Level {
    /// Half the size: each pixel the mean of 5 by 5, weighed 1 4 6 4 1 each way, as OpenCV's pyrDown.
    fn half(&self) -> Level {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        const WEIGHTS: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
        // Where the five of each pixel are: found once, as it takes a division.
        let around = |at: usize, length: usize| [-2, -1, 0, 1, 2].map(|d| mirrored(2 * at as isize + d, length));
        let columns: Vec<[usize; 5]> = (0..width).map(|x| around(x, self.width)).collect();
        let mut across = Vec::with_capacity(width * self.height);
        for line in self.data.chunks_exact(self.width.max(1)) {
            across.extend(columns.iter().map(|five| five.iter().zip(WEIGHTS).map(|(x, w)| line[*x] * w).sum::<f32>()));
        }
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = around(y, self.height).map(|y| &across[y * width..][..width]);
            data.extend((0..width).map(|x| rows.iter().zip(WEIGHTS).map(|(row, w)| row[x] * w).sum::<f32>()));
        }
        Level { width, height, data }
    }

    /// The values between four pixels each, at these columns and rows; outside they are those of the nearest. What depends on the column alone is found once.
    #[inline(always)]
    fn patch<const N: usize>(&self, (x, y): (impl Fn(usize) -> f32, impl Fn(usize) -> f32)) -> [[f32; N]; N] {
        let between = |at: f32, last: usize| {
            let at = at.clamp(0.0, last as f32);
            let first = at as i32 as usize;
            (first, (first + 1).min(last), at - first as f32)
        };
        let columns: [(usize, usize, f32); N] = from_fn(|column| between(x(column), self.width - 1));
        let mut made = [[0.0; N]; N];
        let fractions = columns.map(|(_, _, fx)| fx);
        // Inside the picture, as most are, they lie side by side: what is loaded at once is.
        let from = columns.first().map_or(0, |(left, ..)| *left);
        let beside = (from..).zip(&columns).all(|(at, (left, right, _))| *left == at && *right == at + 1);
        for (row, made) in made.iter_mut().enumerate() {
            let (top, bottom, fy) = between(y(row), self.height - 1);
            let [upper, lower] = [top, bottom].map(|y| {
                let line = &self.data[y * self.width..][..self.width];
                let mut between = [0.0; N];
                match (
                    beside,
                    line.get(from..).and_then(<[f32]>::first_chunk::<N>),
                    line.get(from + 1..).and_then(<[f32]>::first_chunk::<N>),
                ) {
                    (true, Some(left), Some(right)) => {
                        for (((between, left), right), fx) in between.iter_mut().zip(left).zip(right).zip(&fractions) {
                            *between = left * (1.0 - fx) + right * fx;
                        }
                    }
                    _ => {
                        for (between, (left, right, fx)) in between.iter_mut().zip(&columns) {
                            *between = line[*left] * (1.0 - fx) + line[*right] * fx;
                        }
                    }
                }
                between
            });
            for ((made, upper), lower) in made.iter_mut().zip(&upper).zip(&lower) {
                *made = upper * (1.0 - fy) + lower * fy;
            }
        }
        made
    }

    fn holds(&self, (x, y): (f32, f32)) -> bool {
        x >= 0.0 && y >= 0.0 && x <= (self.width - 1) as f32 && y <= (self.height - 1) as f32
    }
}

/// The mean vector of the points of a grid that are found again, px; None if there are none.
pub(super) fn mean_flow(before: &Levels, now: &Levels) -> Option<(f64, f64)> {
    fastest(Grid { before, now })
}

/// A grid of points to be followed.
struct Grid<'a> {
    before: &'a Levels,
    now: &'a Levels,
}

impl Work for Grid<'_> {
    type Made = Option<(f64, f64)>;

    #[inline(always)]
    fn run(self) -> Option<(f64, f64)> {
        let first = self.before.0.first()?;
        let (mut sum, mut n) = ((0.0, 0.0), 0_u32);
        for y in (STEP / 2..first.height).step_by(STEP) {
            for x in (STEP / 2..first.width).step_by(STEP) {
                if let Some((dx, dy)) = there_and_back(self.before, self.now, (x as f32, y as f32)) {
                    sum = (sum.0 + f64::from(dx), sum.1 + f64::from(dy));
                    n += 1;
                }
            }
        }
        if n > 0 { Some((sum.0 / f64::from(n), sum.1 / f64::from(n))) } else { None }
    }
}

/// How far one point has moved, px; None where it is not followed, or comes home elsewhere.
#[inline(always)]
fn there_and_back(before: &Levels, now: &Levels, point: (f32, f32)) -> Option<(f32, f32)> {
    let (dx, dy) = follow(before, now, point)?;
    let (back_x, back_y) = follow(now, before, (point.0 + dx, point.1 + dy))?;
    ((dx + back_x).hypot(dy + back_y) <= HOME).then_some((dx, dy))
}

/// How far one point has moved, px; None where it has no texture or is lost.
#[inline(always)]
fn follow(before: &Levels, now: &Levels, point: (f32, f32)) -> Option<(f32, f32)> {
    let mut moved = (0.0, 0.0);
    for (level, (before, now)) in before.0.iter().zip(&now.0).enumerate().rev() {
        let scale = 1.0 / (1 << level) as f32;
        let at = (point.0 * scale, point.1 * scale);
        moved = match step(before, now, at, moved, if level > 0 { COARSE_TEXTURE } else { TEXTURE }) {
            Some(moved) => moved,
            // A coarse picture may have lost a texture that the fine one has.
            None if level > 0 => moved,
            None => return None,
        };
        if level > 0 {
            moved = (moved.0 * 2.0, moved.1 * 2.0);
        }
    }
    Some(moved)
}

/// The move on one level, from a first guess; None where there is less texture, or the point is lost.
#[inline(always)]
fn step(before: &Level, now: &Level, at: (f32, f32), guess: (f32, f32), texture: f32) -> Option<(f32, f32)> {
    let n = (2 * HALF + 1).pow(2) as f32;
    // One more on every side, for the gradients: each value is one of five windows and found once.
    let from_middle = |place: usize| (place as isize - HALF - 1) as f32;
    let values: [[f32; WIDE]; WIDE] = before.patch((|column| at.0 + from_middle(column), |row| at.1 + from_middle(row)));
    let (mut across, mut down) = ([[0.0; SIDE]; SIDE], [[0.0; SIDE]; SIDE]);
    for (([above, here, under], across), down) in values.array_windows().zip(&mut across).zip(&mut down) {
        let places = here.array_windows().zip(&above[1..]).zip(&under[1..]);
        for ((across, down), (([left, _, right], above), under)) in across.iter_mut().zip(down).zip(places) {
            (*across, *down) = ((right - left) / 2.0, (under - above) / 2.0);
        }
    }
    let (mut xx, mut xy, mut yy) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (ix, iy) in across.iter().flatten().zip(down.iter().flatten()) {
        (xx, xy, yy) = (xx + ix * ix, xy + ix * iy, yy + iy * iy);
    }
    let least = (xx + yy - ((xx - yy).powi(2) + 4.0 * xy * xy).sqrt()) / 2.0;
    if least / n < texture {
        return None;
    }
    let determinant = xx * yy - xy * xy;
    let mut moved = guess;
    let mut residual = 0.0;
    for _ in 0..N_STEPS {
        if !now.holds((at.0 + moved.0, at.1 + moved.1)) {
            return None;
        }
        let (mut bx, mut by) = (0.0, 0.0);
        residual = 0.0;
        let there: [[f32; SIDE]; SIDE] =
            now.patch((|column| at.0 + from_middle(column + 1) + moved.0, |row| at.1 + from_middle(row + 1) + moved.1));
        for (((there, here), across), down) in there.iter().zip(&values[1..]).zip(&across).zip(&down) {
            for (((there, here), ix), iy) in there.iter().zip(&here[1..]).zip(across).zip(down) {
                let difference = here - there;
                (bx, by) = (bx + difference * ix, by + difference * iy);
                residual += difference.abs();
            }
        }
        let (dx, dy) = ((yy * bx - xy * by) / determinant, (xx * by - xy * bx) / determinant);
        moved = (moved.0 + dx, moved.1 + dy);
        if dx * dx + dy * dy < ARRIVED * ARRIVED {
            break;
        }
    }
    (residual / n < LOST).then_some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(width: usize, height: usize, moved: (f64, f64)) -> Vec<u8> {
        let value = |at: usize| {
            let (x, y) = ((at % width) as f64 - moved.0, (at / width) as f64 - moved.1);
            (128.0 + 50.0 * (x / 6.0).sin() * (y / 8.0).cos() + 40.0 * ((x + 2.0 * y) / 23.0).sin()) as u8
        };
        (0..width * height).map(value).collect()
    }

    #[test]
    fn a_picture_that_moves_as_a_whole_is_followed() {
        let before = Levels::of(&ground(160, 120, (0.0, 0.0)), 160);
        for moved in [(0.0, 0.0), (1.5, -0.75), (-4.0, 3.0), (7.0, 6.0)] {
            let (dx, dy) = mean_flow(&before, &Levels::of(&ground(160, 120, moved), 160)).unwrap();
            assert!((dx - moved.0).abs() < 0.15 && (dy - moved.1).abs() < 0.15, "{moved:?}: {dx} {dy}");
        }
    }

    /// Noise that is smoothed over 9 by 9 pixels: it has no period by which a point could be taken for another.
    fn texture(moved: (i32, i32)) -> Vec<u8> {
        let noise = |x: i32, y: i32| {
            let h = x.cast_unsigned().wrapping_mul(374_761_393) ^ y.cast_unsigned().wrapping_mul(668_265_263);
            let h = (h ^ h >> 13).wrapping_mul(1_274_126_177);
            f64::from((h ^ h >> 16) & 255)
        };
        let value = |at: i32| {
            let (x, y) = (at % 320 - moved.0, at / 320 - moved.1);
            let mean = (-4..=4).flat_map(|dy| (-4..=4).map(move |dx| noise(x + dx, y + dy))).sum::<f64>() / 81.0;
            (128.0 + (mean - 128.0) * 6.0).clamp(0.0, 255.0) as u8
        };
        (0..320 * 240).map(value).collect()
    }

    #[test]
    fn twelve_pixels_are_followed_in_one_step_and_points_that_are_lost_do_not_count() {
        let before = Levels::of(&texture((0, 0)), 320);
        for moved in [(12, 0), (-12, 5), (3, -12)] {
            let (dx, dy) = mean_flow(&before, &Levels::of(&texture(moved), 320)).unwrap();
            assert!((dx - f64::from(moved.0)).abs() < 0.2 && (dy - f64::from(moved.1)).abs() < 0.2, "{moved:?}: {dx} {dy}");
        }
    }

    #[test]
    fn a_patch_is_what_its_points_are_one_by_one() {
        let level = Level { width: 20, height: 9, data: (0..180).map(|at| (at * at * 37 % 251) as f32 * 1.01).collect() };
        let one = |x: f32, y: f32| {
            let (x, y) = (x.clamp(0.0, 19.0), y.clamp(0.0, 8.0));
            let (left, top) = (x.floor() as usize, y.floor() as usize);
            let (fx, fy) = (x - left as f32, y - top as f32);
            let row = |y: usize| level.data[y * 20 + left] * (1.0 - fx) + level.data[y * 20 + (left + 1).min(19)] * fx;
            row(top) * (1.0 - fy) + row((top + 1).min(8)) * fy
        };
        for at in [(3.3, 2.7), (-4.1, 0.9), (15.5, 7.99), (19.0, 8.0), (30.0, -30.0)] {
            let place = |first: f32, at: usize| first + at as f32;
            let patch: [[f32; 5]; 5] = level.patch((|column| place(at.0, column), |row| place(at.1, row)));
            let expected: [[f32; 5]; 5] = from_fn(|row| from_fn(|column| one(place(at.0, column), place(at.1, row))));
            assert_eq!(patch, expected, "{at:?}");
        }
    }

    #[test]
    fn what_has_no_texture_is_not_followed() {
        let flat = Levels::of(&[90; 160 * 120], 160);
        assert_eq!(mean_flow(&flat, &flat), None);
        // A stripe can be followed across and not along.
        let stripes: Vec<u8> = (0..160 * 120).map(|at| if at % 160 / 10 % 2 == 0 { 40 } else { 200 }).collect();
        assert_eq!(mean_flow(&Levels::of(&stripes, 160), &Levels::of(&stripes, 160)), None);
        for (width, height) in [(1, 1), (3, 50), (50, 3), (17, 17)] {
            let tiny = Levels::of(&ground(width, height, (0.0, 0.0)), width);
            mean_flow(&tiny, &tiny);
        }
        assert_eq!(mean_flow(&Levels::of(&[], 0), &Levels::of(&[], 0)), None);
    }
}
