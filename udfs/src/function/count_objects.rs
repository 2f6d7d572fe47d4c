//! `count_objects(frame, label text) -> int8`: how many things of one kind are in a picture.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::detect_objects::{ALL, is_named};
use super::inference::{Chosen, ModelFunction, Results, kept_of, without_frames};
use crate::detection::Detection;
use crate::model::description::Task;
use crate::model::output::Output;

sql_function!(
    CountObjects, "count_objects", arguments: [Frame, Text], required: 2, returns: DataType::Int64,
    syntax: "count_objects(frame, label text) -> int8",
    description: "How many things of that label the model named objects finds in a picture, at its own least score: the length of \
detect_objects(frame, ARRAY[label]), so that '*' counts all of them. 0 where there is none, and for a label that the model does not have. NULL for a NULL frame, a picture that cannot \
be decoded, or a NULL label. The model runs once a frame for all labels.",
    example: "SELECT ts, count_objects(frame, 'person') AS people, count_objects(frame, 'car') AS cars FROM clip WHERE frame_no % 25 = 0"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction =
    ModelFunction { name: "count_objects", chosen: Chosen::Named("objects"), tasks: &[Task::Detection], part: None, gallery: None, column };

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let one = |(row, output): (usize, Option<&Output>)| {
        let (output, label) = (output?, results.arguments().text(1, row)?);
        let wanted = |kept: &[&Detection], found: &Detection| (label == ALL || found.label == label) && !is_named(kept, found);
        Some(kept_of(output, results.default_score(), wanted).len() as i64)
    };
    Ok(Arc::new(results.rows().map(one).collect::<Int64Array>()))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "count_objects", &DataType::Int64)
}
