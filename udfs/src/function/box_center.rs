//! `box_center(box) -> struct(x float8, y float8)`: the middle of a box.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::boxes::boxes;
use super::call::{Arguments, sql_function};

sql_function!(
    BoxCenter, "box_center", arguments: [Box], required: 1, returns: DataType::Struct(fields()),
    syntax: "box_center(box) -> struct(x float8, y float8)",
    description: "The middle of a box, in pixels. The box is a BOX, a DETECTION, a struct of numbers x, y, w, h (or of four without names), or a list of four numbers. \
NULL for a NULL box or one with a side that is NULL or not finite.",
    example: "SELECT box_center(face.box) FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face LIMIT 5"
);

fn fields() -> Fields {
    ["x", "y"].iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let boxes = boxes(arguments.array(0)?)?;
    let middle = |start: f32, length: f32| f64::from(start) + f64::from(length) / 2.0;
    let xs = Float64Array::from_iter(boxes.iter().map(|b| b.map(|b| middle(b.x, b.w))));
    let ys = Float64Array::from_iter(boxes.iter().map(|b| b.map(|b| middle(b.y, b.h))));
    let known: NullBuffer = boxes.iter().map(Option::is_some).collect();
    let nulls = (known.null_count() > 0).then_some(known);
    let columns: Vec<Arc<dyn Array>> = vec![Arc::new(xs), Arc::new(ys)];
    Ok(Arc::new(StructArray::try_new(fields(), columns, nulls)?))
}
