//! `detect_faces(frame [, min_score float8]) -> DETECTION[]`: the faces in a picture, the surest first.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::inference::{Chosen, ModelFunction, Results};
use crate::detection::detections_type;
use crate::model::description::Task;
use crate::model::yunet;

sql_function!(
    DetectFaces, "detect_faces", arguments: [Frame, Float], required: 1, returns: detections_type(),
    syntax: "detect_faces(frame [, min_score float8]) -> DETECTION[]",
    description: "The faces in a picture, the surest first: label 'face', score 0 to 1, box in pixels of the picture as displayed, five landmarks \
(right eye, left eye, nose tip, right and left mouth corner, as the person has them). min_score is 0.7 unless given, and below 0.3 it counts as 0.3; a negative one, and NaN, is an error. \
NULL for a NULL frame, a picture that cannot be decoded, or a NULL min_score; an empty list where there is no face. \
YuNet, longest side 640, NMS at IoU 0.3; it runs once a frame however often and by however many queries it is asked for.",
    example: "SELECT ts, face.score, face.box FROM clip CROSS JOIN UNNEST(detect_faces(frame, 0.8)) AS face"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction = ModelFunction {
    name: "detect_faces",
    chosen: Chosen::Named(yunet::NAME),
    tasks: &[Task::Detection],
    part: None,
    gallery: None,
    column,
};

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    results.detections(1, |_, _, _| true)
}

/// The planner replaces calls by an operator that runs once a frame; where an expression is evaluated on its own, this gives the same, as the
/// model is embedded.
fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let model = yunet::embedded();
    let (mut session, mut decoder) = (model.new_session(), Decoder::default());
    let outputs = arguments.pictures(|row, picture| {
        if arguments.given(1) && arguments.float(1, row).is_none() {
            return Ok(None);
        }
        Ok(Some(Arc::new(session.infer(&decoder.decode(picture)?)?)))
    })?;
    column(&Results::of(arguments.clone(), &outputs, model.default_score()))
}
