//! `timestamp(0)`, `timestamptz(3)` and `time(0)`: times rounded to so many digits of a second.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, TypedString};

use super::moments_named;
use crate::plan::syntax::{call, cast, number};

const NAME: &str = "second_digits";

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Rounded { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function that such a cast becomes.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&FUNCTION)]
}

/// A cast to a time of so many digits; None for other types, and where a time has no more digits than that.
pub(in crate::plan) fn rewritten(of: &Expr, data_type: &SqlType) -> Option<Expr> {
    let (digits, whole) = match data_type {
        SqlType::Timestamp(Some(digits), zone) => (*digits, SqlType::Timestamp(None, *zone)),
        SqlType::Time(Some(digits), zone) => (*digits, SqlType::Time(None, *zone)),
        _ => return None,
    };
    let time = cast(of.clone(), whole);
    Some(if digits < 6 { call(NAME, [time, number(&digits.to_string())]) } else { time })
}

/// The same where the type stands before a text: `timestamp(0) '…'`.
pub(in crate::plan) fn rewritten_typed(expr: &Expr) -> Option<Expr> {
    let Expr::TypedString(TypedString { data_type, value, .. }) = expr else { return None };
    rewritten(&Expr::Value(value.clone()), data_type)
}

/// `current_timestamp(0)`, and those of the session's clocks.
pub(in crate::plan) fn now(name: &str, digits: Expr) -> Option<Expr> {
    let now = if name == "current_timestamp" { Some(call("now", [])) } else { moments_named::without_parentheses(name) };
    now.map(|now| call(NAME, [now, digits]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounded {
    signature: Signature,
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let of = match given {
            [DataType::Timestamp(_, zone), _] => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            [DataType::Time32(_) | DataType::Time64(_), _] => DataType::Time64(TimeUnit::Microsecond),
            _ => return plan_err!("{NAME} takes a time and how many digits of a second it has"),
        };
        Ok(vec![of, DataType::Int64])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of, _] => Ok(of.clone()),
            _ => plan_err!("{NAME} takes a time and how many digits of a second it has"),
        }
    }

    /// That of a cast: what it casts.
    fn schema_name(&self, args: &[datafusion::logical_expr::Expr]) -> Result<String> {
        match args {
            [of, ..] => Ok(of.schema_name().to_string()),
            [] => plan_err!("{NAME} takes a time and how many digits of a second it has"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [of, digits] = args.args.as_slice() else { return exec_err!("{NAME} takes a time and a number") };
        let (times, digits) = (of.to_array(args.number_rows)?, digits.to_array(args.number_rows)?);
        let digits = digits.as_primitive::<Int64Type>();
        let unit = |row: usize| u32::try_from(digits.value(row)).ok().and_then(|digits| 10_i64.checked_pow(6_u32.saturating_sub(digits)));
        let one = |row: usize, us: i64| unit(row).map_or(us, |unit| rounded(us, unit));
        let found: ArrayRef = match times.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let us = times.as_primitive::<TimestampMicrosecondType>();
                let found: TimestampMicrosecondArray = us.iter().enumerate().map(|(row, us)| us.map(|us| one(row, us))).collect();
                Arc::new(found.with_timezone_opt(zone.clone()))
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                let us = times.as_primitive::<Time64MicrosecondType>();
                // The last second of a day has none behind it on this day, and 24:00 is not kept.
                let of_day = |us: i64| us.min(86_399_999_999);
                let found: PrimitiveArray<Time64MicrosecondType> =
                    us.iter().enumerate().map(|(row, us)| us.map(|us| of_day(one(row, us)))).collect();
                Arc::new(found)
            }
            other => return exec_err!("{NAME} takes a time, not a {other}"),
        };
        Ok(ColumnarValue::Array(found))
    }
}

/// The multiple of a unit next to a time, of two the one further from the year 2000, as Postgres counts from there.
fn rounded(us: i64, unit: i64) -> i64 {
    const FROM_2000: i64 = 946_684_800_000_000;
    if matches!(us, i64::MAX | i64::MIN) {
        return us;
    }
    let since = us.saturating_sub(FROM_2000);
    let half = if since < 0 { -(unit / 2) } else { unit / 2 };
    let found = since.saturating_add(half);
    (found - found % unit).saturating_add(FROM_2000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::value::read::timestamp;

    #[test]
    fn a_half_is_rounded_away_from_the_year_2000() {
        for (at, unit, expected) in [
            ("2024-01-15 10:20:30.123456", 1_000_000, "2024-01-15 10:20:30"),
            ("2024-01-15 10:20:30.5", 1_000_000, "2024-01-15 10:20:31"),
            ("1999-12-31 23:59:59.5", 1_000_000, "1999-12-31 23:59:59"),
            ("1999-12-31 23:59:59.999999", 100_000, "2000-01-01 00:00:00"),
            ("2024-01-15 10:20:30.12345", 100, "2024-01-15 10:20:30.1235"),
        ] {
            assert_eq!(rounded(timestamp(at).unwrap(), unit), timestamp(expected).unwrap(), "{at}");
        }
    }
}
