//! Where text is: the graph gives each pixel a probability, what is above a threshold and touches is a line (DB, Liao et al. 2020).

use super::rect::{Point, grown, in_reading_order, inside, least_rectangle, sides};
use crate::frame::Picture;
use crate::model::output::Tensor;
use crate::pixels::{Damaged, Order, render};

/// A picture whose shorter side has fewer pixels is enlarged to it, as small letters are found better.
const SHORTER_SIDE: f32 = 736.0;
/// But no side becomes longer.
const LONGER_SIDE: f32 = 1600.0;
/// The sides of the input are multiples of it.
const STEP: f32 = 32.0;
/// A pixel is text above it.
const PIXEL: f32 = 0.3;
/// A line has this mean probability at least.
const LINE: f32 = 0.5;
/// The network shrinks lines; each is grown by this share of its area over its outline.
const GROWTH: f32 = 1.6;
/// Lines that are thinner than this in the map are none, px.
const THINNEST: f32 = 3.0;
/// The most lines of a picture.
const MAX_LINES: usize = 1000;

/// The input of the graph for a picture: its shape `[1, 3, height, width]` and its numbers, each (value / 255 - 0.5) / 0.5, blue first.
pub(super) fn input(picture: &Picture) -> Result<([usize; 4], Vec<f32>), Damaged> {
    let (width, height) = size(picture.displayed());
    let pixels = render(picture, Order::Bgr, Some((width, height)))?;
    let n = width as usize * height as usize;
    let mut numbers = vec![0.0; 3 * n];
    for (colour, plane) in numbers.chunks_exact_mut(n.max(1)).enumerate() {
        for (number, pixel) in plane.iter_mut().zip(pixels.data.as_slice().chunks_exact(3)) {
            *number = f32::from(pixel.get(colour).copied().unwrap_or(0)) / 127.5 - 1.0;
        }
    }
    Ok(([1, 3, height as usize, width as usize], numbers))
}

/// The size of the input for a picture of that size.
pub(super) fn size((width, height): (u32, u32)) -> (u32, u32) {
    let (w, h) = (width.max(1) as f32, height.max(1) as f32);
    let factor = (SHORTER_SIDE / w.min(h)).max(1.0).min(LONGER_SIDE / w.max(h));
    let side = |pixels: f32| ((pixels * factor / STEP).round() * STEP).max(STEP) as u32;
    (side(w), side(h))
}

/// The lines in the map of probabilities, from the top down and each row from the left, as corners in pixels of the picture of that size.
pub(super) fn lines(map: &Tensor, (width, height): (u32, u32)) -> Result<Vec<[Point; 4]>, String> {
    let [1, 1, rows, columns] = map.shape.as_slice() else {
        return Err(format!("where text is comes as a map [1, 1, height, width], not {:?}", map.shape));
    };
    let (rows, columns) = (*rows, *columns);
    let mask = widened(&map.values, columns);
    let mut found = Vec::new();
    for part in parts(&mask, columns).into_iter().take(MAX_LINES) {
        let points: Vec<Point> = part.iter().map(|at| ((at % columns) as f32, (at / columns) as f32)).collect();
        let Some(corners) = least_rectangle(&points) else { continue };
        let (long, short) = sides(&corners);
        if long.min(short) < THINNEST || mean(&map.values, (columns, rows), &corners) < LINE {
            continue;
        }
        let corners = grown(&corners, long * short * GROWTH / (2.0 * (long + short)));
        let scale = (width as f32 / columns.max(1) as f32, height as f32 / rows.max(1) as f32);
        let placed = |(x, y): Point| ((x * scale.0).clamp(0.0, width as f32), (y * scale.1).clamp(0.0, height as f32));
        let corners = in_reading_order(corners.map(placed));
        let (across, down) = sides(&corners);
        if across > THINNEST && down > THINNEST {
            found.push(corners);
        }
    }
    Ok(sorted(found))
}

/// Text, each pixel of it with those to the right and below.
fn widened(map: &[f32], columns: usize) -> Vec<bool> {
    let text = |at: Option<usize>| at.and_then(|at| map.get(at)).is_some_and(|p| *p > PIXEL);
    let one = |at: usize| {
        let left = (!at.is_multiple_of(columns.max(1))).then_some(1);
        let above = at.checked_sub(columns);
        text(Some(at)) || text(above) || left.is_some_and(|one| text(at.checked_sub(one)) || text(above.and_then(|at| at.checked_sub(one))))
    };
    (0..map.len()).map(one).collect()
}

