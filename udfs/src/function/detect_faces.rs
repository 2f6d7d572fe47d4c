//! `detect_faces(frame [, min_score float8]) -> DETECTION[]`: the faces in a picture, the surest first.

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;

use super::call::{Arguments, column, frame_function};
use crate::detection::{DetectionListBuilder, detections_type};
use crate::model::{keep_above, model_of};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;

frame_function!(
    DetectFaces, "detect_faces", rest: [DataType::Float64], returns: detections_type(),
    syntax: "detect_faces(frame [, min_score]) -> detection[]",
    description: "The faces in a picture, the surest first: label 'face', score 0 to 1, box in pixels of the picture as displayed, five landmarks (right eye, left eye, nose tip, right and left mouth corner, as the person has them). \
min_score is 0.7 unless given, and not below 0.3. NULL for a NULL frame. YuNet, longest side 640, NMS at IoU 0.3; it runs once a frame however often and by however many queries it is asked for."
);

/// The planner replaces calls by an operator that runs once a frame; where an expression is evaluated on its own, this gives the same.
fn run(arguments: &Arguments) -> Result<ColumnarValue> {
    let mut list = DetectionListBuilder::new();
    let Some(model) = model_of("detect_faces") else { return datafusion_common::internal_err!("the embedded model is missing") };
    let default_score = model.default_score();
    let mut session = model.new_session();
    let scores = if arguments.len() > 1 { Some(arguments.array(1)?.as_primitive::<Float64Type>()) } else { None };
    let found = arguments.frames(|row, frame| {
        let min_score = match scores {
            Some(s) if s.is_null(row) => return Ok(None),
            Some(s) => s.value(row) as f32,
            None => default_score,
        };
        Ok(Some(keep_above(&session.infer(&frame.pixels("detect_faces")?)?, min_score)))
    })?;
    for detections in found {
        match detections {
            Some(d) => list.append(&d),
            None => list.append_null(),
        }
    }
    Ok(column(list.finish()))
}
