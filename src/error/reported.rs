//! What DataFusion and Arrow report, as a user reads it: its first line without prefixes and dumps, and a SQLSTATE by its kind.

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use framesql_udfs::out_of_range::OutOfRange;

use super::{Error, known, type_names};

/// What DataFusion puts before the error of a function that checks its own arguments.
const COERCION: &str = "user-defined coercion failed with: ";

/// DataFusion's text without its prefixes, backtrace and dumps: a user reads the first line.
pub(super) fn text(e: &DataFusionError) -> String {
    if let Some((_, text)) = known::of(e.find_root()) {
        return text;
    }
    let text = match e.find_root() {
        DataFusionError::SchemaError(e, _) => match e.as_ref() {
            SchemaError::FieldNotFound { field, .. } => format!("column \"{}\" does not exist", field.flat_name()),
            SchemaError::AmbiguousReference { field } => format!("column reference \"{}\" is ambiguous", field.name),
            e => e.to_string(),
        },
        DataFusionError::SQL(e, _) => match e.as_ref() {
            ParserError::TokenizerError(m) | ParserError::ParserError(m) => m.clone(),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
        },
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::DivideByZero => "division by zero".to_owned(),
            ArrowError::CastError(m) | ArrowError::ParseError(m) | ArrowError::ComputeError(m) | ArrowError::InvalidArgumentError(m) => {
                m.clone()
            }
            ArrowError::ArithmeticOverflow(m) => m.clone(),
            e => e.to_string(),
        },
        e => e.strip_backtrace(),
    };
    let mut line = text.lines().next().unwrap_or("").trim();
    // A function of ours says what its arguments are; DataFusion puts that between its own words.
    if let Some((_, ours)) = line.split_once(COERCION) {
        line = ours.split(" No function matches the given name").next().unwrap_or(ours).trim();
    }
    for prefix in
        ["Error during planning: ", "Execution error: ", "This feature is not implemented: ", "Schema error: ", "External error: "]
    {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    if let Some(relation) = missing_relation(line) {
        return format!("relation \"{relation}\" does not exist");
    }
    let line = type_names::in_sql(line);
    let mut chars = line.trim_end_matches('.').chars();
    match (chars.next(), chars.clone().next()) {
        // An abbreviation or a type name keeps its capital.
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(chars).collect(),
        _ => line,
    }
}

/// The function that was meant, where one is called nearly so.
pub(super) fn hint(e: &DataFusionError) -> Option<String> {
    let DataFusionError::Plan(text) = e.find_root() else { return None };
    let (name, suggested) = text.strip_prefix("Invalid function '")?.split_once("'.\nDid you mean '")?;
    let suggested = suggested.strip_suffix("'?")?;
    // One letter in four at most is another: DataFusion names the nearest of all, however far it is.
    let near = levenshtein(name, suggested) <= name.chars().count().div_ceil(4);
    near.then(|| format!("Did you mean {suggested}?"))
}

/// The name in "table 'database.public.name' not found", as the user wrote it.
fn missing_relation(line: &str) -> Option<String> {
    let name = line.strip_prefix("table '")?.strip_suffix("' not found")?;
    let mut parts: Vec<&str> = name.split('.').collect();
    if parts.len() == 3 {
        parts.remove(0);
    }
    if parts.first() == Some(&"public") && parts.len() == 2 {
        parts.remove(0);
    }
    Some(parts.join("."))
}

pub(super) fn sqlstate(e: &DataFusionError) -> &'static str {
    if let Some((code, _)) = known::of(e.find_root()) {
        return code;
    }
    // One of ours in what several wait for, such as the value of a subquery.
    if let DataFusionError::External(inner) = e.find_root()
        && let Some(ours) = inner.downcast_ref::<Error>()
    {
        return ours.sqlstate();
    }
    match e.find_root() {
        DataFusionError::SQL(..) => "42601",
        DataFusionError::SchemaError(e, _) => match e.as_ref() {
            SchemaError::FieldNotFound { .. } => "42703",
            SchemaError::AmbiguousReference { .. } => "42702",
            _ => "42701",
        },
        DataFusionError::External(_) if OutOfRange::caused(e) => "22023",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::Plan(m) | DataFusionError::Execution(m) => message_sqlstate(m),
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::DivideByZero => "22012",
            ArrowError::ArithmeticOverflow(_) => "22003",
            // A number that its new type has no room for; a text that is no number is said otherwise.
            ArrowError::CastError(m) if m.starts_with("Can't cast value") => "22003",
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "22P02",
            ArrowError::MemoryError(_) => "53200",
            ArrowError::IoError(..) => "58030",
            ArrowError::InvalidArgumentError(m) | ArrowError::ComputeError(m) => message_sqlstate(m),
            _ => "XX000",
        },
        DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => "58030",
        _ => "XX000",
    }
}

/// DataFusion names some mistakes by text only; the texts are of 55.2 and tests/slt/error asserts the codes.
fn message_sqlstate(message: &str) -> &'static str {
    let m = message.to_lowercase();
    if m.contains(COERCION) {
        return "42804";
    }
    let has = |words: &[&str]| words.iter().any(|w| m.contains(w));
    if has(&["table '"]) && has(&["not found"]) || has(&["no table named"]) {
        "42P01"
    } else if has(&["invalid function", "no function matches", "function not found"]) || m.contains("function '") && m.contains("not found")
    {
        "42883"
    } else if has(&["more than one row"]) {
        "21000"
    } else if has(&["take square root of a negative", "zero raised to a negative power", "raised to a non-integer power"]) {
        "2201F"
    } else if has(&["divide by zero", "division by zero"]) {
        "22012"
    } else if has(&["overflow", "out of range"]) {
        "22003"
    } else if has(&["cannot cast string", "cannot parse", "error parsing"]) {
        "22P02"
    } else if has(&["no field named", "column '"]) && has(&["no field named", "not found"]) || has(&["not found in struct"]) {
        "42703"
    } else if has(&["ambiguous reference"]) {
        "42702"
    } else if has(&["must be in the group by", "must appear in the group by"]) {
        "42803"
    } else if has(&["not supported", "unsupported"]) {
        "0A000"
    } else {
        "42804"
    }
}
