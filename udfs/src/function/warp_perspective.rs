//! `warp_perspective(frame, corners text, width int4, height int4) -> FRAME`: a slanted rectangle of the picture, seen from the front.

use arrow::array::ArrayRef;
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;
use crate::frame::frame_type;
use crate::pixels::MAX_PIXELS;
use crate::polygon::Polygon;

/// The longest side that is made, px.
const LONGEST_SIDE: i32 = 16_384;

sql_function!(
    WarpPerspective, "warp_perspective", arguments: [Frame, Text, Int, Int], required: 4, returns: frame_type(),
    syntax: "warp_perspective(frame, corners text, width int4, height int4) -> FRAME",
    description: "The part of the picture between four corners, ((x y, x y, x y, x y)) in pixels, as a picture of width by height pixels: the first corner becomes the middle of its upper left pixel, the others follow clockwise, as OpenCV's getPerspectiveTransform and warpPerspective, bilinear. A number plate or a sheet of paper seen from the side is \
straightened so. What lies outside the picture is black. Sides are 2 to 16384; corners of which three lie on a line, and other values, are an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived; boxes found in it are in its own pixels.",
    example: "SELECT jpeg(warp_perspective(frame, '((10 10, 200 30, 210 140, 5 120))', 200, 120)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let (Some(corners), Some(width), Some(height)) = (arguments.text(1, row), arguments.int(2, row), arguments.int(3, row)) else {
            return Ok(None);
        };
        let side = |side: i32| (2..=LONGEST_SIDE).contains(&side);
        if !side(width) || !side(height) || width as u64 * height as u64 > MAX_PIXELS {
            return exec_err!("warp_perspective needs sides of 2 to {LONGEST_SIDE} pixels");
        }
        let polygon = Polygon::parse(corners)?;
        let &[a, b, c, d] = polygon.corners() else {
            return exec_err!("warp_perspective needs four corners, not {}", polygon.corners().len());
        };
        let (width, height) = (width as usize, height as usize);
        let Some(way) = way([a, b, c, d], (width - 1) as f64, (height - 1) as f64) else {
            return exec_err!("warp_perspective needs four corners of which no three lie on a line");
        };
        let samples = Samples::rgb(&decoder.decode(picture)?)?;
        Ok(Some(seen(&samples, &way, width, height).into_picture()))
    })
}

/// The eight numbers that lead from the rectangle (0, 0) to (right, bottom) to the corners; None if three of these lie on a line.
fn way(corners: [(f64, f64); 4], right: f64, bottom: f64) -> Option<[f64; 8]> {
    let [a, b, c, d] = corners;
    let turn = |a: (f64, f64), b: (f64, f64), c: (f64, f64)| (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0);
    if [turn(a, b, c), turn(b, c, d), turn(c, d, a), turn(d, a, b)].iter().any(|t| t.abs() < 1e-9) {
        return None;
    }
    let places = [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)];
    // x = (h0 u + h1 v + h2) / (h6 u + h7 v + 1) and the same of y: two rows a corner.
    let mut rows = [[0.0_f64; 9]; 8];
    for (at, ((u, v), (x, y))) in places.into_iter().zip(corners).enumerate() {
        rows[2 * at] = [u, v, 1.0, 0.0, 0.0, 0.0, -u * x, -v * x, x];
        rows[2 * at + 1] = [0.0, 0.0, 0.0, u, v, 1.0, -u * y, -v * y, y];
    }
    // Gauss and Jordan, the largest of a column first.
    for column in 0..8 {
        let pivot = (column..8).max_by(|i, j| rows[*i][column].abs().total_cmp(&rows[*j][column].abs()))?;
        rows.swap(column, pivot);
        let first = rows[column];
        if first[column].abs() < 1e-12 {
            return None;
        }
        for (_, row) in rows.iter_mut().enumerate().filter(|(at, _)| *at != column) {
            let factor = row[column] / first[column];
            row.iter_mut().zip(first).for_each(|(value, by)| *value -= factor * by);
        }
    }
    let mut way = [0.0; 8];
    way.iter_mut().enumerate().for_each(|(at, h)| *h = rows[at][8] / rows[at][at]);
    Some(way)
}

fn seen(samples: &Samples, way: &[f64; 8], width: usize, height: usize) -> Samples {
    let &[h0, h1, h2, h3, h4, h5, h6, h7] = way;
    let mut data = Vec::with_capacity(width * height * samples.n);
    for v in 0..height {
        for u in 0..width {
            let (u, v) = (u as f64, v as f64);
            let depth = h6 * u + h7 * v + 1.0;
            let at = ((h0 * u + h1 * v + h2) / depth, (h3 * u + h4 * v + h5) / depth);
            (0..samples.n).for_each(|c| data.push(between(samples, at, c)));
        }
    }
    Samples { width, height, n: samples.n, data }
}

/// A sample between four pixels; black outside.
fn between(samples: &Samples, (x, y): (f64, f64), channel: usize) -> u8 {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (x - left, y - top);
    let at = |x: f64, y: f64| {
        let inside = x >= 0.0 && y >= 0.0 && x < samples.width as f64 && y < samples.height as f64;
        if inside { f64::from(samples.data[(y as usize * samples.width + x as usize) * samples.n + channel]) } else { 0.0 }
    };
    let row = |y: f64| at(left, y) * (1.0 - fx) + at(left + 1.0, y) * fx;
    (row(top) * (1.0 - fy) + row(top + 1.0) * fy).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_lead_to_corners() {
        let corners = [(10.0, 10.0), (200.0, 30.0), (210.0, 140.0), (5.0, 120.0)];
        let [h0, h1, h2, h3, h4, h5, h6, h7] = way(corners, 99.0, 49.0).unwrap();
        for ((u, v), (x, y)) in [(0.0, 0.0), (99.0, 0.0), (99.0, 49.0), (0.0, 49.0)].into_iter().zip(corners) {
            let depth = h6 * u + h7 * v + 1.0;
            let found = ((h0 * u + h1 * v + h2) / depth, (h3 * u + h4 * v + h5) / depth);
            assert!((found.0 - x).abs() < 1e-6 && (found.1 - y).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(way([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (0.0, 5.0)], 9.0, 9.0), None);
        assert_eq!(way([(0.0, 0.0); 4], 9.0, 9.0), None);
    }
}
