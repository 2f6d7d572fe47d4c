//! `detect(frame, model text [, min_score float8]) -> DETECTION[]`: what a detection model finds in a picture, the surest first.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use crate::detection::detections_type;
use crate::model::description::Task;

sql_function!(
    Detect, "detect", arguments: [Frame, Text, Float], required: 2, returns: detections_type(),
    syntax: "detect(frame, model text [, min_score float8]) -> DETECTION[]",
    description: "What the detection model of that name finds in a picture, the surest first: label as the model names its classes, score 0 to 1, box in \
pixels of the picture as displayed and cut at its edges, landmarks where the model gives them. The name is a constant. min_score is the model's own \
unless given; below 0.1 (or the model's own, if that is less) it counts as that; a negative one, and NaN, is an error. Of boxes of one class that overlap by more than the model's iou the \
surest stays. NULL for a NULL frame, a picture that cannot be decoded, or a NULL min_score; an empty list where nothing is found. It runs once a frame \
however often and by however many queries it is asked for.",
    example: "SELECT ts, thing.label, thing.score, thing.box FROM clip CROSS JOIN UNNEST(detect(frame, 'objects', 0.4)) AS thing WHERE frame_no = 100"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction =
    ModelFunction { name: "detect", chosen: Chosen::Argument(1), tasks: &[Task::Detection], part: None, gallery: None, column };

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    results.detections(2, |_, _, _| true)
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "detect", &detections_type())
}
