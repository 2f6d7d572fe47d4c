//! `hough_lines(frame [, threshold int4]) -> struct(rho float8, theta float8, votes int8, x1 float4, y1 float4, x2 float4, y2 float4)[]`: the straight lines of a picture of edges.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::hough::{Line, lines};
use super::lists::{list_of, lists, struct_of, structs};
use crate::out_of_range::out_of_range;
use crate::pixels::upright_luma;

/// Lines that are given at most: a picture that is no picture of edges has thousands.
const MOST: usize = 256;

sql_function!(
    HoughLines, "hough_lines", arguments: [Frame, Int], required: 1, returns: lines_type(),
    syntax: "hough_lines(frame [, threshold int4]) -> struct(rho float8, theta float8, votes int8, x1 float4, y1 float4, x2 float4, y2 float4)[]",
    description: "The straight lines on which more than threshold pixels lie that are not black, 100 unless given, the strongest first, at most 256, as OpenCV's HoughLines with steps of a pixel and a degree: rho the distance from the upper left pixel, theta the angle from the x axis to the way there in radians (0 is upright, pi / 2 level), votes how many pixels lie on it, and \
where it meets the borders of the picture. canny makes such a picture. An empty list where there is none; NULL for a NULL frame or threshold, or a picture that cannot be decoded; a threshold below 0 is an error.",
    example: "SELECT line.votes, line.theta FROM clip CROSS JOIN UNNEST(hough_lines(canny(frame), 80)) AS line WHERE frame_no = 100"
);

fn lines_type() -> DataType {
    let ends = ["x1", "y1", "x2", "y2"].map(|name| (name, DataType::Float32));
    let first = [("rho", DataType::Float64), ("theta", DataType::Float64), ("votes", DataType::Int64)];
    list_of(struct_of(&[first.as_slice(), ends.as_slice()].concat()))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let found = arguments.pictures(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(100) };
        let Some(threshold) = given else { return Ok(None) };
        let Ok(threshold) = u32::try_from(threshold) else {
            return out_of_range!("hough_lines needs a threshold of at least 0, not {threshold}");
        };
        let (width, height) = picture.displayed();
        let all = lines(&upright_luma(&decoder.decode(picture)?)?, width as usize, threshold);
        let ends = |line: Line| Some((line, line.ends(width.into(), height.into())?));
        Ok(Some(all.into_iter().filter_map(ends).take(MOST).collect::<Vec<_>>()))
    })?;
    let all = || found.iter().flatten().flatten();
    let number = |of: fn(&Line) -> f64| Arc::new(Float64Array::from_iter_values(all().map(|(line, _)| of(line)))) as ArrayRef;
    let place =
        |of: fn(&[(f64, f64); 2]) -> f64| Arc::new(Float32Array::from_iter_values(all().map(|(_, ends)| of(ends) as f32))) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("rho", number(|l| l.rho)),
        ("theta", number(|l| l.theta)),
        ("votes", Arc::new(Int64Array::from_iter_values(all().map(|(line, _)| line.votes.into())))),
        ("x1", place(|[a, _]| a.0)),
        ("y1", place(|[a, _]| a.1)),
        ("x2", place(|[_, b]| b.0)),
        ("y2", place(|[_, b]| b.1)),
    ];
    Ok(lists(found.iter().map(|row| row.as_ref().map(Vec::len)), Arc::new(structs(columns))))
}
