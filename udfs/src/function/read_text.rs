//! `read_text(frame [, box BOX]) -> struct(text text, score float4, box BOX, points struct(x float4, y float4)[])[]`: the lines of text in a picture.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::{reaching_boxes, touched};
use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Part, PartOf, Results, without_frames};
use super::lists::{boxes as box_column, list_of, lists, point_type, points, struct_of, structs};
use crate::detection::{Box as Bbox, box_type};
use crate::frame::Picture;
use crate::model::description::Task;
use crate::model::output::{Line, Output};
use crate::pixels::{Damaged, cut as cut_out};

sql_function!(
    ReadText, "read_text", arguments: [Frame, Box], required: 1, returns: lines_type(),
    syntax: "read_text(frame [, box BOX]) -> struct(text text, score float4, box BOX, points struct(x float4, y float4)[])[]",
    description: "The lines of text in a picture, or in a box of it, from the top down and each row from the left: what is written (Latin letters, digits and \
Chinese characters), how sure the characters are in the mean (0 to 1; below 0.5 a line is left out), and where: points are the four corners of the line from its upper left \
one clockwise, box their least box, both in pixels of the whole picture. A page may be askew, but not upside down: turn it by rotate(frame, 180) first. A box is found more surely than a small part of a large picture. It takes the models text-detection and \
text-recognition (PP-OCRv4), and a second or so of a processor for a picture: ask for some frames only. An empty list where there is none. NULL for a NULL frame or box, a picture \
that cannot be decoded, and a box that has no area or lies outside.",
    example: "SELECT ts, line.text, line.score, line.box FROM clip CROSS JOIN UNNEST(read_text(draw_text(frame, 'GATE 7', 40, 40, 'white', 64))) AS line WHERE frame_no = 100"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction =
    ModelFunction { name: "read_text", chosen: Chosen::Named("text"), tasks: &[Task::Text], part: Some(PART), gallery: None, column };

/// What the model sees of a frame where a box is given.
pub(super) const PART: PartOf = PartOf { argument: 1, read, cut };

fn read(array: &ArrayRef) -> Result<Vec<Option<Part>>> {
    let part = |bbox: Bbox| (bbox.w > 0.0 && bbox.h > 0.0).then_some(Part { bbox, landmarks: None });
    Ok(reaching_boxes(array)?.into_iter().map(|bbox| bbox.and_then(part)).collect())
}

fn cut(picture: &Picture, part: &Part, _: (u32, u32)) -> Result<Picture, Damaged> {
    let area = touched(&part.bbox, picture.displayed()).ok_or_else(|| Damaged::new("the box lies outside the picture"))?;
    cut_out(picture, area)
}

/// The lines of each row, in pixels of the whole frame; None is NULL.
pub(super) fn lines_of(results: &Results<'_>) -> Result<Vec<Option<Vec<Line>>>> {
    let parts = match results.arguments().given(PART.argument) {
        true => reaching_boxes(results.arguments().array(PART.argument)?)?,
        false => Vec::new(),
    };
    let one = |(row, output): (usize, Option<&Output>)| {
        let Some(Output::Lines(lines)) = output else { return None };
        let origin = parts.get(row).copied().flatten().map_or((0.0, 0.0), |b| (b.x.floor().max(0.0), b.y.floor().max(0.0)));
        let placed = |line: &Line| Line { corners: line.corners.map(|(x, y)| (x + origin.0, y + origin.1)), ..line.clone() };
        Some(lines.iter().map(placed).collect())
    };
    Ok(results.rows().map(one).collect())
}

fn lines_type() -> DataType {
    list_of(struct_of(&[("text", DataType::Utf8), ("score", DataType::Float32), ("box", box_type()), ("points", list_of(point_type()))]))
}

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let found = lines_of(results)?;
    let all = || found.iter().flatten().flatten();
    let around: Vec<Bbox> = all().map(Line::bbox).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(all().map(|line| Some(&line.text)).collect::<StringArray>())),
        ("score", Arc::new(Float32Array::from_iter_values(all().map(|line| line.score)))),
        ("box", box_column(around.iter().map(Some))),
        ("points", lists(all().map(|line| Some(line.corners.len())), points(all().flat_map(|line| line.corners)))),
    ];
    Ok(lists(found.iter().map(|row| row.as_ref().map(Vec::len)), Arc::new(structs(columns))))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "read_text", &lines_type())
}
