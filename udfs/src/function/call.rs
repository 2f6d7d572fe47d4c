//! What every function needs to read its arguments: arrays of one length, frames with or without pixels, numbers or NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::ScalarFunctionArgs;

use crate::frame::{FrameColumn, FrameView, is_frame};

/// The arguments as arrays, one value a row.
pub struct Arguments {
    function: &'static str,
    arrays: Vec<ArrayRef>,
    /// Rows.
    pub n_rows: usize,
}

impl Arguments {
    /// Takes what DataFusion gives.
    pub fn new(function: &'static str, args: &ScalarFunctionArgs) -> Result<Arguments> {
        let arrays = args.args.iter().map(|a| a.to_array(args.number_rows)).collect::<Result<_>>()?;
        Ok(Arguments { function, arrays, n_rows: args.number_rows })
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// One argument.
    pub fn array(&self, at: usize) -> Result<&ArrayRef> {
        match self.arrays.get(at) {
            Some(array) => Ok(array),
            None => exec_err!("{} needs more than {at} arguments", self.function),
        }
    }

    /// Calls `each` for every frame of the first argument, in order; None is NULL.
    pub fn frames<T>(&self, mut each: impl FnMut(usize, FrameView<'_>) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
        let frames = FrameColumn::try_new(self.array(0)?.as_ref())?;
        (0..self.n_rows).map(|row| frames.get(row).map_or(Ok(None), |view| each(row, view))).collect()
    }

    /// A whole number of one row; None is NULL, or an argument that is not there.
    pub fn int(&self, at: usize, row: usize) -> Option<i32> {
        let array = self.arrays.get(at)?.as_primitive_opt::<Int32Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }
}

/// Checks the types that a call was written with: a frame first, then at most the types named, to which the others are cast.
pub fn coerce_frame_first(function: &str, given: &[DataType], rest: &[DataType]) -> Result<Vec<DataType>> {
    match given.split_first() {
        Some((frame, others)) if (is_frame(frame) || frame.is_null()) && others.len() <= rest.len() => {
            let frame = if frame.is_null() { crate::frame::frame_type() } else { frame.clone() };
            Ok(std::iter::once(frame).chain(rest.iter().take(others.len()).cloned()).collect())
        }
        Some((other, others)) if others.len() <= rest.len() => {
            plan_err!("the first argument of {function} is a frame, not {}", sql_name(other))
        }
        _ => plan_err!("{function} takes a frame and at most {} more argument(s), not {}", rest.len(), given.len()),
    }
}

/// A type as SQL names it, where it is a simple one.
fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Timestamp(..) => "timestamptz".to_owned(),
        DataType::Struct(_) => "a struct".to_owned(),
        DataType::List(_) => "a list".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// Values to a column.
pub fn column<A: Array + 'static>(array: A) -> datafusion_expr::ColumnarValue {
    datafusion_expr::ColumnarValue::Array(Arc::new(array))
}

/// The parts of ScalarUDFImpl that all functions of frames share: name, signature, coercion, documentation.
macro_rules! frame_function {
    ($type:ident, $name:literal, rest: [$($rest:expr),*], returns: $returns:expr, syntax: $syntax:literal, description: $description:literal) => {
        /// The function.
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub struct $type(datafusion_expr::Signature);

        impl Default for $type {
            fn default() -> Self {
                $type(datafusion_expr::Signature::user_defined(datafusion_expr::Volatility::Immutable))
            }
        }

        impl datafusion_expr::ScalarUDFImpl for $type {
            fn name(&self) -> &str {
                $name
            }

            fn signature(&self) -> &datafusion_expr::Signature {
                &self.0
            }

            fn coerce_types(&self, given: &[arrow::datatypes::DataType]) -> datafusion_common::Result<Vec<arrow::datatypes::DataType>> {
                $crate::function::call::coerce_frame_first($name, given, &[$($rest),*])
            }

            fn return_type(&self, _: &[arrow::datatypes::DataType]) -> datafusion_common::Result<arrow::datatypes::DataType> {
                Ok($returns)
            }

            fn invoke_with_args(&self, args: datafusion_expr::ScalarFunctionArgs) -> datafusion_common::Result<datafusion_expr::ColumnarValue> {
                run(&$crate::function::call::Arguments::new($name, &args)?)
            }

            fn documentation(&self) -> Option<&datafusion_expr::Documentation> {
                static DOCUMENTATION: std::sync::LazyLock<datafusion_expr::Documentation> = std::sync::LazyLock::new(|| {
                    datafusion_expr::Documentation::builder(datafusion_expr::DocSection::default(), $description, $syntax).build()
                });
                Some(&DOCUMENTATION)
            }
        }
    };
}
pub(super) use frame_function;