/// The pixels of each part that touches, also at corners, in the order of their first.
fn parts(mask: &[bool], columns: usize) -> Vec<Vec<usize>> {
    let (mut open, mut all) = (mask.to_vec(), Vec::new());
    let mut take = |at: usize| open.get_mut(at).is_some_and(std::mem::take);
    for start in 0..mask.len() {
        if !take(start) {
            continue;
        }
        let (mut part, mut next) = (vec![start], 0);
        while let Some(at) = part.get(next).copied() {
            next += 1;
            let column = at % columns;
            for row in [at.checked_sub(columns), Some(at), Some(at + columns)].into_iter().flatten() {
                for beside in [(column > 0).then(|| row - 1), Some(row), (column + 1 < columns).then_some(row + 1)].into_iter().flatten() {
                    if take(beside) {
                        part.push(beside);
                    }
                }
            }
        }
        all.push(part);
    }
    all
}

/// The mean probability in a rectangle.
fn mean(map: &[f32], (columns, rows): (usize, usize), corners: &[Point; 4]) -> f32 {
    let side = |of: fn(&Point) -> f32, most: usize| {
        let (least, greatest) = corners.iter().map(of).fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let last = most.saturating_sub(1) as f32;
        (least.floor().clamp(0.0, last) as usize, greatest.ceil().clamp(0.0, last) as usize)
    };
    let ((left, right), (top, bottom)) = (side(|p| p.0, columns), side(|p| p.1, rows));
    let (mut sum, mut n) = (0.0, 0_u32);
    for y in top..=bottom {
        for x in left..=right {
            if inside(corners, (x as f32, y as f32)) {
                sum += map.get(y * columns + x).copied().unwrap_or(0.0);
                n += 1;
            }
        }
    }
    if n == 0 { 0.0 } else { sum / n as f32 }
}

/// From the top down; lines whose tops are within half a line of each other are one row, read from the left.
fn sorted(mut lines: Vec<[Point; 4]>) -> Vec<[Point; 4]> {
    let top = |line: &[Point; 4]| line.iter().map(|p| p.1).fold(f32::INFINITY, f32::min);
    let left = |line: &[Point; 4]| line.iter().map(|p| p.0).fold(f32::INFINITY, f32::min);
    lines.sort_by(|a, b| top(a).total_cmp(&top(b)).then(left(a).total_cmp(&left(b))));
    let mut rows: Vec<Vec<[Point; 4]>> = Vec::new();
    for line in lines {
        let same = |row: &Vec<[Point; 4]>| row.first().is_some_and(|first| top(&line) - top(first) < sides(first).1 / 2.0);
        match rows.last_mut().filter(|row| same(row)) {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| left(a).total_cmp(&left(b)));
    }
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_picture_is_enlarged_a_large_one_is_not_and_sides_are_multiples_of_32() {
        assert_eq!(size((640, 368)), (1280, 736));
        assert_eq!(size((1280, 720)), (1312, 736));
        assert_eq!(size((4000, 3000)), (1600, 1216));
        assert_eq!(size((1000, 10)), (1600, 32));
        assert_eq!(size((1, 1)), (736, 736));
    }

    #[test]
    fn what_is_probable_and_touches_is_a_line_that_is_grown_and_scaled() {
        let (columns, rows) = (64, 32);
        let mut map = Tensor { name: "map".into(), shape: vec![1, 1, rows, columns], values: vec![0.0; rows * columns] };
        let mut field = |left: usize, right: usize, top: usize, bottom: usize, probability: f32| {
            for y in top..bottom {
                for x in left..right {
                    map.values[y * columns + x] = probability;
                }
            }
        };
        field(40, 60, 5, 10, 0.9);
        field(4, 30, 4, 9, 0.9);
        field(4, 30, 20, 24, 0.4);
        field(50, 51, 20, 21, 0.9);
        // A line that is not sure enough, and a spot, are none; the left one of a row comes first.
        let found = lines(&map, (128, 64)).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0][0].0 < found[1][0].0);
        let [top_left, _, bottom_right, _] = found[0];
        // 26 by 5 pixels, and one more each from being widened, centres at 4..30 and 4..9: grown by 26 * 5 * 1.6 / 62.
        let growth = 26.0 * 5.0 * 1.6 / 62.0;
        let near = |a: f32, b: f32| (a - b).abs() < 0.01;
        assert!(near(top_left.0, 2.0 * (4.0 - growth)) && near(top_left.1, 2.0 * (4.0 - growth)), "{top_left:?}");
        assert!(near(bottom_right.0, 2.0 * (30.0 + growth)) && near(bottom_right.1, 2.0 * (9.0 + growth)), "{bottom_right:?}");
        map.shape = vec![1, rows, columns];
        assert!(lines(&map, (128, 64)).is_err());
    }
}
