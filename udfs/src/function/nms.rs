//! `nms(detections DETECTION[] [, iou float8]) -> DETECTION[]`: the surest of the detections that overlap.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use crate::detection::{Detection, DetectionListBuilder, detections_of, detections_type, iou};
use crate::out_of_range::out_of_range;
use arrow::array::{Array, AsArray};

/// The overlap from which on two detections are one where the query names none: as OpenCV's samples have it.
const IOU: f64 = 0.45;

sql_function!(
    Nms, "nms", arguments: [Detections, Float], required: 1, returns: detections_type(),
    syntax: "nms(detections DETECTION[] [, iou float8]) -> DETECTION[]",
    description: "Non-maximum suppression: of detections of one label that overlap by more than iou (intersection over union, 0.45 unless given) only the one of the highest \
score, the surest first; of equal scores the first. An iou outside 0 to 1 is an error. NULL for NULL detections or a NULL iou.",
    example: "SELECT cardinality(nms(detect_faces(frame, 0.3), 0.1)) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let lists = arguments.array(0)?.as_list::<i32>();
    let mut kept = DetectionListBuilder::new();
    for row in 0..arguments.n_rows {
        let most = if arguments.given(1) { arguments.float(1, row) } else { Some(IOU) };
        match most.filter(|_| lists.is_valid(row)) {
            None => kept.append_null(),
            Some(most) if !(0.0..=1.0).contains(&most) => return out_of_range!("nms needs an iou of 0 to 1, not {most}"),
            Some(most) => kept.append(&surest(detections_of(lists.value(row).as_ref())?, most)),
        }
    }
    Ok(Arc::new(kept.finish()))
}

fn surest(mut detections: Vec<Detection>, most: f64) -> Vec<Detection> {
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for detection in detections {
        if kept.iter().all(|k| k.label != detection.label || iou(&k.bbox, &detection.bbox) <= most) {
            kept.push(detection);
        }
    }
    kept
}
