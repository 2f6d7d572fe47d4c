//! `div(a, b)`, the whole quotient, exactly: of whole numbers without a way over floats, of numerics by all their digits.

use std::sync::Arc;

use datafusion::arrow::array::Decimal128Array;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

/// The function.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(Div { signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Div {
    signature: Signature,
}

impl ScalarUDFImpl for Div {
    fn name(&self) -> &str {
        "div"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = given else { return plan_err!("div takes two numbers") };
        let kept = |of: &DataType| match of {
            of if of.is_integer() || of.is_null() => Some(DataType::Int64),
            DataType::Decimal128(precision, scale) => Some(DataType::Decimal128(*precision, *scale)),
            of if of.is_floating() || *of == DataType::Utf8 => Some(DataType::Float64),
            _ => None,
        };
        match (kept(left), kept(right)) {
            (Some(DataType::Float64), Some(_)) | (Some(_), Some(DataType::Float64)) => Ok(vec![DataType::Float64; 2]),
            (Some(DataType::Int64), Some(DataType::Int64)) => Ok(vec![DataType::Int64; 2]),
            (Some(left), Some(right)) => {
                let decimal = |of: DataType| if of == DataType::Int64 { DataType::Decimal128(20, 0) } else { of };
                Ok(vec![decimal(left), decimal(right)])
            }
            _ => plan_err!("div takes two numbers"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match types.first() {
            Some(DataType::Decimal128(..)) => DataType::Decimal128(38, 0),
            Some(of) => of.clone(),
            None => DataType::Null,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [left, right] = arrays.as_slice() else { return internal_err!("div takes two numbers") };
        let found: ArrayRef = match (left.data_type(), right.data_type()) {
            (DataType::Int64, _) => {
                let pairs = left.as_primitive::<Int64Type>().iter().zip(right.as_primitive::<Int64Type>());
                let one = |(left, right): (Option<i64>, Option<i64>)| match (left, right) {
                    (Some(_), Some(0)) => Err(by_zero()),
                    (Some(left), Some(right)) => left.checked_div(right).map(Some).ok_or_else(|| wide("bigint out of range")),
                    _ => Ok(None),
                };
                Arc::new(pairs.map(one).collect::<Result<Int64Array>>()?)
            }
            (DataType::Decimal128(_, left_scale), DataType::Decimal128(_, right_scale)) => {
                // Both by the digits of the finer one.
                let scale = (*left_scale).max(*right_scale);
                let raised =
                    |digits: i128, of: i8| 10i128.checked_pow(u32::try_from(scale - of).ok()?).and_then(|power| digits.checked_mul(power));
                let pairs = left.as_primitive::<Decimal128Type>().iter().zip(right.as_primitive::<Decimal128Type>());
                let one = |(left, right): (Option<i128>, Option<i128>)| match (left, right) {
                    (Some(_), Some(0)) => Err(by_zero()),
                    (Some(left), Some(right)) => match (raised(left, *left_scale), raised(right, *right_scale)) {
                        (Some(left), Some(right)) => Ok(left.checked_div(right)),
                        // What has no room is divided by more than there is.
                        (Some(_), None) => Ok(Some(0)),
                        (None, _) => Err(wide("numeric field overflow")),
                    },
                    _ => Ok(None),
                };
                let quotients = pairs.map(one).collect::<Result<Decimal128Array>>()?;
                Arc::new(quotients.with_precision_and_scale(38, 0)?)
            }
            _ => {
                let (left, right) = (cast(left, &DataType::Float64)?, cast(right, &DataType::Float64)?);
                let pairs = left.as_primitive::<Float64Type>().iter().zip(right.as_primitive::<Float64Type>());
                let one = |(left, right): (Option<f64>, Option<f64>)| match (left, right) {
                    (Some(_), Some(0.0)) => Err(by_zero()),
                    (Some(left), Some(right)) => Ok(Some((left / right).trunc())),
                    _ => Ok(None),
                };
                Arc::new(pairs.map(one).collect::<Result<Float64Array>>()?)
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}

fn by_zero() -> DataFusionError {
    Error::Encode { code: "22012", message: "division by zero".into() }.into()
}

fn wide(message: &str) -> DataFusionError {
    Error::Encode { code: "22003", message: message.to_owned() }.into()
}
