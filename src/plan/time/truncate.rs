//! `date_trunc` as in Postgres: of any year and of infinity, of intervals too, and of a date by the clocks of the session.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;
use crate::frame::batch::ts_type;

const US_A_DAY: i64 = 86_400_000_000;
const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Truncate { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&FUNCTION)]
}

/// What a time is cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// So many µs.
    Us(i64),
    /// Monday.
    Week,
    /// So many months, which divide a year.
    Months(u32),
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    /// Errs with 22023 for a word that is none.
    pub(super) fn of(word: &str) -> Result<Unit> {
        let lower = word.trim().to_ascii_lowercase();
        Ok(match lower.strip_suffix('s').filter(|one| !one.is_empty()).unwrap_or(&lower) {
            "microsecond" | "usec" | "u" => Unit::Us(1),
            "millisecond" | "msec" | "m" if lower != "m" => Unit::Us(1_000),
            "second" | "sec" => Unit::Us(1_000_000),
            "minute" | "min" => Unit::Us(60_000_000),
            "hour" | "hr" => Unit::Us(3_600_000_000),
            "day" => Unit::Us(US_A_DAY),
            "week" => Unit::Week,
            "month" | "mon" => Unit::Months(1),
            "quarter" => Unit::Months(3),
            "year" | "yr" => Unit::Year,
            "decade" => Unit::Decade,
            "century" | "centurie" => Unit::Century,
            "millennium" => Unit::Millennium,
            _ if lower == "millennia" => Unit::Millennium,
            _ => return Err(Error::Encode { code: "22023", message: format!("unit \"{word}\" not recognized") }.into()),
        })
    }

    /// The start of the unit in which a time is; None beyond the calendar.
    pub(super) fn start(self, us: i64) -> Option<i64> {
        if matches!(us, i64::MAX | i64::MIN) {
            return Some(us);
        }
        let day = us.div_euclid(US_A_DAY);
        let date = || Some(DateTime::from_timestamp_micros(us)?.date_naive());
        let of_day = |year: i32, month: u32| {
            Some(NaiveDate::from_ymd_opt(year, month, 1)?.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
        };
        match self {
            Unit::Us(unit) => us.checked_sub(us.rem_euclid(unit)),
            // The first day of 1970 was a Thursday.
            Unit::Week => day.checked_sub((day + 3).rem_euclid(7))?.checked_mul(US_A_DAY),
            Unit::Months(n) => date().and_then(|date| of_day(date.year(), date.month0() / n * n + 1)),
            Unit::Year => date().and_then(|date| of_day(date.year(), 1)),
            Unit::Decade => date().and_then(|date| of_day(date.year().div_euclid(10) * 10, 1)),
            // The first year of a century is its first, and not its zeroth.
            Unit::Century => date().and_then(|date| of_day((date.year() - 1).div_euclid(100) * 100 + 1, 1)),
            Unit::Millennium => date().and_then(|date| of_day((date.year() - 1).div_euclid(1_000) * 1_000 + 1, 1)),
        }
    }

    /// An interval without what is smaller. Errs (0A000) for weeks, which none has.
    fn of_span(self, span: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
        let IntervalMonthDayNano { months, days, nanoseconds } = span;
        let whole = |n: i32| IntervalMonthDayNano { months: months - months % n, days: 0, nanoseconds: 0 };
        Ok(match self {
            Unit::Us(US_A_DAY) => IntervalMonthDayNano { months, days, nanoseconds: 0 },
            Unit::Us(unit) => IntervalMonthDayNano { months, days, nanoseconds: nanoseconds - nanoseconds % unit.saturating_mul(1_000) },
            Unit::Week => {
                let message = "date_trunc of an interval to weeks";
                return Err(Error::unsupported(message, "Months are no whole number of weeks: cut it to days.").into());
            }
            Unit::Months(n) => whole(i32::try_from(n).unwrap_or(1)),
            Unit::Year => whole(12),
            Unit::Decade => whole(120),
            Unit::Century => whole(1_200),
            Unit::Millennium => whole(12_000),
        })
    }
}

/// The start of the unit of each time, µs since 1970.
pub(super) fn starts(unit: &ColumnarValue, times: &TimestampMicrosecondArray) -> Result<TimestampMicrosecondArray> {
    let out_of_range = || DataFusionError::from(Error::Encode { code: "22008", message: "timestamp out of range".into() });
    each(unit, times.len(), |row, unit| {
        let us = times.is_valid(row).then(|| times.value(row));
        us.map(|us| unit.start(us).ok_or_else(out_of_range)).transpose()
    })
}

