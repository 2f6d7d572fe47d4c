//! `justify_hours`, `justify_days` and `justify_interval`, by which 24 hours are a day and 30 days a month, and `isfinite`, as in Postgres.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const NS_A_DAY: i64 = 86_400_000_000_000;
const DAYS_A_MONTH: i64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Hours,
    Days,
    Both,
    Finite,
}

/// The functions.
pub(super) fn functions() -> [Arc<ScalarUDF>; 4] {
    [("justify_hours", What::Hours), ("justify_days", What::Days), ("justify_interval", What::Both), ("isfinite", What::Finite)].map(
        |(name, what)| {
            Arc::new(ScalarUDF::new_from_impl(Justify { name, what, signature: Signature::user_defined(Volatility::Immutable) }))
        },
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Justify {
    name: &'static str,
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Justify {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match (self.what, given) {
            (What::Finite, [DataType::Date32]) => Ok(vec![DataType::Date32]),
            (What::Finite, [DataType::Timestamp(_, zone)]) => Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone.clone())]),
            (_, [DataType::Interval(_) | DataType::Duration(_) | DataType::Utf8 | DataType::Null]) => Ok(vec![SPAN]),
            _ => plan_err!("{} takes an interval", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.what == What::Finite { DataType::Boolean } else { SPAN })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = arrays.as_slice() else { return exec_err!("{} takes a value", self.name) };
        let found: ArrayRef = if self.what == What::Finite {
            let finite: BooleanArray = match values.data_type() {
                DataType::Date32 => {
                    let days = values.as_primitive::<Date32Type>();
                    days.iter().map(|day| day.map(|day| day != i32::MAX && day != i32::MIN)).collect()
                }
                DataType::Timestamp(..) => {
                    let of = cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                    let us = of.as_primitive::<TimestampMicrosecondType>();
                    us.iter().map(|us| us.map(|us| us != i64::MAX && us != i64::MIN)).collect()
                }
                // An interval always is.
                _ => (0..values.len()).map(|row| values.is_valid(row).then_some(true)).collect(),
            };
            Arc::new(finite)
        } else {
            let spans = values.as_primitive::<IntervalMonthDayNanoType>();
            let one = |span: Option<IntervalMonthDayNano>| span.map(|span| justified(span, self.what)).transpose();
            Arc::new(spans.iter().map(one).collect::<Result<IntervalMonthDayNanoArray>>()?)
        };
        Ok(ColumnarValue::Array(found))
    }
}

fn justified(span: IntervalMonthDayNano, what: What) -> Result<IntervalMonthDayNano> {
    let (mut months, mut days, mut ns) = (i64::from(span.months), i64::from(span.days), span.nanoseconds);
    if what == What::Both && (days > 0 && ns > 0 || days < 0 && ns < 0) {
        months += days / DAYS_A_MONTH;
        days %= DAYS_A_MONTH;
    }
    if what != What::Days {
        days += ns / NS_A_DAY;
        ns %= NS_A_DAY;
    }
    if what != What::Hours {
        months += days / DAYS_A_MONTH;
        days %= DAYS_A_MONTH;
    }
    // All parts of one sign.
    if what == What::Both {
        if months > 0 && (days < 0 || days == 0 && ns < 0) {
            days += DAYS_A_MONTH;
            months -= 1;
        } else if months < 0 && (days > 0 || days == 0 && ns > 0) {
            days -= DAYS_A_MONTH;
            months += 1;
        }
    }
    match what {
        What::Days => {
            if months > 0 && days < 0 {
                days += DAYS_A_MONTH;
                months -= 1;
            } else if months < 0 && days > 0 {
                days -= DAYS_A_MONTH;
                months += 1;
            }
        }
        _ => {
            if days > 0 && ns < 0 {
                ns += NS_A_DAY;
                days -= 1;
            } else if days < 0 && ns > 0 {
                ns -= NS_A_DAY;
                days += 1;
            }
        }
    }
    let wide = |_| -> DataFusionError { Error::Encode { code: "22008", message: "interval out of range".into() }.into() };
    Ok(IntervalMonthDayNano::new(i32::try_from(months).map_err(wide)?, i32::try_from(days).map_err(wide)?, ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_carried_as_in_postgres() {
        const HOUR: i64 = 3_600_000_000_000;
        let of = |parts: (i32, i32, i64), what| {
            let found = justified(IntervalMonthDayNano::new(parts.0, parts.1, parts.2 * HOUR), what).unwrap();
            (found.months, found.days, found.nanoseconds / HOUR)
        };
        assert_eq!(of((0, 35, 0), What::Days), (1, 5, 0));
        assert_eq!(of((0, 0, 27), What::Hours), (0, 1, 3));
        assert_eq!(of((1, 0, -1), What::Both), (0, 29, 23));
        assert_eq!(of((0, 1, -1), What::Hours), (0, 0, 23));
        assert_eq!(of((1, -1, 0), What::Days), (0, 29, 0));
        assert_eq!(of((0, 30, 24), What::Both), (1, 1, 0));
    }
}
