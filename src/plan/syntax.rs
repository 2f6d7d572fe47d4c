//! Forms of expressions that Postgres has, as calls and casts that DataFusion plans: AT TIME ZONE, SIMILAR TO, `varchar(n)`, `date_trunc` in a zone.

use std::ops::ControlFlow;

use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, CharacterLength, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Interval, ObjectName, SelectItem, TimezoneInfo, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::aggregate::ordered_sets;
use super::array::series::is_series;
use super::array::slices;
use super::column_names;
use super::json::aggregates;
use super::number::to_hex;
use super::parse::copies::Copies;
use super::rewrite::folded;
use super::subquery::row_values;
use super::text::regular_expression;
use super::text::similar::SIMILAR;
use super::time::zoned::TRUNCATE;
use super::time::{fields, moments_named, overlaps, rounded};
use super::value::read;
use crate::error::{Error, Result};

/// Functions that DataFusion knows by another name: of an array it removes and replaces the first that it finds.
const NAMES: [(&str, &str); 6] = [
    ("ceiling", "ceil"),
    ("sign", "signum"),
    ("every", "bool_and"),
    ("variance", "var_samp"),
    ("array_remove", "array_remove_all"),
    ("array_replace", "array_replace_all"),
];

/// An expression whose parts are rewritten already. Errs (54001) where it would be too large.
pub(super) fn rewrite(expr: &mut Expr, copies: &mut Copies) -> Result<()> {
    let written = match &mut *expr {
        Expr::AtTimeZone { timestamp, time_zone } => call("timezone", [time_zone.as_ref().clone(), timestamp.as_ref().clone()]),
        Expr::SimilarTo { negated, expr: of, pattern, escape_char } => {
            let escape = escape_char.clone().map(Expr::Value);
            let pattern = call(SIMILAR, std::iter::once(pattern.as_ref().clone()).chain(escape));
            let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
            in_parentheses(binary(of.as_ref().clone(), op, pattern))
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: of, data_type, .. } => match text_of(data_type) {
            _ if of_time(of, data_type).is_some() => match of_time(of, data_type) {
                Some(written) => written,
                None => return Ok(()),
            },
            Some(Some(n)) => {
                let cut = call("left", [cast(of.as_ref().clone(), DataType::Text), number(&n.to_string())]);
                // The blanks at the end of a char(n) say nothing, and so there are none.
                if matches!(data_type, DataType::Char(_) | DataType::Character(_)) { call("rtrim", [cut, text(" ")]) } else { cut }
            }
            Some(None) => cast(of.as_ref().clone(), DataType::Text),
            None => return Ok(()),
        },
        Expr::Extract { field, expr: of, .. } => match fields::rewritten(&field.to_string(), of) {
            Some(written) => written,
            None => return Ok(()),
        },
        Expr::Interval(interval) if interval.leading_field.is_none() => {
            if let Expr::Value(value) = interval.value.as_mut()
                && let Value::SingleQuotedString(text) = &mut value.value
                && let Some(read) = read::interval(text)
                && parse_interval_month_day_nano(text).ok() != Some(read)
            {
                *text = parts(read);
            }
            return Ok(());
        }
        Expr::Function(function) => match of_function(function, copies)? {
            Some(written) => written,
            None => {
                regular_expression::of_function(function);
                return Ok(());
            }
        },
        Expr::UnaryOp { op, expr: of } => match unary(op, of) {
            Some(written) => written,
            None => return Ok(()),
        },
        Expr::BinaryOp { left, op: BinaryOperator::PGStartsWith, right } => {
            call("starts_with", [left.as_ref().clone(), right.as_ref().clone()])
        }
        access @ Expr::CompoundFieldAccess { .. } => match slices::rewritten(access)? {
            Some(written) => written,
            None => return Ok(()),
        },
        other => {
            match row_values::rewritten(other, copies)?
                .or_else(|| rounded::rewritten_typed(other))
                .or_else(|| moments_named::rewritten(other))
                .or_else(|| overlaps::rewritten(other))
            {
                Some(written) => written,
                None => {
                    regular_expression::of_operator(other);
                    return Ok(());
                }
            }
        }
    };
    *expr = written;
    Ok(())
}

/// A cast to a time that is no plain one; None for others.
fn of_time(of: &Expr, data_type: &DataType) -> Option<Expr> {
    rounded::rewritten(of, data_type).or_else(|| moments_named::rewritten_cast(of, data_type))
}

