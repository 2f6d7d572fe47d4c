//! Operators and conditions over types that they are not for, in the words and with the codes of Postgres; the texts are of DataFusion 55.2.

use super::type_names::{in_sql, of_type};

/// A SQLSTATE and what Postgres says.
type Known = (&'static str, String);

/// What a message of such a mistake says, if it is one.
pub(super) fn said(m: &str) -> Option<Known> {
    if let Some(rest) = m.strip_prefix("Cannot coerce arithmetic expression ") {
        return missing(rest.strip_suffix(" to valid types")?);
    }
    if let Some(rest) = m.strip_prefix("Cannot infer common argument type for logical boolean operation ") {
        let (left, op, right) = parts(rest)?;
        let wrong = if left == "Boolean" { right } else { left };
        return Some(not_boolean(op, wrong));
    }
    for start in ["Cannot infer common argument type for comparison operation ", "Cannot infer common argument type for bitwise operation "]
    {
        if let Some(rest) = m.strip_prefix(start) {
            return missing(rest);
        }
    }
    if let Some(rest) = m.strip_prefix("Unary operator 'NOT' requires a boolean expression, got ") {
        return Some(not_boolean("NOT", rest));
    }
    if m.starts_with("Unary operator '-' only supports ") {
        return Some(("42883", "operator does not exist: - with an operand of that type".into()));
    }
    if let Some((_, of)) =
        m.strip_prefix("Cannot create filter with non-boolean predicate ").and_then(|rest| rest.rsplit_once(" returning "))
    {
        return Some(not_boolean("WHERE", of));
    }
    for clause in ["LIMIT", "OFFSET"] {
        if let Some(of) = m.strip_prefix(&format!("Expected {clause} to be an integer or null, but got ")) {
            return Some(("42804", format!("argument of {clause} must be type bigint, not type {}", named(of))));
        }
        if m.starts_with(&format!("Unsupported {clause} expression")) {
            return Some(("0A000", format!("{clause} of anything but a number or a parameter is not supported")));
        }
    }
    None
}

fn not_boolean(of: &str, found: &str) -> Known {
    ("42804", format!("argument of {of} must be type boolean, not type {}", named(found)))
}

/// `Int64 + Boolean`: an operator that no two such types have.
fn missing(operation: &str) -> Option<Known> {
    let (left, op, right) = parts(operation)?;
    Some(("42883", format!("operator does not exist: {} {op} {}", named(left), named(right))))
}

/// A type, an operator and a type. Types have spaces in brackets only.
fn parts(operation: &str) -> Option<(&str, &str, &str)> {
    let mut depth = 0_i32;
    let mut spaces = operation.char_indices().filter_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (c == ' ' && depth == 0).then_some(at)
    });
    let (first, last) = (spaces.next()?, spaces.last()?);
    Some((operation.get(..first)?, operation.get(first + 1..last)?, operation.get(last + 1..)?))
}

fn named(of: &str) -> String {
    of_type(of).map_or_else(|| in_sql(of).to_lowercase(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_as_in_postgres() {
        for (text, code, told) in [
            ("Cannot coerce arithmetic expression Int64 + Boolean to valid types", "42883", "operator does not exist: bigint + boolean"),
            (
                "Cannot coerce arithmetic expression Timestamp(µs, \"UTC\") * List(Int64) to valid types",
                "42883",
                "operator does not exist: timestamp with time zone * bigint[]",
            ),
            (
                "Cannot infer common argument type for comparison operation Date32 IS DISTINCT FROM Boolean",
                "42883",
                "operator does not exist: date IS DISTINCT FROM boolean",
            ),
            (
                "Cannot infer common argument type for logical boolean operation Int64 AND Boolean",
                "42804",
                "argument of AND must be type boolean, not type bigint",
            ),
            (
                "Unary operator 'NOT' requires a boolean expression, got Int64",
                "42804",
                "argument of NOT must be type boolean, not type bigint",
            ),
            (
                "Cannot create filter with non-boolean predicate 'emp.id' returning Int32",
                "42804",
                "argument of WHERE must be type boolean, not type integer",
            ),
            ("Expected LIMIT to be an integer or null, but got Utf8", "42804", "argument of LIMIT must be type bigint, not type text"),
        ] {
            assert_eq!(said(text), Some((code, told.to_owned())), "{text}");
        }
        assert_eq!(said("something else"), None);
    }
}
