//! `width_bucket(x, low, high, n)` and `width_bucket(x, thresholds)` as in Postgres: which bar of a histogram a value falls into.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Int32Array, Scalar};
use datafusion::arrow::compute::kernels::cmp;
use datafusion::arrow::compute::{cast, sum};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

/// The function.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(WidthBucket { signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WidthBucket {
    signature: Signature,
}

impl ScalarUDFImpl for WidthBucket {
    fn name(&self) -> &str {
        "width_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let number = |of: &DataType| of.is_numeric() || of.is_null();
        match given {
            [x, low, high, n] if [x, low, high, n].into_iter().all(number) => {
                Ok(vec![DataType::Float64, DataType::Float64, DataType::Float64, DataType::Int64])
            }
            [x, DataType::List(item)] => match comparison_coercion(x, item.data_type()) {
                Some(common) => Ok(vec![common.clone(), DataType::new_list(common, true)]),
                None => plan_err!("width_bucket compares a {x} with no {}", item.data_type()),
            },
            _ => plan_err!("width_bucket takes a number, two bounds and a count, or a value and an array of thresholds"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let found: Int32Array = match arrays.as_slice() {
            [x, low, high, n] => {
                let known = |row: usize| arrays.iter().all(|array| array.is_valid(row));
                let float = |array: &dyn Array| -> Result<_> { Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()) };
                let (x, low, high, n) = (float(x)?, float(low)?, float(high)?, n.as_primitive::<Int64Type>());
                let one = |row: usize| known(row).then(|| bucket(x.value(row), low.value(row), high.value(row), n.value(row))).transpose();
                (0..args.number_rows).map(one).collect::<Result<_>>()?
            }
            [x, thresholds] => {
                let lists = thresholds.as_list::<i32>();
                let one = |row: usize| -> Result<Option<i32>> {
                    if x.is_null(row) || lists.is_null(row) {
                        return Ok(None);
                    }
                    // The thresholds are sorted: those that are not above the value lie before it.
                    let value = Scalar::new(x.slice(row, 1));
                    let below = cmp::lt_eq(&lists.value(row), &value)?;
                    let below = cast(&below, &DataType::Int32)?;
                    Ok(Some(sum(below.as_primitive::<Int32Type>()).unwrap_or_default()))
                };
                (0..args.number_rows).map(one).collect::<Result<_>>()?
            }
            _ => return exec_err!("width_bucket takes two or four arguments"),
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

fn wrong(message: &str) -> DataFusionError {
    Error::Encode { code: "2201G", message: message.to_owned() }.into()
}

/// The number of the bar from 1; 0 below the first, `n` + 1 above the last. The bounds may stand the other way round.
fn bucket(x: f64, low: f64, high: f64, n: i64) -> Result<i32> {
    let n = i32::try_from(n).map_err(|_| DataFusionError::from(Error::Encode { code: "22003", message: "integer out of range".into() }))?;
    if n <= 0 {
        return Err(wrong("count must be greater than zero"));
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return Err(wrong("operand, lower bound, and upper bound cannot be NaN"));
    }
    if !low.is_finite() || !high.is_finite() {
        return Err(wrong("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(wrong("lower bound cannot equal upper bound"));
    }
    let (before, behind) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    if before {
        return Ok(0);
    }
    if behind {
        return n.checked_add(1).ok_or_else(|| Error::Encode { code: "22003", message: "integer out of range".into() }.into());
    }
    // A rounding may not carry what lies below the bound into the next.
    Ok(((f64::from(n) * ((x - low) / (high - low))) as i32).min(n - 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_bars() {
        for (x, low, high, n, expected) in [
            (5.35, 0.024, 10.06, 5, 3),
            (-1.0, 0.0, 10.0, 5, 0),
            (10.0, 0.0, 10.0, 5, 6),
            (0.0, 0.0, 10.0, 5, 1),
            (9.0, 10.0, 0.0, 5, 1),
            (0.0, 10.0, 0.0, 5, 6),
            (11.0, 10.0, 0.0, 5, 0),
        ] {
            assert_eq!(bucket(x, low, high, n).unwrap(), expected, "{x}");
        }
        for (x, low, high, n) in [(1.0, 0.0, 0.0, 5), (1.0, 0.0, 10.0, 0), (f64::NAN, 0.0, 1.0, 1), (1.0, 0.0, f64::INFINITY, 1)] {
            assert!(bucket(x, low, high, n).is_err());
        }
    }
}
