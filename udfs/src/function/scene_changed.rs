//! `scene_changed(frame [, threshold float8]) -> bool`: whether the picture shows something else than the frame before, as after a cut.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::compared::of_nothing;
use crate::out_of_range::out_of_range;
use crate::previous::Pair;

/// How unlike two pictures of two scenes are at least.
const UNLIKE: f64 = 0.5;
/// Cells across and down in which the pictures are compared: what moves inside one changes little.
const CELLS: (usize, usize) = (16, 9);
/// The mean difference of cells, of 255, below which nothing has changed: noise of a dark picture is unlike itself too.
const NOISE: f64 = 6.0;
/// The standard deviation of cells below which a picture is of one colour, which is like no other and unlike none.
const FLAT: f64 = 2.0;
/// The mean difference of cells from which on a picture of one colour is another scene.
const OTHER_LIGHT: f64 = 40.0;

sql_function!(
    SceneChanged, "scene_changed", arguments: [Frame, Float], required: 1, returns: DataType::Boolean,
    syntax: "scene_changed(frame [, threshold float8]) -> bool",
    description: "Whether the picture shows another scene than the frame before, frame_no - 1 of the source, whatever WHERE lets through: 1 minus the correlation of their lumas, each averaged in 16 by 9 cells, is above \
threshold, a constant of 0 to 2, 0.5 unless given, and the cells differ by more than 6 of 255 on average. A light switched on is no other scene, unless the picture was of one colour. NULL for the first frame of a source, where the frame before is missing or of another size, for a NULL \
frame or threshold, or a picture that cannot be decoded. The frame is a source's own, not a derived one.",
    example: "SELECT frame_no, ts FROM clip WHERE scene_changed(frame)"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    of_nothing("scene_changed", arguments, &DataType::Boolean)
}

pub(super) fn compare(pairs: &[Option<Pair>], arguments: &Arguments) -> Result<ArrayRef> {
    let changed = pairs.iter().enumerate().map(|(row, pair)| {
        let given = if arguments.given(1) { arguments.float(1, row) } else { Some(UNLIKE) };
        let Some(threshold) = given else { return Ok(None) };
        if !(0.0..=2.0).contains(&threshold) {
            return out_of_range!("scene_changed needs a threshold of 0 to 2, not {threshold}");
        }
        Ok(pair.as_ref().map(|pair| {
            let (before, now) = pair.luma();
            let width = pair.size().0;
            another(&cells(before, width), &cells(now, width), threshold)
        }))
    });
    Ok(Arc::new(changed.collect::<Result<BooleanArray>>()?))
}

/// The mean of each cell, row by row; a small picture has fewer cells.
fn cells(luma: &[u8], width: usize) -> Vec<f64> {
    let height = luma.len() / width.max(1);
    let (across, down) = (CELLS.0.min(width), CELLS.1.min(height));
    let (mut sums, mut counts) = (vec![0_u64; across * down], vec![0_u64; across * down]);
    for (y, line) in luma.chunks_exact(width.max(1)).enumerate() {
        for (x, value) in line.iter().enumerate() {
            let cell = y * down / height * across + x * across / width;
            sums[cell] += u64::from(*value);
            counts[cell] += 1;
        }
    }
    sums.iter().zip(&counts).map(|(sum, n)| *sum as f64 / (*n).max(1) as f64).collect()
}

fn another(before: &[f64], now: &[f64], threshold: f64) -> bool {
    let n = now.len().max(1) as f64;
    let mean = |cells: &[f64]| cells.iter().sum::<f64>() / n;
    let difference = before.iter().zip(now).map(|(a, b)| (a - b).abs()).sum::<f64>() / n;
    if difference <= NOISE {
        return false;
    }
    let (mean_before, mean_now) = (mean(before), mean(now));
    let product = |a: &[f64], b: &[f64], of_a: f64, of_b: f64| a.iter().zip(b).map(|(a, b)| (a - of_a) * (b - of_b)).sum::<f64>() / n;
    let spread = [product(before, before, mean_before, mean_before).sqrt(), product(now, now, mean_now, mean_now).sqrt()];
    let [of_before, of_now] = spread;
    if of_before < FLAT || of_now < FLAT {
        return difference > OTHER_LIGHT;
    }
    1.0 - product(before, now, mean_before, mean_now) / (of_before * of_now) > threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_picture_is_another_scene_and_more_light_is_not() {
        let wave = |of: fn(usize) -> f64| (0..144).map(of).collect::<Vec<f64>>();
        let (ramp, stripes) = (wave(|at| at as f64), wave(|at| if at % 2 == 0 { 40.0 } else { 200.0 }));
        let brighter: Vec<f64> = ramp.iter().map(|v| v + 60.0).collect();
        let (black, white) = (vec![0.0; 144], vec![255.0; 144]);
        assert!(another(&ramp, &stripes, 0.5) && another(&black, &white, 0.5) && another(&black, &stripes, 0.5));
        assert!(!another(&ramp, &brighter, 0.5) && !another(&ramp, &ramp, 0.5) && !another(&black, &[30.0; 144], 0.5));
    }

    #[test]
    fn cells_are_means_and_no_more_than_pixels() {
        assert_eq!(cells(&[1, 2, 3, 4, 5, 6], 3), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let luma: Vec<u8> = (0..32 * 18).map(|at| (at % 32) as u8).collect();
        let means = cells(&luma, 32);
        assert_eq!((means.len(), means[0], means[15], means[143]), (144, 0.5, 30.5, 30.5));
    }
}