/// `@ x`, `|/ x`, `||/ x` and `~ x`.
fn unary(op: &UnaryOperator, of: &Expr) -> Option<Expr> {
    Some(match op {
        UnaryOperator::PGAbs => call("abs", [of.clone()]),
        UnaryOperator::PGSquareRoot => call("sqrt", [of.clone()]),
        UnaryOperator::PGCubeRoot => call("cbrt", [of.clone()]),
        UnaryOperator::BitwiseNot => in_parentheses(binary(in_parentheses(of.clone()), BinaryOperator::PGBitwiseXor, number("-1"))),
        _ => return None,
    })
}

fn of_function(function: &mut Function, copies: &mut Copies) -> Result<Option<Expr>> {
    let name = function.name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
    if let Some((_, known)) = NAMES.iter().find(|(name_here, _)| *name_here == name) {
        function.name = ObjectName::from(vec![Ident::new(*known)]);
        return Ok(None);
    }
    if matches!(name.as_str(), "array_agg" | "string_agg") {
        return aggregates::distinct(&name, function, copies);
    }
    if let Some(written) = aggregates::rewritten(&name, function) {
        return Ok(Some(written));
    }
    Ok(match ordered_sets::rewritten(&name, function, copies)? {
        Some(written) => Some(written),
        None => of_values(&name, function),
    })
}

/// Those that are written otherwise by their arguments.
const OF_VALUES: [&str; 22] = [
    "make_timestamp",
    "make_timestamptz",
    "date_bin",
    "num_nulls",
    "num_nonnulls",
    "date_trunc",
    "date_part",
    "mod",
    "age",
    "array_length",
    "array_to_json",
    "generate_subscripts",
    "json_extract_path",
    "jsonb_extract_path",
    "json_extract_path_text",
    "jsonb_extract_path_text",
    "encode",
    "date",
    "to_hex",
    "current_timestamp",
    "localtimestamp",
    "localtime",
];

/// Functions that are no aggregates.
fn of_values(name: &str, function: &Function) -> Option<Expr> {
    if name == "make_interval" {
        return make_interval(function);
    }
    if matches!(function.args, FunctionArguments::None) {
        return moments_named::without_parentheses(name);
    }
    // Of the others nothing is copied: calls stand in calls.
    if !OF_VALUES.contains(&name) {
        return None;
    }
    let mut arguments = arguments(function)?;
    if let ("make_timestamp" | "make_timestamptz", [year, month, day, hours, minutes, seconds]) = (name, arguments.as_slice()) {
        let date = call("make_date", [year.clone(), month.clone(), day.clone()]);
        let of_day = [(hours, "1 hour"), (minutes, "1 minute"), (seconds, "1 second")];
        let time = of_day.into_iter().fold(date, |sum, (number, unit)| binary(sum, BinaryOperator::Plus, times(number.clone(), unit)));
        let zoned = name == "make_timestamptz";
        let zone = if zoned { TimezoneInfo::WithTimeZone } else { TimezoneInfo::None };
        return Some(cast(time, DataType::Timestamp(None, zone)));
    }
    // A time by the clocks of a zone.
    if let ("make_timestamptz", [parts @ .., zone]) = (name, arguments.as_slice())
        && parts.len() == 6
    {
        let Expr::Function(time) = call("make_timestamp", parts.iter().cloned()) else { return None };
        let time = of_values("make_timestamp", &time)?;
        return Some(call("timezone", [zone.clone(), time]));
    }
    // An origin that is written out is read by the session's clocks, as the times are.
    if let ("date_bin", [_, _, origin]) = (name, arguments.as_mut_slice())
        && let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = origin
        && !text.ends_with(['Z', 'z'])
        && !text.rsplit([' ', 'T']).next().is_some_and(|time| time.contains(':') && time.contains(['+', '-']))
    {
        *origin = cast(origin.clone(), DataType::Timestamp(None, TimezoneInfo::None));
        return Some(call("date_bin", arguments));
    }
    if matches!(name, "num_nulls" | "num_nonnulls") {
        let one = |of: Expr| {
            let of = Box::new(in_parentheses(of));
            let known = if name == "num_nulls" { Expr::IsNull(of) } else { Expr::IsNotNull(of) };
            cast(in_parentheses(known), DataType::Integer(None))
        };
        return arguments.into_iter().map(one).reduce(|sum, one| binary(sum, BinaryOperator::Plus, one)).map(in_parentheses);
    }
    let mut next = || if arguments.is_empty() { None } else { Some(arguments.remove(0)) };
    match (name, next(), next(), next(), next()) {
        // The bins of a zone's clocks, as moments.
        ("date_trunc", Some(unit), Some(of), Some(zone), None) => Some(call(TRUNCATE, [unit, of, zone])),
        ("date_part", Some(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(unit), .. })), Some(of), None, None) => {
            fields::rewritten(&unit, &of)
        }
        ("mod", Some(left), Some(right), None, None) => {
            Some(in_parentheses(binary(in_parentheses(left), BinaryOperator::Modulo, in_parentheses(right))))
        }
        // Of an array without elements there is none.
        ("array_length", Some(of), Some(dimension), None, None) => {
            let length = cast(call("array_length", [of, dimension]), DataType::BigInt(None));
            Some(call("nullif", [length, number("0")]))
        }
        // From the midnight before.
        ("age", Some(of), None, None, None) => Some(call("age", [call("current_date", []), of])),
        ("array_to_json", Some(of), None, None, None) => Some(call("to_json", [of])),
        ("generate_subscripts", Some(of), Some(dimension), None, None) => {
            Some(call("generate_series", [number("1"), call("array_length", [of, dimension])]))
        }
        ("json_extract_path" | "jsonb_extract_path", Some(of), Some(_), _, _) => path(function, of, BinaryOperator::HashArrow),
        ("json_extract_path_text" | "jsonb_extract_path_text", Some(of), Some(_), _, _) => {
            path(function, of, BinaryOperator::HashLongArrow)
        }
        // DataFusion's pads by another name.
        ("encode", Some(of), Some(format), None, None) if is_text(&format, "base64") => Some(call("encode", [of, text("base64pad")])),
        ("date", Some(of), None, None, None) => Some(cast(of, DataType::Date)),
        ("current_timestamp" | "localtimestamp" | "localtime", Some(digits), None, None, None) => rounded::now(name, digits),
        ("to_hex", Some(of), None, None, None) => to_hex::of_constant(of),
        _ => None,
    }
}

