//! CSV, with a comma or another delimiter: the first line names the columns, the types are told or found in the first lines; an empty field is NULL.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::records::{Records, TextRows, at_line};
use super::{INFER_ROWS, OnError, Rows, unreadable};
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// What stands between fields unless another is named.
pub const COMMA: u8 = b',';

/// The columns of a file, as its first lines have them. Errs if it has no header.
pub fn schema(path: &Path, delimiter: u8) -> Result<Schema> {
    let file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
    let names = header(path, delimiter)?;
    let (found, _) = Format::default()
        .with_header(true)
        .with_delimiter(delimiter)
        .with_truncated_rows(true)
        .infer_schema(BufReader::new(file), Some(INFER_ROWS))
        .map_err(|e| unreadable(path, &e.to_string()))?;
    // The names are read by us, as a file may begin with a byte order mark.
    let fields = found.fields().iter().zip(names).map(|(f, name)| f.as_ref().clone().with_name(name).with_nullable(true));
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

/// The names in the first line. Errs if there is none.
pub fn header(path: &Path, delimiter: u8) -> Result<Vec<String>> {
    names(path, &mut Records::open(path, Some(delimiter))?, delimiter)
}

fn names(path: &Path, records: &mut Records, delimiter: u8) -> Result<Vec<String>> {
    let Some(first) = records.next(1)? else {
        return Err(Error::Media {
            code: "22023",
            message: format!("file \"{}\" is empty", path.display()),
            hint: Some("The first line of a CSV file names its columns.".into()),
        });
    };
    let (found, _) = Format::default()
        .with_header(true)
        .with_delimiter(delimiter)
        .infer_schema(Cursor::new(first.bytes()), Some(1))
        .map_err(|e| unreadable(path, &e.to_string()))?;
    Ok(found.fields().iter().map(|f| f.name().trim().to_owned()).collect())
}

/// The rows of a file whose columns are `schema`, in their order in the file; those of `projection` are read.
pub fn open(
    path: &Path,
    delimiter: u8,
    schema: &SchemaRef,
    projection: &[usize],
    batch_rows: usize,
    on_error: OnError,
    counters: &Arc<SourceCounters>,
) -> Result<Rows> {
    let mut records = Records::open(path, Some(delimiter))?;
    let names = names(path, &mut records, delimiter)?;
    // Columns are found by their names: another file may have them in another order, and more of them.
    let mut fields = Vec::with_capacity(names.len());
    for name in &names {
        let text = Field::new(name, DataType::Utf8, true);
        fields.push(schema.field_with_name(name).cloned().unwrap_or(text));
    }
    let mut places = Vec::with_capacity(projection.len());
    for at in projection {
        let wanted = schema.field(*at).name();
        let place = names
            .iter()
            .position(|n| n == wanted)
            .ok_or_else(|| at_line(path, 1, "42703", &format!("the header names no column \"{wanted}\"")))?;
        places.push(place);
    }
    let own: SchemaRef = Arc::new(Schema::new(fields));
    let shown = Arc::clone(&own);
    let decode = move |bytes: &[u8], n: usize| {
        let builder =
            ReaderBuilder::new(Arc::clone(&own)).with_delimiter(delimiter).with_batch_size(n.max(1)).with_projection(places.clone());
        let mut decoder = builder.build_decoder();
        let mut rest = bytes;
        loop {
            let taken = decoder.decode(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            if taken == 0 || rest.is_empty() {
                break;
            }
        }
        // The line feed of a CR LF may be left over.
        if !rest.trim_ascii().is_empty() {
            return Err(ArrowError::CsvError("more than one record".into()));
        }
        decoder.flush()?.ok_or_else(|| ArrowError::CsvError("no record".into()))
    };
    let explain = move |error: &ArrowError| explain(error, &shown);
    Ok(Box::new(TextRows {
        records,
        decode: Box::new(decode),
        explain: Box::new(explain),
        on_error,
        counters: Arc::clone(counters),
        batch_rows,
        failed: None,
    }))
}

/// Arrow's text names the column by its number and its own type; a user reads names.
fn explain(error: &ArrowError, schema: &Schema) -> (&'static str, String) {
    let text = match error {
        ArrowError::ParseError(m) | ArrowError::CsvError(m) | ArrowError::CastError(m) => m.clone(),
        other => other.to_string(),
    };
    let value = || -> Option<String> {
        let (value, rest) = text.split_once("value '")?.1.split_once("' as type '")?;
        let (_, rest) = rest.split_once("for column ")?;
        let column: usize = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        let field = schema.fields().get(column)?;
        Some(format!("\"{value}\" is no {} for column \"{}\"", super::columns::word(field.data_type()), field.name()))
    };
    if let Some(reason) = value() {
        return ("22P02", reason);
    }
    if text.contains("incorrect number of fields") {
        return ("22P04", format!("the record has not the {} fields of the header", schema.fields().len()));
    }
    ("22P04", text.split(" at line").next().unwrap_or(&text).to_owned())
}
