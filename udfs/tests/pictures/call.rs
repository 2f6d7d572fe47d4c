//! Calls a function as the planner does: arguments are coerced, then cast, then evaluated.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};
use framesql_udfs::frame::{FrameBuilder, FrameColumn, FrameId, Picture};
use framesql_udfs::function::functions;

/// The column that a function gives.
pub(crate) fn call(name: &str, arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let n_rows = arguments[0].len();
    let values = arguments.iter().map(|a| ColumnarValue::Array(Arc::clone(a))).collect();
    evaluate(name, values, n_rows)?.into_array(n_rows)
}

/// The value of a function of constants, which has to be a constant too.
pub(crate) fn call_constant(name: &str, arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let values = arguments.iter().map(|a| Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(a, 0)?))).collect::<Result<_>>()?;
    match evaluate(name, values, 5)? {
        ColumnarValue::Scalar(value) => value.to_array(),
        ColumnarValue::Array(_) => panic!("{name} of constants is no constant"),
    }
}

fn evaluate(name: &str, arguments: Vec<ColumnarValue>, number_rows: usize) -> Result<ColumnarValue> {
    let function = functions().into_iter().find(|f| f.name() == name).unwrap_or_else(|| panic!("no function {name}"));
    let given: Vec<DataType> = arguments.iter().map(ColumnarValue::data_type).collect();
    let wanted = function.coerce_types(&given)?;
    let to = |(value, to): (ColumnarValue, &DataType)| match value {
        value if value.data_type() == *to => Ok(value),
        ColumnarValue::Array(array) => Ok(ColumnarValue::Array(cast(&array, to)?)),
        ColumnarValue::Scalar(value) => Ok(ColumnarValue::Scalar(value.cast_to(to)?)),
    };
    let field = |data_type: &DataType| Arc::new(Field::new("value", data_type.clone(), true));
    let fields: Vec<_> = wanted.iter().map(field).collect();
    let told = vec![None; fields.len()];
    let returned = function.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &told })?.data_type().clone();
    let result = function.invoke_with_args(ScalarFunctionArgs {
        args: arguments.into_iter().zip(&wanted).map(to).collect::<Result<_>>()?,
        arg_fields: wanted.iter().map(field).collect(),
        number_rows,
        return_field: field(&returned),
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    assert_eq!(result.data_type(), returned, "{name} gives another type than it says");
    if let ColumnarValue::Array(array) = &result {
        assert_eq!(array.len(), number_rows, "{name} gives another number of rows");
    }
    Ok(result)
}

/// A column of frames `lobby#0`, `lobby#1` …; None is NULL.
pub(crate) fn frames(pictures: &[Option<&Picture>]) -> ArrayRef {
    let mut builder = FrameBuilder::new();
    for (frame_no, picture) in pictures.iter().enumerate() {
        let id =
            FrameId { source_id: 7, source: "lobby".into(), frame_no: frame_no as i64, ts_us: frame_no as i64 * 40_000, derived: false };
        match picture {
            Some(picture) => {
                let (width, height) = picture.displayed();
                builder.append(&id, width, height, Some(picture));
            }
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// The pixels of a row of such a column. None is a NULL frame.
pub(crate) fn picture_of(array: &ArrayRef, row: usize) -> Option<Picture> {
    let view = FrameColumn::try_new(array.as_ref()).unwrap().get(row)?;
    assert!(view.derived && view.source == "lobby" && view.frame_no == row as i64 && view.ts_us == row as i64 * 40_000);
    Some(view.pixels("this test").unwrap())
}
