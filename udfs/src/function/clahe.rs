//! `clahe(frame [, clip_limit float8 [, tiles int4]]) -> FRAME`: the picture with its contrast raised place by place.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::{mirrored, rounded};
use crate::frame::frame_type;
use crate::out_of_range::out_of_range;
use crate::pixels::{displayed_luma, mapped};

sql_function!(
    Clahe, "clahe", arguments: [Frame, Float, Int], required: 1, returns: frame_type(),
    syntax: "clahe(frame [, clip_limit float8 [, tiles int4]]) -> FRAME",
    description: "The picture without its colours, its luma equalised in each of tiles by tiles parts and blended between them, as OpenCV's CLAHE: what is dark at night can be seen, and no noise is raised beyond clip_limit, 2 unless given (0 is no limit). tiles is 1 to 64, 8 unless given; other \
values are an error. NULL for a NULL frame or argument, or a picture that cannot be decoded. The frame is derived.",
    example: "SELECT jpeg(clahe(frame)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    arguments.derive(|row, picture| {
        let limit = if arguments.given(1) { arguments.float(1, row) } else { Some(2.0) };
        let tiles = if arguments.given(2) { arguments.int(2, row) } else { Some(8) };
        let (Some(limit), Some(tiles)) = (limit, tiles) else { return Ok(None) };
        if !(limit >= 0.0 && (1..=64).contains(&tiles)) {
            return out_of_range!("clahe needs a clip_limit of at least 0 and 1 to 64 tiles");
        }
        let gray = displayed_luma(&decoder.decode(picture)?)?;
        let width = gray.width as usize;
        Ok(Some(mapped(&gray, |luma| equalized(luma, width, limit, tiles as usize))?))
    })
}

/// Zuiderveld (Graphics Gems IV, 1994).
fn equalized(luma: &[u8], width: usize, limit: f64, tiles: usize) -> Vec<u8> {
    let height = luma.len() / width.max(1);
    // A picture that the tiles do not divide is made larger at the right and below, in its mirror.
    let whole = width.is_multiple_of(tiles) && height.is_multiple_of(tiles);
    let tile = |side: usize| if whole { side / tiles } else { (side + tiles - side % tiles) / tiles };
    let (across, down) = (tile(width), tile(height));
    let places: Vec<usize> = (0..across * tiles).map(|x| mirrored(x as isize, width)).collect();
    let tables: Vec<[u8; 256]> = (0..tiles * tiles)
        .map(|at| {
            let (left, top) = (at % tiles * across, at / tiles * down);
            let mut counts = [0_u32; 256];
            for y in top..top + down {
                let row = mirrored(y as isize, height) * width;
                (left..left + across).for_each(|x| counts[usize::from(luma[row + places[x]])] += 1);
            }
            table(counts, (across * down) as u32, limit)
        })
        .collect();
    // Between which two tiles a place is, and how near to the second.
    let between = |at: usize, tile: usize| {
        let at = at as f32 * (1.0 / tile as f32) - 0.5;
        let first = at.floor();
        ((first.max(0.0)) as usize, ((first + 1.0) as usize).min(tiles - 1), at - first)
    };
    let columns: Vec<(usize, usize, f32)> = (0..width).map(|x| between(x, across)).collect();
    let mut made = Vec::with_capacity(luma.len());
    for (y, line) in luma.chunks_exact(width.max(1)).enumerate() {
        let (upper, lower, below) = between(y, down);
        for (value, (left, right, beside)) in line.iter().zip(&columns) {
            let of = |row: usize, column: usize| f32::from(tables[row * tiles + column][usize::from(*value)]);
            let row = |row: usize| of(row, *left) * (1.0 - beside) + of(row, *right) * beside;
            made.push(rounded(row(upper) * (1.0 - below) + row(lower) * below));
        }
    }
    made
}

/// What becomes of each brightness in a tile of `area` pixels: no brightness counts more than the limit, the rest is dealt out to all.
fn table(mut counts: [u32; 256], area: u32, limit: f64) -> [u8; 256] {
    if limit > 0.0 {
        let most = ((limit * f64::from(area) / 256.0) as u32).max(1);
        let over: u32 = counts.iter().map(|n| n.saturating_sub(most)).sum();
        counts.iter_mut().for_each(|n| *n = (*n).min(most) + over / 256);
        let rest = over % 256;
        if let Some(step) = 256_u32.checked_div(rest) {
            counts.iter_mut().step_by(step.max(1) as usize).take(rest as usize).for_each(|n| *n += 1);
        }
    }
    let scale = 255.0 / area as f32;
    let mut sum = 0;
    counts.map(|n| {
        sum += n;
        (sum as f32 * scale).round_ties_even().clamp(0.0, 255.0) as u8
    })
}