fn is_text(expr: &Expr, word: &str) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::SingleQuotedString(text) if text.eq_ignore_ascii_case(word)))
}

/// `json_extract_path(j, 'a', 'b')` is `j #> ARRAY['a', 'b']`.
fn path(function: &Function, of: Expr, op: BinaryOperator) -> Option<Expr> {
    let steps = arguments(function)?.into_iter().skip(1);
    Some(in_parentheses(binary(of, op, call("make_array", steps))))
}

/// `make_interval(hours => 3)`: the sum of its parts, which may be named.
fn make_interval(function: &Function) -> Option<Expr> {
    const PARTS: [(&str, &str); 7] = [
        ("years", "1 year"),
        ("months", "1 month"),
        ("weeks", "7 days"),
        ("days", "1 day"),
        ("hours", "1 hour"),
        ("mins", "1 minute"),
        ("secs", "1 second"),
    ];
    let FunctionArguments::List(list) = &function.args else { return None };
    let mut parts = Vec::new();
    for (at, argument) in list.args.iter().enumerate() {
        let (unit, number) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(number)) => (PARTS.get(at)?.1, number),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(number), .. } => {
                (PARTS.iter().find(|(part, _)| name.value.eq_ignore_ascii_case(part))?.1, number)
            }
            _ => return None,
        };
        parts.push(times(number.clone(), unit));
    }
    let sum = parts.into_iter().reduce(|sum, part| binary(sum, BinaryOperator::Plus, part));
    Some(sum.map_or_else(|| interval("0 seconds"), in_parentheses))
}

fn times(number: Expr, unit: &str) -> Expr {
    binary(in_parentheses(number), BinaryOperator::Multiply, interval(unit))
}

pub(super) fn interval(text_of: &str) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(text(text_of)),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

/// The arguments of a call of a plain function.
fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() || function.over.is_some() || function.filter.is_some() {
        return None;
    }
    let each = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(each).collect()
}

