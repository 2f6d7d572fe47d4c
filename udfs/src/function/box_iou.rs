//! `box_iou(a, b) -> float8`: how much two boxes overlap, 0 (apart) to 1 (the same).

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::boxes;
use super::call::{Arguments, sql_function};
use crate::detection::iou;

sql_function!(
    BoxIou, "box_iou", arguments: [Box, Box], required: 2, returns: DataType::Float64,
    syntax: "box_iou(a, b) -> float8",
    description: "Intersection over union of two boxes: 0 where they are apart, 1 where they are the same. Each is a BOX, a DETECTION, a struct of numbers x, y, w, h \
(or of four without names), or a list of four numbers. 0 if either has no area; NULL for a NULL box or one with a side that is NULL or not finite.",
    example: "SELECT count(*) FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE box_iou(face.box, [0, 0, 640, 360]) > 0.1"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (a, b) = (boxes(arguments.array(0)?)?, boxes(arguments.array(1)?)?);
    let overlaps = a.iter().zip(&b).map(|(a, b)| Some(iou(a.as_ref()?, b.as_ref()?)));
    Ok(Arc::new(Float64Array::from_iter(overlaps)))
}
