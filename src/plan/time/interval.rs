//! Intervals as in Postgres: times a number, divided by one, added to a date, which makes a timestamp, and compared by how long they are; DataFusion
//! compares days without looking at hours, and adds days only to a date.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{DFSchema, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::Error;

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
/// What a month and a day are where a part of one is taken, as Postgres takes them.
const DAYS_A_MONTH: f64 = 30.0;
const NS_A_DAY: f64 = 86_400e9;

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 2]> = LazyLock::new(|| {
    [("interval_mul", false), ("interval_div", true)].map(|(name, divides)| {
        let signature = Signature::exact(vec![SPAN, DataType::Float64], Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Scaled { name, divides, signature }))
    })
});

/// How long an interval is, µs.
static LENGTH: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Length { signature: Signature::exact(vec![SPAN], Volatility::Immutable) })));

/// The name of that function.
pub(in crate::plan) const LENGTH_US: &str = "interval_us";

/// The functions that the operators become.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    let [times, over] = FUNCTIONS.clone();
    [times, over, Arc::clone(&LENGTH)]
}

/// A comparison of two intervals as one of their lengths; None for other operators.
pub(in crate::plan) fn compared(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let compares = matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
        || matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    compares.then(|| Expr::BinaryExpr(BinaryExpr::new(Box::new(length(left, schema)), op, Box::new(length(right, schema)))))
}

/// The length of an interval. Types are coerced already: what is one of another unit, or a duration, is cast here.
pub(in crate::plan) fn length(span: &Expr, schema: &DFSchema) -> Expr {
    let known = span.get_type(schema).is_ok_and(|of| of == SPAN);
    LENGTH.call(vec![if known { span.clone() } else { cast(span.clone(), SPAN) }])
}

/// Plans `*` and `/` between an interval and a number, and `+` and `-` between a date and an interval.
#[derive(Debug)]
pub(in crate::plan) struct Intervals;

impl ExprPlanner for Intervals {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        // A long chain of numbers has no interval in it: its type is worked out in more steps.
        let span = |e: &Expr| !only_numbers(e, schema) && matches!(e.get_type(schema), Ok(DataType::Interval(_)));
        let number = |e: &Expr| e.get_type(schema).is_ok_and(|t| t.is_numeric() || t.is_null()) || matches!(e, Expr::Placeholder(_));
        let date = |e: &Expr| matches!(e.get_type(schema), Ok(DataType::Date32));
        let midnight = |e: Expr| Box::new(cast(e, DataType::Timestamp(TimeUnit::Microsecond, None)));
        let [times, over] = &*FUNCTIONS;
        let RawBinaryExpr { op, left, right } = expr;
        Ok(match op {
            BinaryOperator::Plus if span(&right) && date(&left) => {
                PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(midnight(left), Operator::Plus, Box::new(right))))
            }
            BinaryOperator::Minus if span(&right) && date(&left) => {
                PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(midnight(left), Operator::Minus, Box::new(right))))
            }
            BinaryOperator::Plus if date(&right) && span(&left) => {
                PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Plus, midnight(right))))
            }
            BinaryOperator::Multiply if span(&left) && number(&right) => PlannerResult::Planned(times.call(vec![left, known(right)])),
            BinaryOperator::Multiply if number(&left) && span(&right) => PlannerResult::Planned(times.call(vec![right, known(left)])),
            BinaryOperator::Divide if span(&left) && number(&right) => PlannerResult::Planned(over.call(vec![left, known(right)])),
            op => PlannerResult::Original(RawBinaryExpr { op, left, right }),
        })
    }
}

/// Whether an expression is arithmetic of numbers alone.
fn only_numbers(e: &Expr, schema: &DFSchema) -> bool {
    match e {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.is_numerical_operators() => {
            only_numbers(right, schema) && only_numbers(left, schema)
        }
        other => other.get_type(schema).is_ok_and(|t| t.is_numeric()),
    }
}

