//! The fields of a time, `extract(… FROM t)` and `date_part('…', t)`, as calls that give a float8 whatever the field is: DataFusion gives whole numbers, of which
//! half of three hours is one.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr};

use super::calendar_part;
use super::zoned::OFFSET;
use crate::plan::syntax::{binary, call, cast, in_parentheses, number, text};

/// What stands for a field; None for the epoch, which is a float8 as it is.
pub(in crate::plan) fn rewritten(unit: &str, of: &Expr) -> Option<Expr> {
    if unit.eq_ignore_ascii_case("epoch") {
        return None;
    }
    if calendar_part::knows(unit) {
        return Some(call(calendar_part::NAME, [text(unit), of.clone()]));
    }
    Some(match (in_microseconds(unit), offset(unit, of)) {
        (Some(unit), _) => microseconds(of.clone(), unit),
        (None, Some(whole)) => cast(whole, DataType::DoublePrecision),
        (None, None) => cast(call("date_part", [text(unit), of.clone()]), DataType::DoublePrecision),
    })
}

/// How many microseconds the unit has of which a fraction is asked for.
fn in_microseconds(unit: &str) -> Option<&'static str> {
    match unit.to_lowercase().as_str() {
        "second" | "seconds" | "sec" | "secs" => Some("1000000.0"),
        "millisecond" | "milliseconds" => Some("1000.0"),
        _ => None,
    }
}

/// How far from UTC the clocks are: `timezone`, and its hours and minutes.
fn offset(unit: &str, of: &Expr) -> Option<Expr> {
    let seconds = || call(OFFSET, [of.clone()]);
    let by = |left: Expr, op: BinaryOperator, right: &str| in_parentheses(binary(left, op, number(right)));
    match unit.to_lowercase().as_str() {
        "timezone" => Some(seconds()),
        "timezone_hour" => Some(by(seconds(), BinaryOperator::Divide, "3600")),
        "timezone_minute" => Some(by(by(seconds(), BinaryOperator::Divide, "60"), BinaryOperator::Modulo, "60")),
        _ => None,
    }
}

fn microseconds(of: Expr, unit: &str) -> Expr {
    // A float8, as every other field of a time.
    let us = cast(call("date_part", [text("microsecond"), of]), DataType::DoublePrecision);
    in_parentheses(binary(us, BinaryOperator::Divide, number(unit)))
}
