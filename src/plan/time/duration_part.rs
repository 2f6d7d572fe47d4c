//! `extract(… FROM a - b)` of two times: what lies between them is days and the rest, as in Postgres, where DataFusion counts it in hours, and in whole seconds.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{AsArray, Float64Array};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, DurationMicrosecondType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;
use crate::plan::value::write::justified;

static PART: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(DurationPart { signature: Signature::any(2, Volatility::Immutable) })));

/// The function, for plans that are read back.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&PART)]
}

/// The call in place of `date_part` of the difference of two times; None for another call.
pub(in crate::plan) fn rewritten(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
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
        // A unit that is none is wrong without a row too.
        part(&unit, 0)?;
        let found = spans.iter().map(|us| us.map(|us| part(&unit, us)).transpose()).collect::<Result<Float64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// A part of so many microseconds, by the names that Postgres has for it; it has no months and years. Errs for a unit that is none (22023), or is none of an
/// interval (0A000).
fn part(unit: &str, us: i64) -> Result<f64> {
    let (days, rest) = justified(us);
    let of_minute = (rest % 60_000_000) as f64;
    let wrong =
        |code: &'static str, why: &str| Err(Error::Encode { code, message: format!("unit \"{unit}\" not {why} for type interval") }.into());
    // Of a longer name Postgres reads ten letters.
    Ok(match unit.get(..10).unwrap_or(unit) {
        "epoch" => us as f64 / 1e6,
        "d" | "day" | "days" => f64::from(days),
        "h" | "hour" | "hours" | "hr" | "hrs" => (rest / 3_600_000_000) as f64,
        "m" | "min" | "mins" | "minute" | "minutes" => (rest / 60_000_000 % 60) as f64,
        "s" | "sec" | "secs" | "second" | "seconds" => of_minute / 1e6,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => of_minute / 1e3,
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => of_minute,
        "qtr" | "quarter" => 1.0,
        "mm" | "mon" | "mons" | "month" | "months" | "y" | "yr" | "yrs" | "year" | "years" => 0.0,
        "dec" | "decs" | "decade" | "decades" | "c" | "cent" | "century" | "centuries" => 0.0,
        "mil" | "mils" | "millennia" | "millennium" => 0.0,
        "w" | "week" | "weeks" | "dow" | "doy" | "isodow" | "isoyear" | "j" | "jd" | "julian" => return wrong("0A000", "supported"),
        "timezone" | "timezone_h" | "timezone_m" => return wrong("0A000", "supported"),
        _ => return wrong("22023", "recognized"),
    })
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
            ("d", 2.0),
            ("hour", 12.0),
            ("hrs", 12.0),
            ("minute", 1.0),
            ("m", 1.0),
            ("second", 1.5),
            ("secs", 1.5),
            ("milliseconds", 1_500.0),
            ("ms", 1_500.0),
            ("msecond", 1_500.0),
            ("microseconds", 1_500_000.0),
            ("us", 1_500_000.0),
            ("usecs", 1_500_000.0),
            ("quarter", 1.0),
            ("year", 0.0),
            ("millennium", 0.0),
        ] {
            assert_eq!(part(unit, us).unwrap(), expected, "{unit}");
        }
        assert_eq!(part("day", -us).unwrap(), -2.0);
    }

    #[test]
    fn a_unit_that_is_none_is_refused_as_in_postgres() {
        for (unit, why) in [
            ("foo", "recognized"),
            ("dayss", "recognized"),
            ("epochs", "recognized"),
            ("", "recognized"),
            ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", "recognized"),
            ("week", "supported"),
            ("timezone_hour", "supported"),
        ] {
            let error = part(unit, 0).unwrap_err().to_string();
            assert!(error.ends_with(&format!("unit \"{unit}\" not {why} for type interval")), "{error}");
        }
    }
}
