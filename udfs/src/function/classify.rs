//! `classify(frame, model text) -> struct(label text, score float4)[]`: what a classification model takes a picture for, the surest first.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, ListArray, NullBufferBuilder, OffsetBufferBuilder, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use crate::model::description::Task;
use crate::model::output::Output;

sql_function!(
    Classify, "classify", arguments: [Frame, Text], required: 2, returns: classes_type(),
    syntax: "classify(frame, model text) -> struct(label text, score float4)[]",
    description: "What the classification model of that name takes a picture for: every class with its score, the surest first. Scores are shares of 1: \
the model's numbers are made shares by softmax, unless its graph ends in a softmax or a sigmoid or CREATE MODEL says scores = 'none', which is decided once for all pictures. The name is a constant. NULL for a NULL frame and for a picture that cannot be decoded. The \
picture is scaled to the model's input, width and height each by its own factor. It runs once a frame however often and by however many queries it is \
asked for.",
    example: "SELECT ts, classify(frame, 'scene')[1].label FROM clip"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction =
    ModelFunction { name: "classify", chosen: Chosen::Argument(1), tasks: &[Task::Classification], part: None, gallery: None, column };

fn fields() -> Fields {
    Fields::from(vec![Field::new("label", DataType::Utf8, true), Field::new("score", DataType::Float32, true)])
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields()), true))
}

fn classes_type() -> DataType {
    DataType::List(item())
}

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let (mut offsets, mut valid) = (OffsetBufferBuilder::<i32>::new(0), NullBufferBuilder::new(0));
    let (mut labels, mut scores) = (StringBuilder::new(), Float32Builder::new());
    for (_, output) in results.rows() {
        let classes = match output {
            Some(Output::Classes(classes)) => classes.as_slice(),
            _ => &[],
        };
        for class in classes {
            labels.append_value(&class.label);
            scores.append_value(class.score);
        }
        offsets.push_length(classes.len());
        valid.append(output.is_some());
    }
    let items = StructArray::new(fields(), vec![Arc::new(labels.finish()), Arc::new(scores.finish())], None);
    Ok(Arc::new(ListArray::new(item(), offsets.finish(), Arc::new(items), valid.finish())))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "classify", &classes_type())
}
