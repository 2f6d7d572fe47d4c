//! `detect_lanes(frame) -> struct(left, right, offset_px, offset_share, curvature)`: the two lines of the lane that a car with a camera is in.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::lane::{Lane, Side, lane};
use super::lists::{struct_of, structs_where};
use crate::pixels::luma_of_size;

/// The width at which lines are looked for, px: a painted line is still several pixels wide, and texture of the road is gone.
const WIDTH: u32 = 640;

sql_function!(
    DetectLanes, "detect_lanes", arguments: [Frame], required: 1, returns: lanes_type(),
    syntax: "detect_lanes(frame) -> struct(left, right, offset_px, offset_share, curvature)",
    description: "The two lines of the lane that a car is in whose camera looks ahead and level: left and right are struct (x1, y1, x2, y2 float4), in pixels, from the lower border of the picture up to 62 % of its height, NULL where no line is found. offset_px float8 is how far right of the lane's middle the middle of the picture is at its lower border, offset_share \
the same of the lane's width (0.5 is on the right line), both NULL without two lines; curvature int4 is -1, 0 or 1 where the road ahead bends to the left, goes straight, or bends to the right, NULL without any line. Classical: edges by Canny in a trapezium ahead, straight lines by Hough, a parabola through the edges beside them: for marked roads by day, a camera in the \
middle, not for junctions or snow. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT frame_no, detect_lanes(frame)['offset_share'] AS off FROM clip WHERE frame_no = 100"
);

fn line_type() -> DataType {
    struct_of(&["x1", "y1", "x2", "y2"].map(|name| (name, DataType::Float32)))
}

fn lanes_type() -> DataType {
    struct_of(&[
        ("left", line_type()),
        ("right", line_type()),
        ("offset_px", DataType::Float64),
        ("offset_share", DataType::Float64),
        ("curvature", DataType::Int32),
    ])
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let found = arguments.pictures(|_, picture| {
        let full = picture.displayed();
        let width = full.0.min(WIDTH);
        let height = ((u64::from(full.1) * u64::from(width) / u64::from(full.0.max(1))) as u32).max(1);
        let luma = luma_of_size(&decoder.decode(picture)?, (width, height))?;
        Ok(Some((lane(&luma, width as usize), f64::from(full.0) / f64::from(width), f64::from(full.1) / f64::from(height))))
    })?;
    let lanes: Vec<Option<&(Lane, f64, f64)>> = found.iter().map(Option::as_ref).collect();
    let line = |of: fn(&Lane) -> Option<Side>| {
        let sides: Vec<Option<[f32; 4]>> =
            lanes.iter().map(|found| found.and_then(|(lane, across, down)| Some(of(lane)?.ends(*across, *down)))).collect();
        let column = |at: usize| Arc::new(sides.iter().map(|s| s.map(|s| s[at])).collect::<Float32Array>()) as ArrayRef;
        let columns = vec![("x1", column(0)), ("y1", column(1)), ("x2", column(2)), ("y2", column(3))];
        Arc::new(structs_where(columns, Some(sides.iter().map(Option::is_some).collect()))) as ArrayRef
    };
    let number =
        |of: fn(&(Lane, f64, f64)) -> Option<f64>| Arc::new(lanes.iter().map(|l| l.and_then(of)).collect::<Float64Array>()) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("left", line(|lane| lane.left)),
        ("right", line(|lane| lane.right)),
        ("offset_px", number(|(lane, across, _)| Some(lane.offset()?.0 * across))),
        ("offset_share", number(|(lane, ..)| Some(lane.offset()?.1))),
        ("curvature", Arc::new(lanes.iter().map(|l| l.and_then(|(lane, ..)| lane.curvature())).collect::<Int32Array>())),
    ];
    Ok(Arc::new(structs_where(columns, Some(lanes.iter().map(Option::is_some).collect()))))
}
