//! Mistakes that DataFusion and Arrow name by text only, in the words and with the codes of Postgres; the texts are of DataFusion 55.2.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;

use super::type_names::{integer, list};
use super::wrong_types;

/// A SQLSTATE and what Postgres says.
type Known = (&'static str, String);

/// What the root of an error says, if it is one of those known.
pub(super) fn of(root: &DataFusionError) -> Option<Known> {
    match root {
        DataFusionError::SchemaError(e, _) => match e.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => missing_entry(field, valid_fields),
            SchemaError::DuplicateQualifiedField { qualifier, .. } => {
                Some(("42712", format!("table name \"{}\" specified more than once", qualifier.table())))
            }
            _ => None,
        },
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::CastError(m) | ArrowError::ParseError(m) | ArrowError::ComputeError(m) | ArrowError::InvalidArgumentError(m) => {
                said(m)
            }
            ArrowError::ExternalError(e) => said(&e.to_string()),
            _ => None,
        },
        DataFusionError::Plan(m) | DataFusionError::Execution(m) | DataFusionError::NotImplemented(m) | DataFusionError::Internal(m) => {
            said(m)
        }
        DataFusionError::External(e) => said(&e.to_string()),
        _ => None,
    }
}

/// A column of a relation that is not in FROM.
fn missing_entry(field: &Column, valid: &[Column]) -> Option<Known> {
    let relation = field.relation.as_ref()?.table();
    let there = valid.iter().any(|one| one.relation.as_ref().is_some_and(|one| one.table() == relation));
    (!there && !valid.is_empty()).then(|| no_entry(relation))
}

fn no_entry(relation: &str) -> Known {
    ("42P01", format!("missing FROM-clause entry for table \"{relation}\""))
}

