//! `canny(frame [, low float8 [, high float8]]) -> FRAME`: the edges of the picture.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{gradients, nearest};
use crate::frame::frame_type;
use crate::pixels::{luma, mapped};

sql_function!(
    Canny, "canny", arguments: [Frame, Float, Float], required: 1, returns: frame_type(),
    syntax: "canny(frame [, low float8 [, high float8]]) -> FRAME",
    description: "The edges, white on black and one pixel wide, as OpenCV's Canny: where the gradient of the luma is above high (150 unless given), and from there on as long as it stays above low (50 unless given). The gradient is the sum of its two amounts by Sobel's 3 by 3. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(canny(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let or = |at: usize, default: f64| if arguments.given(at) { arguments.float(at, row) } else { Some(default) };
        let (Some(low), Some(high)) = (or(1, 50.0), or(2, 150.0)) else { return Ok(None) };
        let gray = luma(&decoder.decode(picture)?)?;
        let width = gray.width as usize;
        Ok(Some(mapped(&gray, |luma| edges(luma, width, low.min(high), low.max(high)))?))
    })
}

/// The tangent of an eighth of a half turn, in 1/32768: what is flatter is an edge that goes down, and so on (as OpenCV rounds it).
const TANGENT: i64 = 13_573;

/// Canny (IEEE PAMI 8, 1986): maxima across the gradient, the strong ones followed along the weak ones.
pub(super) fn edges(luma: &[u8], width: usize, low: f64, high: f64) -> Vec<u8> {
    let height = luma.len() / width.max(1);
    let gradients = gradients(luma, width, nearest);
    let strength: Vec<i32> = gradients.iter().map(|(dx, dy)| dx.abs() + dy.abs()).collect();
    let inside = |x: isize, y: isize| {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < width && y < height).then_some(y * width + x)
    };
    let at = |x: isize, y: isize| inside(x, y).map_or(0, |at| strength[at]);
    let above = |strength: i32, limit: f64| f64::from(strength) > limit.floor();
    // 0 is no edge, 1 a weak one, 2 a strong one that is still to be followed.
    let mut kind = vec![0_u8; luma.len()];
    let mut open = Vec::new();
    for y in 0..height as isize {
        for x in 0..width as isize {
            let Some(here) = inside(x, y) else { continue };
            let m = strength[here];
            if !above(m, low) {
                continue;
            }
            let (dx, dy) = gradients[here];
            let (across, down) = (i64::from(dx.abs()), i64::from(dy.abs()) << 15);
            let flat = across * TANGENT;
            let most = if down < flat {
                m > at(x - 1, y) && m >= at(x + 1, y)
            } else if down > flat + (across << 16) {
                m > at(x, y - 1) && m >= at(x, y + 1)
            } else {
                let side = if (dx < 0) == (dy < 0) { 1 } else { -1 };
                m > at(x - side, y - 1) && m > at(x + side, y + 1)
            };
            if most {
                kind[here] = 1;
                if above(m, high) {
                    kind[here] = 2;
                    open.push((x, y));
                }
            }
        }
    }
    while let Some((x, y)) = open.pop() {
        for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
            if let Some(next) = inside(x + dx, y + dy).filter(|at| kind[*at] == 1) {
                kind[next] = 2;
                open.push((x + dx, y + dy));
            }
        }
    }
    kind.iter().map(|kind| if *kind == 2 { 255 } else { 0 }).collect()
}
