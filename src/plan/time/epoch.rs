//! `to_timestamp(1705314030.123)`: the moment so many seconds after 1970, rounded to µs, as in Postgres; DataFusion cuts the float's last digits off.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{AsArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DFSchema, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::{Error, Result as Answer};
use crate::frame::batch::ts_type;

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Moment { signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable) }))
});

/// The function that `to_timestamp` of a number becomes.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&FUNCTION)]
}

/// The call in its place; None for other calls.
pub(super) fn rewritten(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    match call.args.as_slice() {
        [of] if call.func.name() == "to_timestamp" => {
            let number = of.get_type(schema).is_ok_and(|of| of.is_floating() || of.is_decimal());
            number.then(|| FUNCTION.call(vec![of.clone()]))
        }
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moment {
    signature: Signature,
}

impl ScalarUDFImpl for Moment {
    fn name(&self) -> &str {
        "seconds_since_1970"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(ts_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [seconds] = args.args.as_slice() else { return exec_err!("to_timestamp takes a number of seconds") };
        let seconds = cast(&seconds.to_array(args.number_rows)?, &DataType::Float64)?;
        let seconds = seconds.as_primitive::<Float64Type>();
        let found = seconds.iter().map(|seconds| seconds.map(moment).transpose()).collect::<Answer<TimestampMicrosecondArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(found.with_timezone("UTC"))))
    }
}

/// The µs since 1970. Errs with 22008 for NaN and for what is beyond the calendar.
fn moment(seconds: f64) -> Answer<i64> {
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { i64::MAX } else { i64::MIN });
    }
    let us = (seconds * 1e6).round_ties_even();
    if us.is_nan() {
        return Err(Error::Encode { code: "22008", message: "timestamp cannot be NaN".into() });
    }
    // 2^63 is the first that has no room.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&us) {
        return Err(Error::Encode { code: "22008", message: format!("timestamp out of range: \"{seconds}\"") });
    }
    Ok(us as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rounded() {
        assert_eq!(moment(1_705_314_030.123).unwrap(), 1_705_314_030_123_000);
        assert_eq!(moment(-0.5).unwrap(), -500_000);
        assert_eq!(moment(f64::INFINITY).unwrap(), i64::MAX);
        assert!(moment(f64::NAN).is_err() && moment(1e20).is_err());
    }
}