fn said(m: &str) -> Option<Known> {
    let starts = |text: &str| m.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let words = |code: &'static str, text: &str| Some((code, text.to_owned()));
    if m.contains("OuterReferenceColumn(") {
        return words("0A000", "a subquery that reads columns of the query around it is not supported here");
    }
    if ["query INSERT ", "query UPDATE ", "query DELETE "].into_iter().any(starts) && m.ends_with("not implemented yet") {
        return words("0A000", "a statement that writes is not supported in WITH");
    }
    if starts("Cannot cast string '") || starts("Cannot cast value '") {
        let (value, of) = m.split_once('\'')?.1.rsplit_once("' to value of ")?;
        return unreadable(value, of.split(" type").next().unwrap_or(of));
    }
    if starts("Error parsing timestamp from '") {
        let rest = m.split_once('\'')?.1;
        if let Some((value, format)) = rest.split_once("' using format '") {
            return Some(("22007", format!("invalid value \"{value}\" for \"{}\"", format.split('\'').next().unwrap_or(format))));
        }
        return Some(moment(rest.split_once("': ").map_or(rest, |(value, _)| value), "timestamp"));
    }
    if starts("Invalid input syntax for type interval") {
        return Some(("22007", format!("i{}", m.get(1..)?)));
    }
    if starts("Can't cast value ") {
        return Some(("22003", format!("{} out of range", integer(m.rsplit_once(" to type ")?.1.trim())?)));
    }
    if starts("Cannot cast to Decimal") && m.contains("Overflowing") || m.contains("to store in a Decimal") {
        return words("22003", "numeric field overflow");
    }
    if starts("Unsupported date_trunc granularity: '") || starts("Date part '") && m.contains("not supported") {
        return Some(("22023", format!("unit \"{}\" not recognized", m.split('\'').nth(1)?)));
    }
    if m.to_lowercase().contains("regex parse error") {
        let why = m.lines().find_map(|line| line.trim().strip_prefix("error: ")).unwrap_or("it cannot be read");
        return Some(("2201B", format!("invalid regular expression: {why}")));
    }
    if starts("Order by column out of bounds, specified: ") {
        let position = m.split("specified: ").nth(1)?.split(',').next()?;
        return Some(("42P10", format!("ORDER BY position {position} is not in select list")));
    }
    if starts("Cannot find column with position ") {
        let position = m.split("position ").nth(1)?.split(' ').next()?;
        return Some(("42P10", format!("GROUP BY position {position} is not in select list")));
    }
    if starts("Aggregate functions are not allowed in the WHERE clause") {
        return words("42803", "aggregate functions are not allowed in WHERE");
    }
    if starts("Aggregate function calls cannot contain window function calls") {
        return words("42803", "aggregate function calls cannot contain window function calls");
    }
    if starts("Aggregate function calls cannot be nested") {
        return words("42803", "aggregate function calls cannot be nested");
    }
    if starts("Window function calls cannot be nested") {
        return words("42P20", "window function calls cannot be nested");
    }
    if starts("Invalid qualifier ") {
        return Some(no_entry(m.get("Invalid qualifier ".len()..)?.trim_end_matches('.')));
    }
    if let Some(rest) = m.strip_prefix("HAVING clause references: ") {
        let column = rest.split(' ').next().filter(|word| word.chars().all(|c| c.is_alphanumeric() || "._".contains(c)));
        let what = column.map_or_else(|| "what HAVING reads".to_owned(), |column| format!("column \"{column}\""));
        return Some(("42803", format!("{what} must appear in the GROUP BY clause or be used in an aggregate function")));
    }
    if let Some((before, _)) = m.split_once(" must appear in the GROUP BY clause") {
        let column = before.get(before.rfind("column \"")?..)?;
        return Some(("42803", format!("{column} must appear in the GROUP BY clause or be used in an aggregate function")));
    }
    if starts("Physical plan does not support logical expression ") {
        return match m.get("Physical plan does not support logical expression ".len()..)?.split('(').next() {
            Some("WindowFunction") => words("42P20", "window functions are not allowed here"),
            Some("AggregateFunction") => words("42803", "aggregate functions are not allowed here"),
            _ => words("0A000", "a subquery that reads columns of the query around it is not supported here"),
        };
    }
    // Functions that check their arguments themselves say better what is wrong.
    if let Some((_, call)) = m.split_once("No function matches the given name and argument types '")
        && !m.contains("user-defined coercion failed")
    {
        let (name, arguments) = call.split_once("'.")?.0.strip_suffix(')')?.split_once('(')?;
        return Some(("42883", format!("function {name}({}) does not exist", list(arguments))));
    }
    if m.contains("unction '") && m.ends_with("' does not support named arguments") {
        return Some(("42883", format!("function {} with named arguments does not exist", m.split('\'').nth(1)?)));
    }
    if starts("Unknown parameter name '") {
        return Some(("42883", format!("function with an argument \"{}\" does not exist", m.split('\'').nth(1)?)));
    }
    if m.contains("failed to match any signature") {
        return Some(("42883", format!("function {} does not take these arguments", m.split('\'').nth(1)?)));
    }
    if starts("[return_type] ") {
        let (name, of) = m.get("[return_type] ".len()..)?.split_once(" not supported for ")?;
        return Some(("42883", format!("function {}({}) does not exist", name.to_lowercase(), list(of))));
    }
    if starts("Cannot run range queries on datatype: ") {
        let of = list(m.get("Cannot run range queries on datatype: ".len()..)?);
        return Some(("42883", format!("could not identify an ordering operator for type {of}")));
    }
    if starts("Failed to coerce types ") {
        let (left, right) = m.get("Failed to coerce types ".len()..)?.rsplit_once(" in BETWEEN")?.0.split_once(" and ")?;
        return Some(("42883", format!("operator does not exist: {} >= {}", list(left), list(right))));
    }
    if let Some(known) = wrong_types::said(m) {
        return Some(known);
    }
    if starts("For SELECT DISTINCT, ORDER BY expressions ") {
        return words("42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
    }
    if let Some((op, _)) = m.split_once(" queries have different number of columns") {
        return Some(("42601", format!("each {op} query must have the same number of columns")));
    }
    if starts("INTERSECT/EXCEPT query must have the same number of columns") {
        return words("42601", "each INTERSECT or EXCEPT query must have the same number of columns");
    }
    if starts("field position must not be zero") {
        return words("22023", "field position must not be zero");
    }
    if starts("Unable to parse date from ") {
        let date = m.get("Unable to parse date from ".len()..)?.replace(", ", "-");
        return Some(("22008", format!("date field value out of range: {date}")));
    }
    if starts("Step cannot be zero") || starts("Step can't be 0 for function ") {
        return words("22023", "step size cannot equal zero");
    }
    if starts("LIMIT must be >=") {
        return words("2201W", "LIMIT must not be negative");
    }
    if starts("OFFSET must be >=") {
        return words("2201X", "OFFSET must not be negative");
    }
    if starts("Cannot take square root of a negative number") {
        return words("2201F", "cannot take square root of a negative number");
    }
    None
}

/// A text that is no value of a type of Arrow's name.
fn unreadable(value: &str, of: &str) -> Option<Known> {
    if let Some(name) = integer(of) {
        let digits = value.trim().trim_start_matches(['+', '-']);
        // Digits and nothing else are a number, but too large a one.
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(("22003", format!("value \"{value}\" is out of range for type {name}")));
        }
        return Some(wrong("22P02", name, value));
    }
    Some(match of {
        "Float32" => wrong("22P02", "real", value),
        "Float64" => wrong("22P02", "double precision", value),
        "Boolean" => wrong("22P02", "boolean", value),
        "Date32" | "Date64" => moment(value, "date"),
        of if of.starts_with("Time32") || of.starts_with("Time64") => moment(value, "time"),
        of if of.starts_with("Timestamp") => moment(value, "timestamp"),
        of if of.starts_with("Decimal") => wrong("22P02", "numeric", value),
        _ => return None,
    })
}

