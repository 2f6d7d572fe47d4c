//! `date_bin` and `date_trunc` of an event time: a tumbling window by another name.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::grouping;
use super::time::zoned;

/// The column that an expression bins, and how long a bin is at most, µs; None for anything else, and for units whose length varies.
fn binned(expr: &Expr) -> Option<(&Column, i64)> {
    let Expr::ScalarFunction(call) = same_instant(expr) else { return None };
    if let (zoned::TRUNCATE, [Expr::Literal(unit, _), time, Expr::Literal(zone, _)]) = (call.func.name(), call.args.as_slice()) {
        let Expr::Column(time) = same_instant(time) else { return None };
        let size_us = zoned::longest_us(unit.try_as_str().flatten()?, zone.try_as_str().flatten()?)?;
        return Some((time, size_us));
    }
    let (by, time, rest) = match call.args.as_slice() {
        [by, time] => (by, time, None),
        [by, time, origin] => (by, time, Some(origin)),
        _ => return None,
    };
    let (Expr::Literal(by, _), Expr::Column(time)) = (by, same_instant(time)) else { return None };
    let size_us = match (call.func.name(), rest) {
        ("date_trunc", None) => match by.try_as_str().flatten()?.to_lowercase().as_str() {
            "millisecond" => 1_000,
            "second" => 1_000_000,
            "minute" => 60_000_000,
            "hour" => 3_600_000_000,
            // Days are those of UTC, which are all of one length.
            "day" => 86_400_000_000,
            "week" => 604_800_000_000,
            _ => return None,
        },
        ("date_bin", None | Some(Expr::Literal(..))) => interval_us(by)?,
        _ => return None,
    };
    (size_us > 0).then_some((time, size_us))
}

/// Without casts between the units of timestamps, which date_bin is surrounded by.
pub(super) fn same_instant(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => same_instant(&alias.expr),
        Expr::Cast(cast)
            if matches!(cast.field.data_type(), DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, Some(_))) =>
        {
            same_instant(&cast.expr)
        }
        other => other,
    }
}

fn interval_us(value: &ScalarValue) -> Option<i64> {
    let day = 86_400_000_000_i64;
    match value {
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 && i.nanoseconds % 1_000 == 0 => {
            i64::from(i.days).checked_mul(day)?.checked_add(i.nanoseconds / 1_000)
        }
        ScalarValue::IntervalDayTime(Some(i)) => i64::from(i.days).checked_mul(day)?.checked_add(i64::from(i.milliseconds) * 1_000),
        _ => None,
    }
}

/// The input's column that a column of the plan bins, and the length of a bin, µs.
pub(super) fn column(plan: &LogicalPlan, at: usize) -> Option<(&LogicalPlan, usize, i64)> {
    let (input, expr) = match plan {
        LogicalPlan::Projection(p) => (p.input.as_ref(), p.expr.get(at)?),
        LogicalPlan::Aggregate(a) => {
            let key = *grouping::keys(a).get(at)?;
            (a.input.as_ref(), grouping::in_every_set(a, key).then_some(key)?)
        }
        _ => return None,
    };
    let (time, size_us) = binned(expr)?;
    Some((input, input.schema().index_of_column(time).ok()?, size_us))
}