/// What becomes of each row by its unit, NULL where there is none.
fn each<T, A: FromIterator<Option<T>>>(unit: &ColumnarValue, n_rows: usize, cut: impl Fn(usize, Unit) -> Result<Option<T>>) -> Result<A> {
    if let ColumnarValue::Scalar(word) = unit {
        let unit = word.try_as_str().flatten().map(Unit::of).transpose()?;
        return (0..n_rows).map(|row| unit.map_or(Ok(None), |unit| cut(row, unit))).collect();
    }
    let words = cast(&unit.to_array(n_rows)?, &DataType::Utf8)?;
    let words = words.as_string::<i32>();
    (0..n_rows).map(|row| if words.is_valid(row) { cut(row, Unit::of(words.value(row))?) } else { Ok(None) }).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Truncate {
    signature: Signature,
}

impl ScalarUDFImpl for Truncate {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn aliases(&self) -> &[String] {
        static ALIASES: LazyLock<Vec<String>> = LazyLock::new(|| vec!["datetrunc".to_owned()]);
        &ALIASES
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
        let [unit, of] = given else { return plan_err!("date_trunc takes a unit and a time") };
        let of = match of {
            _ if !text(unit) => return plan_err!("date_trunc takes a unit and a time"),
            DataType::Timestamp(_, None) => LOCAL,
            // Midnight of a date is a moment, and so is a text of which nothing else is known.
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => ts_type(),
            of if text(of) => ts_type(),
            DataType::Interval(_) | DataType::Duration(_) => SPAN,
            DataType::Time32(_) | DataType::Time64(_) => of.clone(),
            _ => return plan_err!("date_trunc takes a unit and a time"),
        };
        Ok(vec![DataType::Utf8, of])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, of] => Ok(of.clone()),
            _ => plan_err!("date_trunc takes a unit and a time"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [unit, of] = args.args.as_slice() else { return exec_err!("date_trunc takes a unit and a time") };
        let found: ArrayRef = match of.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let times = of.to_array(args.number_rows)?;
                Arc::new(starts(unit, times.as_primitive::<TimestampMicrosecondType>())?.with_timezone_opt(zone))
            }
            SPAN => {
                let spans = of.to_array(args.number_rows)?;
                let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
                let cut = |row: usize, unit: Unit| spans.is_valid(row).then(|| unit.of_span(spans.value(row))).transpose();
                Arc::new(each::<_, IntervalMonthDayNanoArray>(unit, args.number_rows, cut)?)
            }
            // Of times of a day.
            _ => return datetime::date_trunc().invoke_with_args(args),
        };
        Ok(ColumnarValue::Array(found))
    }

    /// Times that follow each other have starts that do.
    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match input {
            [unit, of] if unit.sort_properties == SortProperties::Singleton => of.sort_properties,
            _ => SortProperties::Unordered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::value::read::timestamp;

    #[test]
    fn a_time_of_any_year_has_a_start() {
        for (unit, at, expected) in [
            ("day", "9999-12-31 10:20:30", "9999-12-31 00:00:00"),
            ("year", "1500-06-01 01:00:00", "1500-01-01 00:00:00"),
            ("hours", "1969-12-31 23:59:59.5", "1969-12-31 23:00:00"),
            ("milliseconds", "2024-01-15 10:20:30.123456", "2024-01-15 10:20:30.123"),
            ("week", "2024-01-14 10:20:30", "2024-01-08 00:00:00"),
            ("quarter", "2024-06-30 10:20:30", "2024-04-01 00:00:00"),
            ("decade", "2024-06-30 10:20:30", "2020-01-01 00:00:00"),
            ("century", "2000-06-30 10:20:30", "1901-01-01 00:00:00"),
            ("millennium", "2001-06-30 10:20:30", "2001-01-01 00:00:00"),
        ] {
            assert_eq!(Unit::of(unit).unwrap().start(timestamp(at).unwrap()), timestamp(expected).ok(), "{unit}");
        }
        assert_eq!(Unit::Year.start(i64::MAX), Some(i64::MAX));
        assert!(Unit::of("foo").is_err() && Unit::of("s").is_err());
    }
}