fn wrong(code: &'static str, of: &str, value: &str) -> Known {
    (code, format!("invalid input syntax for type {of}: \"{value}\""))
}

/// A date or time that is none: of the right form, but such as a 30th of February, or no date at all.
fn moment(value: &str, of: &str) -> Known {
    let text = value.trim();
    let form = text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(['-', ':']);
    if form && text.chars().all(|c| c.is_ascii_digit() || "-:.+TZ ".contains(c)) {
        return ("22008", format!("date/time field value out of range: \"{value}\""));
    }
    wrong("22007", of, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_as_in_postgres() {
        for (text, code, told) in [
            ("Cannot cast string 'x' to value of Int32 type", "22P02", "invalid input syntax for type integer: \"x\""),
            ("Cannot cast string '99999999999' to value of Int32 type", "22003", "value \"99999999999\" is out of range for type integer"),
            ("Cannot cast string 'it's' to value of Date32 type", "22007", "invalid input syntax for type date: \"it's\""),
            ("Cannot cast string '2024-02-30' to value of Date32 type", "22008", "date/time field value out of range: \"2024-02-30\""),
            ("Error parsing timestamp from 'x': timestamp must", "22007", "invalid input syntax for type timestamp: \"x\""),
            ("Error parsing timestamp from 'x' using format 'YYYY': premature", "22007", "invalid value \"x\" for \"YYYY\""),
            ("Invalid input syntax for type interval: \"3 Foo\"", "22007", "invalid input syntax for type interval: \"3 Foo\""),
            ("Can't cast value 99999 to type Int16", "22003", "smallint out of range"),
            ("Date part 'foo' not supported", "22023", "unit \"foo\" not recognized"),
            ("Syntax(\nregex parse error:\n    (\n    ^\nerror: unclosed group\n)", "2201B", "invalid regular expression: unclosed group"),
            (
                "Failed to coerce arguments. No function matches the given name and argument types 'f(Utf8, Timestamp(µs, \"UTC\"), Int64)'. You",
                "42883",
                "function f(text, timestamp with time zone, bigint) does not exist",
            ),
            ("[return_type] SUM not supported for Null", "42883", "function sum(unknown) does not exist"),
            ("Order by column out of bounds, specified: 2, max: 1", "42P10", "ORDER BY position 2 is not in select list"),
            (
                "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"t.b\" must appear in the \
                 GROUP BY clause or must be part of an aggregate function",
                "42803",
                "column \"t.b\" must appear in the GROUP BY clause or be used in an aggregate function",
            ),
        ] {
            assert_eq!(said(text), Some((code, told.to_owned())), "{text}");
        }
        assert_eq!(said("something else"), None);
    }

    #[test]
    fn a_column_of_what_is_not_in_from_is_told_from_one_that_its_table_has_not() {
        let (asked, there) = (Column::new(Some("x"), "id"), Column::new(Some("t"), "a"));
        assert_eq!(missing_entry(&asked, std::slice::from_ref(&there)).map(|known| known.0), Some("42P01"));
        assert_eq!(missing_entry(&Column::new(Some("t"), "id"), &[there]), None);
        assert_eq!(missing_entry(&asked, &[]), None);
    }
}
