//! Functions of JSON as Postgres' clients call them: those that give rows by the lists that they are unnested of, and texts that stand for a jsonb read as one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Value};

use super::rewrite::call;
use crate::plan::parse::parse_query;
use crate::wire::value::typed::{JSON, JSONB};

/// Functions that give rows of one JSON value, each with the one that gives a list, and how the column is called in FROM.
const ROWS: [(&str, &str, &str); 5] = [
    (ELEMENTS, "jsonb_elements", "value"),
    ("_array_elements_text", "jsonb_elements_text", "value"),
    ("_object_keys", "jsonb_keys", "jsonb_object_keys"),
    // Of these the columns are key and value.
    ("_each", "jsonb_entries", ""),
    ("_each_text", "jsonb_entries_text", ""),
];
/// The one whose rows are JSON themselves.
const ELEMENTS: &str = "_array_elements";
/// Functions that take a jsonb first.
const TAKERS: [&str; 19] = [
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_array_length",
    "jsonb_contains",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_exists",
    "jsonb_exists_all",
    "jsonb_exists_any",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonb_insert",
    "jsonb_object_keys",
    "jsonb_path_exists",
    "jsonb_path_query",
    "jsonb_pretty",
    "jsonb_set",
    "jsonb_strip_nulls",
    "jsonb_typeof",
];

/// The list's function, and the column's name.
pub(super) fn rows_of(function: &str) -> Option<(&'static str, &'static str)> {
    let of = function.strip_prefix("jsonb").or_else(|| function.strip_prefix("json"))?;
    ROWS.iter().find(|(name, ..)| *name == of).map(|(_, list, column)| (*list, *column))
}

/// The function that says of an element, which a list has as text, that it is JSON; None of what is text.
fn type_of_rows(function: &str) -> Option<&'static str> {
    let of = [("jsonb", JSONB), ("json", JSON)];
    of.into_iter().find(|(prefix, _)| function.strip_prefix(prefix) == Some(ELEMENTS)).map(|(_, of)| of)
}

/// A list that such a function gives, as rows of a SELECT list.
pub(super) fn unnested(function: &str, list: Expr) -> Expr {
    let rows = call("unnest", list);
    match type_of_rows(function) {
        Some(of) => call(of, rows),
        None => rows,
    }
}

/// Texts in the places of a jsonb are read as one, as Postgres reads what has no type yet.
pub(super) fn read_literals(function: &str, arguments: &mut [Expr]) {
    if !reads_literals(function) {
        return;
    }
    let places: &[usize] = match function {
        "jsonb_set" | "jsonb_insert" => &[0, 2],
        "jsonb_contains" => &[0, 1],
        _ => &[0],
    };
    for at in places {
        if let Some(argument) = arguments.get_mut(*at)
            && matches!(argument, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
        {
            *argument = call(JSONB, argument.clone());
        }
    }
}

/// The same of a call.
pub(super) fn read_literals_of(function: &mut Function, name: &str) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut arguments: Vec<Expr> = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else { return };
        arguments.push(expr.clone());
    }
    read_literals(name, &mut arguments);
    list.args = arguments.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).collect();
}

/// Whether a call's name is one whose literals are read.
pub(super) fn reads_literals(name: &str) -> bool {
    TAKERS.contains(&name)
}

/// The rows of a constant as a query, whose columns keep their types; of a column they are unnested where it stands.
pub(super) fn of_constant(function: &str, exprs: &[Expr]) -> Option<Box<Query>> {
    let (list, column) = rows_of(function)?;
    let [of] = exprs else { return None };
    let reads = |e: &Expr| {
        if matches!(e, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if ast::visit_expressions(of, reads).is_break() {
        return None;
    }
    let columns = match (column, type_of_rows(function)) {
        ("", _) => "get_field(row, 'key') AS \"key\", get_field(row, 'value') AS \"value\"".to_owned(),
        (column, Some(of)) => format!("{of}(row) AS \"{column}\""),
        _ => return None,
    };
    parse_query(&format!("SELECT {columns} FROM (SELECT unnest({list}({of})) AS row) AS rows")).ok().map(|query| query.query)
}
