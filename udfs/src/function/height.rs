//! `height(frame) -> int4`: the height in pixels, as displayed; no pixel is read.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};

sql_function!(
    Height, "height", arguments: [Frame], required: 1, returns: DataType::Int32,
    syntax: "height(frame) -> int4",
    description: "The height of the picture in pixels, as displayed. NULL for a NULL frame. No pixel is read, so the reference is enough.",
    example: "SELECT source, max(height(frame)) FROM clip GROUP BY source"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let heights = arguments.frames(|_, frame| Ok(i32::try_from(frame.height).ok()))?;
    Ok(Arc::new(Int32Array::from(heights)))
}
