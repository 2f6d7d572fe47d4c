//! The parts of times that DataFusion has not: `extract(century FROM t)`, decade, millennium, isoyear and julian, the quarter of an interval, and the same
//! of `date_part`.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

/// The function that such a part becomes.
pub(in crate::plan) const NAME: &str = "calendar_part";
/// The day 1970-01-01 in days since 4714 BC.
const JULIAN_OF_1970: i64 = 2_440_588;
const US_A_DAY: i64 = 86_400_000_000;

static PART: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(CalendarPart { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&PART)]
}

/// Whether a unit is one of these, by the names that Postgres has for it.
pub(in crate::plan) fn knows(unit: &str) -> bool {
    Unit::of(unit).is_some()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Quarter,
    Decade,
    Century,
    Millennium,
    IsoYear,
    Julian,
}

impl Unit {
    fn of(name: &str) -> Option<Unit> {
        Some(match name.to_lowercase().as_str() {
            "qtr" | "quarter" => Unit::Quarter,
            "dec" | "decs" | "decade" | "decades" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennium" | "millennia" => Unit::Millennium,
            "isoyear" => Unit::IsoYear,
            "j" | "jd" | "julian" => Unit::Julian,
            _ => return None,
        })
    }

    /// Of what the clocks show, µs since 1970; None beyond the calendar.
    fn of_moment(self, us: i64) -> Option<f64> {
        if us == i64::MAX || us == i64::MIN {
            return Some(if us > 0 { f64::INFINITY } else { f64::NEG_INFINITY });
        }
        let day: NaiveDate = DateTime::from_timestamp_micros(us)?.date_naive();
        // The year before 1 is 0 here, and 1 BC there.
        let year = i64::from(day.year());
        let counted = |years: i64| if year > 0 { (year + years - 1) / years } else { -((years - year) / years) };
        Some(match self {
            Unit::Quarter => f64::from(day.month0() / 3 + 1),
            Unit::Decade if year >= 0 => (year / 10) as f64,
            Unit::Decade => -((9 - year) / 10) as f64,
            Unit::Century => counted(100) as f64,
            Unit::Millennium => counted(1000) as f64,
            Unit::IsoYear => {
                let year = day.iso_week().year();
                f64::from(if year > 0 { year } else { year - 1 })
            }
            Unit::Julian => (us.div_euclid(US_A_DAY) + JULIAN_OF_1970) as f64 + us.rem_euclid(US_A_DAY) as f64 / US_A_DAY as f64,
        })
    }

    /// Of an interval; None for a unit that it has not.
    fn of_months(self, months: i32) -> Option<f64> {
        let years = months / 12;
        Some(f64::from(match self {
            Unit::Quarter => months % 12 / 3 + 1,
            Unit::Decade => years / 10,
            Unit::Century => years / 100,
            Unit::Millennium => years / 1000,
            Unit::IsoYear | Unit::Julian => return None,
        }))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CalendarPart {
    signature: Signature,
}

fn unsupported(unit: &str, of: &str) -> Error {
    Error::Encode { code: "0A000", message: format!("unit \"{}\" not supported for type {of}", unit.to_lowercase()) }
}

impl ScalarUDFImpl for CalendarPart {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [_, of] = given else { return plan_err!("date_part takes a unit and a time") };
        let of = match of {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            DataType::Date32 | DataType::Utf8 | DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, None),
            // What lies between two times is days, which are no months.
            DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Time64(_) => of.clone(),
            other => return plan_err!("date_part is of times, not of {other}"),
        };
        Ok(vec![DataType::Utf8, of])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))), of] = args.args.as_slice() else {
            return exec_err!("the unit of date_part is a constant");
        };
        let Some(unit) = Unit::of(name) else { return internal_err!("{name} is another unit") };
        let values: ArrayRef = of.to_array(args.number_rows)?;
        let found: Float64Array = match values.data_type() {
            DataType::Timestamp(..) => {
                let out_of_range = || Error::Encode { code: "22008", message: "timestamp out of range".into() };
                let moments = values.as_primitive::<TimestampMicrosecondType>();
                // Quarters come again: infinity has none.
                let has = |us: &i64| unit != Unit::Quarter || !matches!(*us, i64::MAX | i64::MIN);
                moments
                    .iter()
                    .map(|us| us.filter(has).map(|us| unit.of_moment(us).ok_or_else(out_of_range)).transpose())
                    .collect::<Result<_, _>>()?
            }
            DataType::Interval(_) => {
                let spans = cast_array(&values, &DataType::Interval(IntervalUnit::MonthDayNano))?;
                let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
                let none = || unsupported(name, "interval");
                spans
                    .iter()
                    .map(|span| span.map(|span| unit.of_months(span.months).ok_or_else(none)).transpose())
                    .collect::<Result<_, _>>()?
            }
            _ => return Err(unsupported(name, "time without time zone").into()),
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_postgres_counts_them() {
        let part = |unit: &str, at: &str| Unit::of(unit).unwrap().of_moment(crate::plan::value::read::timestamp(at).unwrap()).unwrap();
        for (unit, at, expected) in [
            ("century", "2000-12-31", 20.0),
            ("c", "2001-01-01", 21.0),
            ("decade", "1999-12-31", 199.0),
            ("millennium", "2000-12-31", 2.0),
            ("mil", "2001-01-01", 3.0),
            ("isoyear", "2006-01-01", 2005.0),
            ("isoyear", "2024-12-30", 2025.0),
            ("julian", "2006-01-01 12:00", 2_453_737.5),
            ("JD", "1969-12-31", 2_440_587.0),
            ("quarter", "2026-04-01", 2.0),
        ] {
            assert_eq!(part(unit, at), expected, "{unit} {at}");
        }
        assert_eq!(Unit::Century.of_months(12 * 250), Some(2.0));
        assert_eq!(Unit::Decade.of_months(-12 * 25), Some(-2.0));
        assert_eq!(Unit::Julian.of_months(1), None);
    }
}
