//! `width(frame) -> int4`: the width in pixels, as displayed; no pixel is read.

use arrow::array::Int32Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;

use super::call::{Arguments, column, frame_function};

frame_function!(Width, "width", rest: [], returns: DataType::Int32, syntax: "width(frame) -> int4", description: "The width of the picture in pixels, as displayed.");

fn run(arguments: &Arguments) -> Result<ColumnarValue> {
    let widths = arguments.frames(|_, frame| Ok(i32::try_from(frame.width).ok()))?;
    Ok(column(Int32Array::from(widths)))
}
