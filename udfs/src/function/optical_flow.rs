//! `optical_flow(frame) -> struct(dx float8, dy float8)`: how far the picture has moved since the frame before, on average.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::compared::of_nothing;
use super::flow::{Levels, mean_flow};
use crate::previous::Pair;

sql_function!(
    OpticalFlow, "optical_flow", arguments: [Frame], required: 1, returns: flow_type(),
    syntax: "optical_flow(frame) -> struct(dx float8, dy float8)",
    description: "How far the picture has moved since the frame before, frame_no - 1 of the source, whatever WHERE lets through: the mean of the vectors, in pixels of the picture, dx to the right and dy down, by which a grid of points has \
moved. Pyramids of Lucas and Kanade, as OpenCV's calcOpticalFlowPyrLK with windows of 15 by 15 and maxLevel 3 (four sizes, each half the one before), on a grid of 16, of a picture whose longest side is 320; points without texture, and those that are lost, because they leave the picture or do not come home when they are followed back, do not count. NULL where no point is left, for the first \
frame of a source, where the frame before is missing or of another size, for a NULL frame or a picture that cannot be decoded. The frame is a source's own, not a derived one.",
    example: "SELECT frame_no, optical_flow(frame)['dx'] AS right FROM clip WHERE frame_no < 60"
);

fn fields() -> Fields {
    ["dx", "dy"].iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
}

fn flow_type() -> DataType {
    DataType::Struct(fields())
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    of_nothing("optical_flow", arguments, &flow_type())
}

pub(super) fn compare(pairs: &[Option<Pair>], _: &Arguments) -> Result<ArrayRef> {
    let means: Vec<Option<(f64, f64)>> = pairs.iter().map(|pair| pair.as_ref().and_then(moved)).collect();
    let column = |of: fn(&(f64, f64)) -> f64| Arc::new(means.iter().map(|m| m.as_ref().map(of)).collect::<Float64Array>()) as ArrayRef;
    let valid = NullBuffer::from_iter(means.iter().map(Option::is_some));
    Ok(Arc::new(StructArray::new(fields(), vec![column(|m| m.0), column(|m| m.1)], Some(valid))))
}

fn moved(pair: &Pair) -> Option<(f64, f64)> {
    let ((before, now), (width, _), scale) = (pair.luma(), pair.size(), pair.scale());
    let (dx, dy) = mean_flow(&Levels::of(before, width), &Levels::of(now, width))?;
    Some((dx * scale.0, dy * scale.1))
}
