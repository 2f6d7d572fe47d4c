//! `detect_motion(frame [, threshold int4 [, min_area float8]]) -> DETECTION[]`: where the picture has changed since the frame before.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::compared::{of_nothing, threshold};
use super::neighbourhood::{Samples, extreme};
use super::regions::{Region, regions};
use crate::detection::{Box, Detection, DetectionListBuilder, detections_type};
use crate::previous::Pair;

/// The side of the square by which changed pixels grow together, px of the luma that is compared.
const GROWN: usize = 5;
/// The least share of the picture that a region has where the query names no area.
const LEAST_SHARE: f64 = 1.0 / 2000.0;

sql_function!(
    DetectMotion, "detect_motion", arguments: [Frame, Int, Float], required: 1, returns: detections_type(),
    syntax: "detect_motion(frame [, threshold int4 [, min_area float8]]) -> DETECTION[]",
    description: "Where the picture has changed since the frame before, frame_no - 1 of the source, whatever WHERE lets through: pixels whose luma differs by more than threshold, 25 of 255 unless given, grown together by 5 by 5 \
pixels of a picture whose longest side is 320, in connected regions, the largest first. label is 'motion', score the share of the box that has changed, box in pixels of the picture, landmarks and track_id NULL. Regions of fewer than min_area \
square pixels, a 2000th of the picture unless given, are left out. Both are constants; a threshold outside 0 to 255, and a min_area that is negative or NaN, is an error. An empty list where nothing has moved; NULL for the first frame of a source, where the frame before is missing or of another size, for a NULL frame or argument, or a picture that \
cannot be decoded. The frame is a source's own, not a derived one.",
    example: "SELECT frame_no, region.box FROM clip CROSS JOIN UNNEST(detect_motion(frame)) AS region WHERE frame_no < 60"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    of_nothing("detect_motion", arguments, &detections_type())
}

pub(super) fn compare(pairs: &[Option<Pair>], arguments: &Arguments) -> Result<ArrayRef> {
    let mut list = DetectionListBuilder::new();
    for (row, pair) in pairs.iter().enumerate() {
        let area_given = arguments.given(2);
        let (threshold, min_area) = (threshold("detect_motion", arguments, row)?, arguments.amount(2, row, "min_area")?);
        match (pair, threshold) {
            (Some(pair), Some(threshold)) if !area_given || min_area.is_some() => list.append(&moved(pair, threshold, min_area)),
            _ => list.append_null(),
        }
    }
    Ok(Arc::new(list.finish()))
}

/// The regions of change; `min_area` in square pixels of the picture.
fn moved(pair: &Pair, threshold: u8, min_area: Option<f64>) -> Vec<Detection> {
    let ((before, now), (width, height), scale) = (pair.luma(), pair.size(), pair.scale());
    let data: Vec<u8> = before.iter().zip(now).map(|(a, b)| u8::from(a.abs_diff(*b) > threshold)).collect();
    let changed = Samples { width, height, n: 1, data: data.into() };
    let grown = extreme(&changed, GROWN, u8::max);
    let pixel = scale.0 * scale.1;
    let least = min_area.unwrap_or(LEAST_SHARE * (width * height) as f64 * pixel);
    let mut found: Vec<Region> = regions(&grown.data, width).into_iter().filter(|r| r.area as f64 * pixel >= least).collect();
    found.sort_by_key(|r| (std::cmp::Reverse(r.area), r.top, r.left));
    let detection = |r: &Region| {
        let rows = changed.data.chunks_exact(width).skip(r.top).take(r.height());
        let n: usize = rows.map(|line| line.iter().skip(r.left).take(r.width()).filter(|c| **c > 0).count()).sum();
        let bbox = Box {
            x: (r.left as f64 * scale.0) as f32,
            y: (r.top as f64 * scale.1) as f32,
            w: (r.width() as f64 * scale.0) as f32,
            h: (r.height() as f64 * scale.1) as f32,
        };
        let score = n as f32 / (r.width() * r.height()).max(1) as f32;
        Detection { label: "motion".to_owned(), score, bbox, landmarks: None, track_id: None }
    };
    found.iter().map(detection).collect()
}
