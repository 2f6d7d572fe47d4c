//! `width(frame) -> int4`: the width in pixels, as displayed; no pixel is read.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};

sql_function!(
    Width, "width", arguments: [Frame], required: 1, returns: DataType::Int32,
    syntax: "width(frame) -> int4",
    description: "The width of the picture in pixels, as displayed. NULL for a NULL frame. No pixel is read, so the reference is enough.",
    example: "SELECT width(frame), height(frame) FROM clip LIMIT 1"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let widths = arguments.frames(|_, frame| Ok(i32::try_from(frame.width).ok()))?;
    Ok(Arc::new(Int32Array::from(widths)))
}
