//! `extract(… FROM a - b)` of two times: what lies between them is days and the rest, as in Postgres, where DataFusion counts it in hours, and in whole seconds.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{AsArray, Float64Array};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, DurationMicrosecondType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::value_text::justified;

static PART: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(DurationPart { signature: Signature::any(2, Volatility::Immutable) })));

/// The function, for plans that are read back.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&PART)]
}

/// The call in place of `date_part` of the difference of two times; None for another call.
pub(super) fn rewritten(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let [unit, of] = call.args.as_slice() else { return None };
    if call.func.name() != "date_part" || !matches!(unit, Expr::Literal(ScalarValue::Utf8(Some(_)), _)) {
        return None;
    }
    // It may have been made an interval already, by which its days are lost.
    let of = match of {
        Expr::Cast(cast) => cast.expr.as_ref(),
        other => other,
    };
    matches!(of.get_type(schema), Ok(DataType::Duration(_))).then(|| PART.call(vec![unit.clone(), of.clone()]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DurationPart {
    signature: Signature,
}

impl ScalarUDFImpl for DurationPart {
    fn name(&self) -> &str {
        "duration_part"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(unit))), of] = args.args.as_slice() else {
            return internal_err!("duration_part takes a unit and what lies between two times");
        };
        let unit = unit.to_lowercase();
        let spans = cast_array(&of.to_array(args.number_rows)?, &DataType::Duration(TimeUnit::Microsecond))?;
        let spans = spans.as_primitive::<DurationMicrosecondType>();
        let found: Float64Array = spans.iter().map(|us| us.map(|us| part(&unit, us))).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// A part of so many microseconds; it has no months and years.
fn part(unit: &str, us: i64) -> f64 {
    let (days, rest) = justified(us);
    let of_minute = (rest % 60_000_000) as f64;
    match unit.trim_end_matches('s') {
        "epoch" => us as f64 / 1e6,
        "day" => f64::from(days),
        "hour" => (rest / 3_600_000_000) as f64,
        "minute" | "min" => (rest / 60_000_000 % 60) as f64,
        "second" | "sec" => of_minute / 1e6,
        "millisecond" | "msec" => of_minute / 1e3,
        "microsecond" | "usec" => of_minute,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_times_has_days() {
        let us = 2 * 86_400_000_000 + 12 * 3_600_000_000 + 61_500_000;
        for (unit, expected) in [
            ("epoch", 216_061.5),
            ("day", 2.0),
            ("HOUR", 0.0),
            ("hour", 12.0),
            ("minute", 1.0),
            ("second", 1.5),
            ("microseconds", 1_500_000.0),
            ("year", 0.0),
        ] {
            assert_eq!(part(unit, us), expected, "{unit}");
        }
        assert_eq!(part("day", -us), -2.0);
    }
}