/// A parameter of which nothing is known is a number here.
fn known(number: Expr) -> Expr {
    match number {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::new(Field::new("", DataType::Float64, true)))))
        }
        other => other,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Scaled {
    name: &'static str,
    divides: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(SPAN)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [spans, numbers] = arrays.as_slice() else { return internal_err!("{} takes two arguments", self.name) };
        let (spans, numbers) = (spans.as_primitive::<IntervalMonthDayNanoType>(), numbers.as_primitive::<Float64Type>());
        let one = |(span, number): (Option<IntervalMonthDayNano>, Option<f64>)| match span.zip(number) {
            None => Ok(None),
            Some((_, 0.0)) if self.divides => {
                let message = "division by zero".to_owned();
                Err(DataFusionError::from(Error::Data { code: "22012", message, detail: None }))
            }
            Some((span, number)) => {
                let scale = |part: f64| if self.divides { part / number } else { part * number };
                let out_of_range = || Error::Data { code: "22008", message: "interval out of range".into(), detail: None };
                Ok(Some(scaled(span, scale).ok_or_else(out_of_range)?))
            }
        };
        let scaled = spans.iter().zip(numbers.iter()).map(one).collect::<Result<IntervalMonthDayNanoArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(scaled)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &str {
        LENGTH_US
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(spans) = arrays.first() else { return internal_err!("{LENGTH_US} takes one argument") };
        let lengths = spans.as_primitive::<IntervalMonthDayNanoType>().unary::<_, Int64Type>(length_us);
        Ok(ColumnarValue::Array(Arc::new(lengths)))
    }
}

/// A month is 30 days and a day 24 hours where intervals are compared, as in Postgres' interval_cmp_value.
pub(in crate::plan) fn length_us(span: IntervalMonthDayNano) -> i64 {
    let days = i128::from(span.months) * 30 + i128::from(span.days);
    let us = days * 86_400_000_000 + i128::from(span.nanoseconds / 1_000);
    i64::try_from(us).unwrap_or(if us < 0 { i64::MIN } else { i64::MAX })
}

/// Each part by itself, as in Postgres' interval_mul: what is left of a month goes to the days, and what is left of a day to the time. None without
/// room for it, and for a number that is none.
pub(in crate::plan) fn scaled(span: IntervalMonthDayNano, scale: impl Fn(f64) -> f64) -> Option<IntervalMonthDayNano> {
    // A sixth digit of a second is the last that counts: what is below comes of the arithmetic.
    let exact = |part: f64| (part * 1e6).round() / 1e6;
    let (months, days, ns) = (scale(f64::from(span.months)), scale(f64::from(span.days)), scale(span.nanoseconds as f64));
    let of_months = exact(months.fract() * DAYS_A_MONTH);
    let mut whole_days = days.trunc() + of_months.trunc();
    let mut left_ns = (exact((days.fract() + of_months.fract()) * 86_400.0) * 1e9).round();
    if left_ns.abs() >= NS_A_DAY {
        whole_days += (left_ns / NS_A_DAY).trunc();
        left_ns %= NS_A_DAY;
    }
    let fits = |part: f64, most: f64| (part.is_finite() && part.abs() <= most).then_some(part);
    Some(IntervalMonthDayNano {
        months: fits(months.trunc(), f64::from(i32::MAX))? as i32,
        days: fits(whole_days, f64::from(i32::MAX))? as i32,
        // In whole µs, the unit of Postgres.
        nanoseconds: (fits((ns + left_ns) / 1e3, 9.2e15)?.round() as i64).checked_mul(1_000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(months: i32, days: i32, seconds: f64) -> IntervalMonthDayNano {
        IntervalMonthDayNano { months, days, nanoseconds: (seconds * 1e9) as i64 }
    }

    #[test]
    fn the_longer_is_the_greater() {
        assert!(length_us(span(0, 0, 90_000.0)) > length_us(span(0, 1, 0.0)));
        assert_eq!(length_us(span(1, 0, 0.0)), length_us(span(0, 30, 0.0)));
        assert!(length_us(span(0, -1, 0.0)) < 0);
    }

    #[test]
    fn parts_of_months_and_days_are_as_postgres_has_them() {
        // SELECT INTERVAL '1 month' * 0.5, INTERVAL '1 mon 1 day' / 2, INTERVAL '1 day 00:00:01' * 1.5, INTERVAL '1 mon' * -0.55 in PostgreSQL 15.
        assert_eq!(scaled(span(1, 0, 0.0), |p| p * 0.5), Some(span(0, 15, 0.0)));
        assert_eq!(scaled(span(1, 1, 0.0), |p| p / 2.0), Some(span(0, 15, 43_200.0)));
        assert_eq!(scaled(span(0, 1, 1.0), |p| p * 1.5), Some(span(0, 1, 43_201.5)));
        assert_eq!(scaled(span(1, 0, 0.0), |p| p * -0.55), Some(span(0, -16, -43_200.0)));
        assert_eq!(scaled(span(0, 0, 1.0), |p| p * 1e18), None);
        assert_eq!(scaled(span(1, 0, 0.0), |p| p * f64::NAN), None);
    }
}
