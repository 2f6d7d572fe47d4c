//! Structs, and lists and maps of them, as jsonb: the spacing of Postgres, the fields in their own order.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Fields, Float32Type, Float64Type};
use framesql_udfs::frame::is_frame;

use super::value_text as text;
use crate::error::Result;
use crate::settings::TimeZone;

/// Appends a value, `null` included, times in that zone unless their type names another than UTC. Errs for types that have no text.
pub fn write(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    if array.is_null(row) || array.data_type().is_null() {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        frames if is_frame(frames) => quoted(out, array, row, zone)?,
        DataType::Struct(fields) => object(out, fields, array, row, zone)?,
        DataType::Map(..) => entries(out, array.as_map().value(row).columns(), zone)?,
        DataType::List(_) => elements(out, array.as_list::<i32>().value(row).as_ref(), zone)?,
        DataType::LargeList(_) => elements(out, array.as_list::<i64>().value(row).as_ref(), zone)?,
        DataType::FixedSizeList(..) => elements(out, array.as_fixed_size_list().value(row).as_ref(), zone)?,
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Float32 if !array.as_primitive::<Float32Type>().value(row).is_finite() => quoted(out, array, row, zone)?,
        DataType::Float64 if !array.as_primitive::<Float64Type>().value(row).is_finite() => quoted(out, array, row, zone)?,
        numbers if numbers.is_numeric() => text::write(out, array, row, zone)?,
        DataType::Timestamp(unit, zoned) => {
            let us = text::timestamp_us(array, row, *unit);
            out.push('"');
            match zoned.as_deref() {
                None => text::timestamp(out, us, 'T', ""),
                Some("UTC") => text::zoned_timestamp(out, us, zone, 'T', ":"),
                // A type that names another zone says where its times are shown.
                Some(named) => text::zoned_timestamp(out, us, TimeZone::of_arrow(named), 'T', ":"),
            }
            out.push('"');
        }
        _ => quoted(out, array, row, zone)?,
    }
    Ok(())
}

fn quoted(out: &mut String, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    let mut plain = String::new();
    text::write(&mut plain, array, row, zone)?;
    string(out, &plain);
    Ok(())
}

fn string(out: &mut String, plain: &str) {
    out.push('"');
    for c in plain.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // A String takes every write.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn object(out: &mut String, fields: &Fields, array: &dyn Array, row: usize, zone: TimeZone) -> Result<()> {
    out.push('{');
    for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        string(out, field.name());
        out.push_str(": ");
        write(out, column.as_ref(), row, zone)?;
    }
    out.push('}');
    Ok(())
}

fn entries(out: &mut String, columns: &[ArrayRef], zone: TimeZone) -> Result<()> {
    let [keys, values] = columns else { return Ok(()) };
    out.push('{');
    for row in 0..keys.len() {
        if row > 0 {
            out.push_str(", ");
        }
        quoted(out, keys.as_ref(), row, zone)?;
        out.push_str(": ");
        write(out, values.as_ref(), row, zone)?;
    }
    out.push('}');
    Ok(())
}

fn elements(out: &mut String, array: &dyn Array, zone: TimeZone) -> Result<()> {
    out.push('[');
    for row in 0..array.len() {
        if row > 0 {
            out.push_str(", ");
        }
        write(out, array, row, zone)?;
    }
    out.push(']');
    Ok(())
}
