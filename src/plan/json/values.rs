//! Structs, and lists and maps of them, as jsonb: the style of Postgres, the fields in their own order.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float32Type, Float64Type};
use framesql_udfs::frame::is_frame;

use crate::error::Result;
use crate::plan::value::text_type::TextType;
use crate::plan::value::write as text;
use crate::settings::TimeZone;

/// How values are written.
#[derive(Clone, Copy)]
struct Style {
    /// What stands between elements.
    comma: &'static str,
    /// What stands between a name and its value.
    colon: &'static str,
    /// Where times are shown whose type names no zone but UTC.
    zone: TimeZone,
}

/// Appends a value, `null` included, times in that zone unless their type names another than UTC. Errs for types that have no text.
pub fn write(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    value(out, array, row, Style { comma: ", ", colon: ": ", zone })
}

/// The same without spaces, as a json is made of a value.
pub fn write_compact(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    value(out, array, row, Style { comma: ",", colon: ":", zone })
}

/// Appends a value of a field: what is JSON already stands as it is.
fn of_field(out: &mut String, field: &Field, array: &dyn Array, row: usize, style: Style) -> Result<()> {
    match array.as_string_opt::<i32>() {
        Some(texts) if texts.is_valid(row) && TextType::of_field(field).is_some_and(TextType::json) => out.push_str(texts.value(row)),
        _ => value(out, array, row, style)?,
    }
    Ok(())
}

fn value(out: &mut String, array: &dyn Array, row: usize, style: Style) -> Result<()> {
    if array.is_null(row) || array.data_type().is_null() {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        frames if is_frame(frames) => quoted(out, array, row, style.zone)?,
        DataType::Struct(fields) => object(out, fields, array, row, style)?,
        DataType::Map(..) => entries(out, array.as_map().value(row).columns(), style)?,
        DataType::List(of) => elements(out, of, array.as_list::<i32>().value(row).as_ref(), style)?,
        DataType::LargeList(of) => elements(out, of, array.as_list::<i64>().value(row).as_ref(), style)?,
        DataType::FixedSizeList(of, _) => elements(out, of, array.as_fixed_size_list().value(row).as_ref(), style)?,
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Float32 if !array.as_primitive::<Float32Type>().value(row).is_finite() => quoted(out, array, row, style.zone)?,
        DataType::Float64 if !array.as_primitive::<Float64Type>().value(row).is_finite() => quoted(out, array, row, style.zone)?,
        numbers if numbers.is_numeric() => text::write(out, array, row, style.zone)?,
        DataType::Timestamp(unit, zoned) => {
            let us = text::timestamp_us(array, row, *unit);
            out.push('"');
            match zoned.as_deref() {
                None => text::timestamp(out, us, 'T', ""),
                Some("UTC") => text::zoned_timestamp(out, us, style.zone, 'T', ":"),
                // A type that names another zone says where its times are shown.
                Some(named) => text::zoned_timestamp(out, us, TimeZone::of_arrow(named), 'T', ":"),
            }
            out.push('"');
        }
        _ => quoted(out, array, row, style.zone)?,
    }
    Ok(())
}

fn quoted(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    let mut plain = String::new();
    text::write(&mut plain, array, row, zone)?;
    string(out, &plain);
    Ok(())
}

/// Appends a string in its quotes.
pub(in crate::plan) fn string(out: &mut String, plain: &str) {
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

fn object(out: &mut String, fields: &Fields, array: &dyn Array, row: usize, style: Style) -> Result<()> {
    // A row that is written out, `(1, 'a')`, has no names but those that Postgres gives it.
    let nameless = fields.iter().enumerate().all(|(at, field)| field.name().strip_prefix('c').is_some_and(|n| n == at.to_string()));
    out.push('{');
    for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
        if at > 0 {
            out.push_str(style.comma);
        }
        if nameless {
            string(out, &format!("f{}", at + 1))
        } else {
            string(out, field.name())
        }
        out.push_str(style.colon);
        of_field(out, field, column.as_ref(), row, style)?;
    }
    out.push('}');
    Ok(())
}

fn entries(out: &mut String, columns: &[ArrayRef], style: Style) -> Result<()> {
    let [keys, values] = columns else { return Ok(()) };
    out.push('{');
    for row in 0..keys.len() {
        if row > 0 {
            out.push_str(style.comma);
        }
        quoted(out, keys.as_ref(), row, style.zone)?;
        out.push_str(style.colon);
        value(out, values.as_ref(), row, style)?;
    }
    out.push('}');
    Ok(())
}

fn elements(out: &mut String, of: &Field, array: &dyn Array, style: Style) -> Result<()> {
    out.push('[');
    for row in 0..array.len() {
        if row > 0 {
            out.push_str(style.comma);
        }
        of_field(out, of, array, row, style)?;
    }
    out.push(']');
    Ok(())
}
