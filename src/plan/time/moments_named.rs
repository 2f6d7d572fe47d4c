//! Moments that have a name, as in Postgres: `'today'::date`, `timestamp 'now'`, `localtimestamp`, `clock_timestamp()`.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, TimezoneInfo, TypedString, Value};

use crate::plan::syntax::{binary, call, cast, in_parentheses, interval};

/// A moment that is written with its type before it, or without parentheses; None for other expressions.
pub(in crate::plan) fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::TypedString(TypedString { data_type, value, .. }) => match &value.value {
            Value::SingleQuotedString(name) => named(name, data_type),
            _ => None,
        },
        Expr::Identifier(name) if name.quote_style.is_none() => without_parentheses(&name.value.to_lowercase()),
        _ => None,
    }
}

/// What stands without parentheses, and is no column; None for other names.
pub(in crate::plan) fn without_parentheses(name: &str) -> Option<Expr> {
    match name {
        "localtimestamp" => Some(local()),
        "localtime" => Some(cast(local(), DataType::Time(None, TimezoneInfo::None))),
        "current_role" => Some(call("current_user", [])),
        _ => None,
    }
}

/// A moment that is cast; None for other values.
pub(in crate::plan) fn rewritten_cast(of: &Expr, data_type: &DataType) -> Option<Expr> {
    match of {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(name) => named(name, data_type),
            _ => None,
        },
        _ => None,
    }
}

fn local() -> Expr {
    cast(call("now", []), DataType::Timestamp(None, TimezoneInfo::None))
}

fn named(name: &str, data_type: &DataType) -> Option<Expr> {
    let days = match name.trim().to_ascii_lowercase().as_str() {
        "now" => None,
        "today" => Some("0 days"),
        "tomorrow" => Some("1 day"),
        "yesterday" => Some("-1 day"),
        _ => return None,
    };
    if !matches!(data_type, DataType::Date | DataType::Timestamp(..)) {
        return None;
    }
    let moment = match days {
        None => call("now", []),
        Some("0 days") => call("current_date", []),
        Some(days) => in_parentheses(binary(call("current_date", []), BinaryOperator::Plus, interval(days))),
    };
    Some(cast(moment, data_type.clone()))
}
