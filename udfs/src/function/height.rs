//! `height(frame) -> int4`: the height in pixels, as displayed; no pixel is read.

use arrow::array::Int32Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;

use super::call::{Arguments, column, frame_function};

frame_function!(Height, "height", rest: [], returns: DataType::Int32, syntax: "height(frame) -> int4", description: "The height of the picture in pixels, as displayed.");

fn run(arguments: &Arguments) -> Result<ColumnarValue> {
    let heights = arguments.frames(|_, frame| Ok(i32::try_from(frame.height).ok()))?;
    Ok(column(Int32Array::from(heights)))
}
