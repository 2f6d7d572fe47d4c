//! `round(x)` of a float8, of which a half goes to the even number, as in Postgres; of a numeric it goes away from zero, as DataFusion's does.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

static ROUND: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(HalfEven { signature: Signature::any(1, Volatility::Immutable) })));

/// The function, for plans that are read back.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&ROUND)]
}

/// The call in place of `round` of one float; None for another call.
pub(in crate::plan) fn half_even(call: &ScalarFunction) -> Option<Expr> {
    match call.args.as_slice() {
        [of] if call.func.name() == "round" => Some(ROUND.call(vec![of.clone()])),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HalfEven {
    signature: Signature,
}

impl ScalarUDFImpl for HalfEven {
    fn name(&self) -> &str {
        "round_half_even"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of] => Ok(of.clone()),
            _ => internal_err!("round_half_even takes a number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [of] = args.args.as_slice() else { return internal_err!("round_half_even takes a number") };
        let values = of.to_array(args.number_rows)?;
        let found: ArrayRef = match values.data_type() {
            DataType::Float32 => {
                let rounded: Float32Array = values.as_primitive::<Float32Type>().unary(f32::round_ties_even);
                Arc::new(rounded)
            }
            DataType::Float64 => {
                let rounded: Float64Array = values.as_primitive::<Float64Type>().unary(f64::round_ties_even);
                Arc::new(rounded)
            }
            _ => values,
        };
        Ok(ColumnarValue::Array(found))
    }
}