/// What a type of text is: how many characters it has room for. None for another type, and for those that DataFusion knows.
fn text_of(data_type: &DataType) -> Option<Option<u64>> {
    let length = |length: &Option<CharacterLength>| match length {
        Some(CharacterLength::IntegerLength { length, .. }) => Some(*length),
        _ => None,
    };
    match data_type {
        DataType::Varchar(n) => length(n).map(Some),
        DataType::CharacterVarying(n) | DataType::CharVarying(n) => Some(length(n)),
        DataType::Char(n) | DataType::Character(n) => Some(Some(length(n).unwrap_or(1))),
        _ => None,
    }
}

/// An interval as Arrow reads it.
fn parts(span: IntervalMonthDayNano) -> String {
    format!("{} months {} days {} nanoseconds", span.months, span.days, span.nanoseconds)
}

/// A call of plain arguments.
pub(super) fn call(name: &str, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// Whether an operator compares two values by their order, or as equal.
pub(super) fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
    )
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

pub(super) fn in_parentheses(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

pub(super) fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

pub(super) fn number(number: &str) -> Expr {
    Expr::Value(Value::Number(number.to_owned(), false).with_empty_span())
}

/// The columns of a SELECT whose names come of what is written there, not of what it becomes: they are named before.
pub(super) fn name_columns(projection: &mut [SelectItem], copies: &mut Copies) -> Result<()> {
    struct All<'a>(&'a mut Copies);
    impl VisitorMut for All<'_> {
        type Break = Error;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
            match rewrite(expr, self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        }
    }
    for item in projection {
        if let SelectItem::ExprWithAlias { expr, .. } = item {
            rows(expr);
        }
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let name = column_names::of_expr(expr);
        rows(expr);
        let mut becomes = expr.clone();
        if let ControlFlow::Break(error) = becomes.visit(&mut All(copies)) {
            return Err(error);
        }
        if column_names::of_expr(&becomes) != name {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&name) };
        }
    }
    Ok(())
}

/// `generate_series(1, 3)` in a SELECT list gives rows.
fn rows(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => rows(inner),
        Expr::BinaryOp { left, right, .. } => {
            rows(left);
            rows(right);
        }
        Expr::Function(function) if is_series(&function.name) => *expr = call("unnest", [expr.clone()]),
        _ => {}
    }
}

pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::parse_query;
    use crate::plan::rewrite::rewrite;

    fn rewritten(sql: &str) -> String {
        let mut query = parse_query(sql).unwrap().query;
        rewrite(&mut query).unwrap();
        query.to_string()
    }

    #[test]
    fn forms_of_postgres_become_calls() {
        for (sql, expected) in [
            ("SELECT at AT TIME ZONE 'utc' FROM t", "SELECT timezone('utc', at) FROM t"),
            ("SELECT date_trunc('day', at, 'x') FROM t", "SELECT date_trunc_zone('day', at, 'x') AS \"date_trunc\" FROM t"),
            ("SELECT 1 FROM t WHERE a NOT SIMILAR TO 'x%'", "SELECT 1 FROM t WHERE (a !~ similar_to_escape('x%'))"),
            ("SELECT a::varchar(3) FROM t", "SELECT left(CAST(a AS TEXT), 3) AS \"a\" FROM t"),
            (
                "SELECT a FROM t WHERE INTERVAL 'P1DT2H' < b",
                "SELECT a FROM t WHERE INTERVAL '0 months 1 days 7200000000000 nanoseconds' < b",
            ),
            ("SELECT INTERVAL '1 day'", "SELECT INTERVAL '1 day'"),
            ("SELECT a FROM t FETCH FIRST 2 ROWS ONLY", "SELECT a FROM t LIMIT 2"),
            ("SELECT generate_series(1, 3)", "SELECT unnest(generate_series(1, 3)) AS \"generate_series\""),
            ("SELECT g FROM generate_series(1, 3) g", "SELECT g FROM generate_series(1, 3) g (g)"),
            ("SELECT * FROM generate_series(1, 3) AS g (i)", "SELECT * FROM generate_series(1, 3) AS g (i)"),
            ("SELECT id::text FROM t ORDER BY id", "SELECT id::TEXT AS \"id\" FROM t ORDER BY id"),
            ("SELECT id::text FROM t ORDER BY 1", "SELECT id::TEXT FROM t ORDER BY 1"),
        ] {
            assert_eq!(rewritten(sql), expected);
        }
    }
}
