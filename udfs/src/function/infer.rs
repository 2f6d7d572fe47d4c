//! `infer(frame, model text) -> struct(name text, shape int4[], values float4[])[]`: the outputs of a model as they are.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Builder, Int32Builder, ListArray, ListBuilder, NullBufferBuilder, OffsetBufferBuilder, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use crate::model::description::Task;
use crate::model::output::Output;

sql_function!(
    Infer, "infer", arguments: [Frame, Text], required: 2, returns: outputs_type(),
    syntax: "infer(frame, model text) -> struct(name text, shape int4[], values float4[])[]",
    description: "The outputs of the raw or segmentation model of that name, in the order of its graph, as numbers: each with its name, its shape and its \
values, the last axis fastest. The name is a constant. NULL for a NULL frame and for a picture that cannot be decoded. The picture is scaled to the model's \
input, width and height each by its own factor unless the model is a letterbox. It runs once a frame however often and by however many queries it is \
asked for.",
    example: "SELECT ts, infer(frame, 'depth')[1].shape FROM clip"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction = ModelFunction {
    name: "infer",
    chosen: Chosen::Argument(1),
    tasks: &[Task::Raw, Task::Segmentation],
    part: None,
    gallery: None,
    column,
};

fn numbers(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type, true))
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("shape", DataType::List(numbers(DataType::Int32)), true),
        Field::new("values", DataType::List(numbers(DataType::Float32)), true),
    ])
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields()), true))
}

fn outputs_type() -> DataType {
    DataType::List(item())
}

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let (mut offsets, mut valid) = (OffsetBufferBuilder::<i32>::new(0), NullBufferBuilder::new(0));
    let mut names = StringBuilder::new();
    let mut shapes = ListBuilder::new(Int32Builder::new()).with_field(numbers(DataType::Int32));
    let mut values = ListBuilder::new(Float32Builder::new()).with_field(numbers(DataType::Float32));
    for (_, output) in results.rows() {
        let tensors = match output {
            Some(Output::Tensors(tensors)) => tensors.as_slice(),
            _ => &[],
        };
        for tensor in tensors {
            names.append_value(&tensor.name);
            tensor.shape.iter().for_each(|side| shapes.values().append_value(i32::try_from(*side).unwrap_or(i32::MAX)));
            shapes.append(true);
            values.values().append_slice(&tensor.values);
            values.append(true);
        }
        offsets.push_length(tensors.len());
        valid.append(output.is_some());
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(shapes.finish()), Arc::new(values.finish())];
    let items = StructArray::new(fields(), columns, None);
    Ok(Arc::new(ListArray::new(item(), offsets.finish(), Arc::new(items), valid.finish())))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "infer", &outputs_type())
}
