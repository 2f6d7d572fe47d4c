//! Structs, and lists and maps of them, as jsonb: the spacing of Postgres, the fields in their own order, times in UTC whatever the session shows.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float32Type, Float64Type};
use framesql_udfs::frame::is_frame;

use super::text_type::TextType;
use super::value_text as text;
use crate::error::Result;
use crate::settings::TimeZone;

/// What stands between elements, and between a name and its value.
#[derive(Clone, Copy)]
struct Spacing {
    comma: &'static str,
    colon: &'static str,
}

/// Appends a value, `null` included. Errs for types that have no text.
pub fn write(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    value(out, array, row, Spacing { comma: ", ", colon: ": " })
}

/// The same without spaces, as a json is made of a value.
pub fn write_compact(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    value(out, array, row, Spacing { comma: ",", colon: ":" })
}

/// Appends a value of a field: what is JSON already stands as it is.
fn of_field(out: &mut String, field: &Field, array: &dyn Array, row: usize, spacing: Spacing) -> Result<()> {
    match array.as_string_opt::<i32>() {
        Some(texts) if texts.is_valid(row) && TextType::of_field(field).is_some_and(TextType::json) => out.push_str(texts.value(row)),
        _ => value(out, array, row, spacing)?,
    }
    Ok(())
}

fn value(out: &mut String, array: &dyn Array, row: usize, spacing: Spacing) -> Result<()> {
    if array.is_null(row) || array.data_type().is_null() {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        frames if is_frame(frames) => quoted(out, array, row)?,
        DataType::Struct(fields) => object(out, fields, array, row, spacing)?,
        DataType::Map(..) => entries(out, array.as_map().value(row).columns(), spacing)?,
        DataType::List(of) => elements(out, of, array.as_list::<i32>().value(row).as_ref(), spacing)?,
        DataType::LargeList(of) => elements(out, of, array.as_list::<i64>().value(row).as_ref(), spacing)?,
        DataType::FixedSizeList(of, _) => elements(out, of, array.as_fixed_size_list().value(row).as_ref(), spacing)?,
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Float32 if !array.as_primitive::<Float32Type>().value(row).is_finite() => quoted(out, array, row)?,
        DataType::Float64 if !array.as_primitive::<Float64Type>().value(row).is_finite() => quoted(out, array, row)?,
        numbers if numbers.is_numeric() => text::write(out, array, row, TimeZone::default())?,
        DataType::Timestamp(unit, zone) => {
            out.push('"');
            text::timestamp(out, text::timestamp_us(array, row, *unit), 'T', if zone.is_some() { "+00:00" } else { "" });
            out.push('"');
        }
        _ => quoted(out, array, row)?,
    }
    Ok(())
}

fn quoted(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    let mut plain = String::new();
    text::write(&mut plain, array, row, TimeZone::default())?;
    string(out, &plain);
    Ok(())
}

/// Appends a string in its quotes.
pub(super) fn string(out: &mut String, plain: &str) {
    out.push('"');
    for c in plain.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                // A String takes every write.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn object(out: &mut String, fields: &Fields, array: &dyn Array, row: usize, spacing: Spacing) -> Result<()> {
    // A row that is written out, `(1, 'a')`, has no names but those that Postgres gives it.
    let nameless = fields.iter().enumerate().all(|(at, field)| field.name().strip_prefix('c').is_some_and(|n| n == at.to_string()));
    out.push('{');
    for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
        if at > 0 {
            out.push_str(spacing.comma);
        }
        if nameless {
            string(out, &format!("f{}", at + 1))
        } else {
            string(out, field.name())
        }
        out.push_str(spacing.colon);
        of_field(out, field, column.as_ref(), row, spacing)?;
    }
    out.push('}');
    Ok(())
}

fn entries(out: &mut String, columns: &[ArrayRef], spacing: Spacing) -> Result<()> {
    let [keys, values] = columns else { return Ok(()) };
    out.push('{');
    for row in 0..keys.len() {
        if row > 0 {
            out.push_str(spacing.comma);
        }
        quoted(out, keys.as_ref(), row)?;
        out.push_str(spacing.colon);
        value(out, values.as_ref(), row, spacing)?;
    }
    out.push('}');
    Ok(())
}

fn elements(out: &mut String, of: &Field, array: &dyn Array, spacing: Spacing) -> Result<()> {
    out.push('[');
    for row in 0..array.len() {
        if row > 0 {
            out.push_str(spacing.comma);
        }
        of_field(out, of, array, row, spacing)?;
    }
    out.push(']');
    Ok(())
}
