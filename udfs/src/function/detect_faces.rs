//! `detect_faces(frame [, min_score float8]) -> DETECTION[]`: the faces in a picture, the surest first.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::{Result, internal_err};

use super::call::{Arguments, Decoder, sql_function};
use crate::detection::{DetectionListBuilder, detections_type};
use crate::model::{keep_above, model_of};

sql_function!(
    DetectFaces, "detect_faces", arguments: [Frame, Float], required: 1, returns: detections_type(),
    syntax: "detect_faces(frame [, min_score float8]) -> DETECTION[]",
    description: "The faces in a picture, the surest first: label 'face', score 0 to 1, box in pixels of the picture as displayed, five landmarks \
(right eye, left eye, nose tip, right and left mouth corner, as the person has them). min_score is 0.7 unless given, and below 0.3 it counts as 0.3. \
NULL for a NULL frame, a picture that cannot be decoded, or a NULL min_score; an empty list where there is no face. \
YuNet, longest side 640, NMS at IoU 0.3; it runs once a frame however often and by however many queries it is asked for.",
    example: "SELECT ts, face.score, face.box FROM clip CROSS JOIN UNNEST(detect_faces(frame, 0.8)) AS face"
);

/// The planner replaces calls by an operator that runs once a frame; where an expression is evaluated on its own, this gives the same.
fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut list = DetectionListBuilder::new();
    let Some(model) = model_of("detect_faces") else { return internal_err!("the embedded model is missing") };
    let (mut session, mut decoder) = (model.new_session(), Decoder::default());
    let found = arguments.pictures(|row, picture| {
        let min_score = match (arguments.given(1), arguments.float(1, row)) {
            (false, _) => model.default_score(),
            (true, Some(score)) => score as f32,
            (true, None) => return Ok(None),
        };
        Ok(Some(keep_above(&session.infer(&decoder.decode(picture)?)?, min_score)))
    })?;
    for detections in found {
        match detections {
            Some(d) => list.append(&d),
            None => list.append_null(),
        }
    }
    Ok(Arc::new(list.finish()))
}
