//! A row as one line: csv as Postgres writes it, a JSON object, or COPY's text.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::settings::TimeZone;
use crate::wire;

/// The names of the columns.
pub(super) fn csv_header(text: &mut String, schema: &SchemaRef) {
    for (at, field) in schema.fields().iter().enumerate() {
        separate(text, at, ',');
        csv_value(text, field.name());
    }
    text.push('\n');
}

/// Values between commas, quoted where they must be: nothing is NULL, `""` is an empty string.
pub(super) fn csv(text: &mut String, batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
    let mut value = String::new();
    for (at, column) in batch.columns().iter().enumerate() {
        separate(text, at, ',');
        if !column.is_null(row) {
            value.clear();
            wire::write_text(&mut value, column, row, zone)?;
            csv_value(text, &value);
        }
    }
    text.push('\n');
    Ok(())
}

fn csv_value(text: &mut String, value: &str) {
    if value.is_empty() || value == "\\." || value.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&value.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(value);
    }
}

/// `{"name": value, …}`, in the spacing of Postgres.
pub(super) fn json(text: &mut String, schema: &SchemaRef, batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
    text.push('{');
    for (at, (field, column)) in schema.fields().iter().zip(batch.columns()).enumerate() {
        separate(text, at, ',');
        if at > 0 {
            text.push(' ');
        }
        // A JSON string is quoted as serde_json quotes it; it cannot fail on text.
        text.push_str(&serde_json::Value::from(field.name().as_str()).to_string());
        text.push_str(": ");
        wire::write_json(text, column, row, zone)?;
    }
    text.push_str("}\n");
    Ok(())
}

/// Values between tabs, `\N` for NULL, backslash before what would end a value or a row.
pub(super) fn copy(text: &mut String, batch: &RecordBatch, row: usize, zone: TimeZone) -> Result<()> {
    let mut value = String::new();
    for (at, column) in batch.columns().iter().enumerate() {
        separate(text, at, '\t');
        if column.is_null(row) {
            text.push_str("\\N");
            continue;
        }
        value.clear();
        wire::write_text(&mut value, column, row, zone)?;
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '\t' => text.push_str("\\t"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                c => text.push(c),
            }
        }
    }
    text.push('\n');
    Ok(())
}

fn separate(text: &mut String, at: usize, separator: char) {
    if at > 0 {
        text.push(separator);
    }
}
