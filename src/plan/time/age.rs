//! `age(a, b)` as in Postgres: what lies between two times in years, months, days and the time of a day, as people count them.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Months, NaiveDateTime, Timelike};
use datafusion::arrow::array::{AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// `age(later, earlier)`.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(Age { signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Age {
    signature: Signature,
}

impl ScalarUDFImpl for Age {
    fn name(&self) -> &str {
        "age"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Times with a zone are taken by the clocks of UTC.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let time = |of: &DataType| match of {
            DataType::Timestamp(_, zone) => Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
            DataType::Date32 | DataType::Utf8 | DataType::Null => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
            other => plan_err!("age is of timestamps, not of {other}"),
        };
        match given {
            [later, earlier] => Ok(vec![time(later)?, time(earlier)?]),
            _ => plan_err!("age takes two times"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(SPAN)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [later, earlier] = arrays.as_slice() else { return internal_err!("age takes two times") };
        let (later, earlier) = (later.as_primitive::<TimestampMicrosecondType>(), earlier.as_primitive::<TimestampMicrosecondType>());
        let out_of_range = || Error::Encode { code: "22008", message: "timestamp out of range".into() };
        let one = |(later, earlier): (Option<i64>, Option<i64>)| -> Result<Option<IntervalMonthDayNano>> {
            Ok(later.zip(earlier).map(|(later, earlier)| between(later, earlier).ok_or_else(out_of_range)).transpose()?)
        };
        let spans = later.iter().zip(earlier).map(one).collect::<Result<IntervalMonthDayNanoArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(spans)))
    }
}

/// From one time to the other, both µs since 1970; None beyond the calendar.
fn between(later: i64, earlier: i64) -> Option<IntervalMonthDayNano> {
    if later < earlier {
        let span = between(earlier, later)?;
        return Some(IntervalMonthDayNano { months: -span.months, days: -span.days, nanoseconds: -span.nanoseconds });
    }
    let time = |us: i64| DateTime::from_timestamp_micros(us).map(|at| at.naive_utc());
    let (later, earlier) = (time(later)?, time(earlier)?);
    let month = |at: &NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
    let of_day = |at: &NaiveDateTime| i64::from(at.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(at.nanosecond());
    let mut months = month(&later) - month(&earlier);
    let mut days = i64::from(later.day()) - i64::from(earlier.day());
    let mut nanoseconds = of_day(&later) - of_day(&earlier);
    if nanoseconds < 0 {
        nanoseconds += 86_400_000_000_000;
        days -= 1;
    }
    while days < 0 {
        // The days that the month of the earlier time has.
        let first = earlier.date().with_day(1)?;
        days += first.checked_add_months(Months::new(1))?.signed_duration_since(first).num_days();
        months -= 1;
    }
    Some(IntervalMonthDayNano { months: i32::try_from(months).ok()?, days: i32::try_from(days).ok()?, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_counted_as_postgres_counts_them() {
        let us = |text: &str| crate::plan::value::read::timestamp(text).unwrap();
        let span = |months, days, hours: i64| Some(IntervalMonthDayNano { months, days, nanoseconds: hours * 3_600_000_000_000 });
        // SELECT age(timestamp '…', timestamp '…') in PostgreSQL 15.
        for (later, earlier, expected) in [
            ("2026-05-01", "2025-03-02", span(13, 30, 0)),
            ("2025-03-02", "2026-05-01", span(-13, -30, 0)),
            ("2026-03-01", "2026-01-31", span(1, 1, 0)),
            ("2026-05-02 01:00", "2026-05-01 02:00", span(0, 0, 23)),
            ("2026-05-01", "2026-05-01", span(0, 0, 0)),
        ] {
            assert_eq!(between(us(later), us(earlier)), expected, "{later} {earlier}");
        }
    }
}
