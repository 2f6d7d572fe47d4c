//! `box_area(box) -> float8`: the area of a box in pixels.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::boxes;
use super::call::{Arguments, sql_function};

sql_function!(
    BoxArea, "box_area", arguments: [Box], required: 1, returns: DataType::Float64,
    syntax: "box_area(box) -> float8",
    description: "Width times height of a box, in square pixels; 0 where a side is not positive. The box is a BOX, a DETECTION, a struct of numbers x, y, w, h (or of four \
without names), or a list of four numbers. NULL for a NULL box or one with a side that is NULL or not finite.",
    example: "SELECT face.score FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE box_area(face.box) > 10000"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let areas = boxes(arguments.array(0)?)?.into_iter().map(|b| b.map(|b| f64::from(b.w.max(0.0)) * f64::from(b.h.max(0.0))));
    Ok(Arc::new(Float64Array::from_iter(areas)))
}
