//! NDJSON: one JSON object a line; a field that is absent is NULL, one that is not among the columns is not read.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::reader::{ReaderBuilder, infer_json_schema_from_iterator};
use serde_json::Value;

use super::records::{Chunk, Records, TextRows, at_line};
use super::{INFER_ROWS, OnError, Rows, unreadable};
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// The columns of a file, as its first lines have them. A line that is no object is an error that names it (22P02), or left out.
pub fn schema(path: &Path, on_error: OnError) -> Result<Schema> {
    let lines = Records::open(path, None)?.next(INFER_ROWS)?;
    let object = |(line, bytes): (u64, &[u8])| match serde_json::from_slice::<Value>(bytes) {
        Ok(value @ Value::Object(_)) => Some(Ok(value)),
        _ if on_error == OnError::Skip => None,
        Ok(_) => Some(Err(at_line(path, line, "22P02", "the line is no object"))),
        Err(e) => {
            let reason = e.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            Some(Err(at_line(path, line, "22P02", &format!("not valid JSON: {reason}"))))
        }
    };
    let objects = lines.iter().flat_map(Chunk::each).filter_map(object).collect::<Result<Vec<_>>>()?;
    let found = infer_json_schema_from_iterator(objects.iter().map(Ok)).map_err(|e| unreadable(path, &explain(&e).1))?;
    if found.fields().is_empty() {
        return Err(Error::Media {
            code: "22023",
            message: format!("file \"{}\" has no object from which its columns could be known", path.display()),
            hint: Some("Name them: WITH (columns = 'id int8, ts timestamptz').".into()),
        });
    }
    Ok(found)
}

/// The rows of a file; columns of `schema` at `projection` are read.
pub fn open(
    path: &Path,
    schema: &SchemaRef,
    projection: &[usize],
    batch_rows: usize,
    on_error: OnError,
    counters: &Arc<SourceCounters>,
) -> Result<Rows> {
    let records = Records::open(path, None)?;
    let read: SchemaRef = Arc::new(schema.project(projection)?);
    let decode = move |bytes: &[u8], n: usize| {
        let builder = ReaderBuilder::new(Arc::clone(&read)).with_batch_size(n.max(1)).with_coerce_primitive(true);
        let mut decoder = builder.build_decoder()?;
        let taken = decoder.decode(bytes)?;
        if decoder.has_partial_record() {
            return Err(ArrowError::JsonError("the object is cut off".into()));
        }
        if !bytes.get(taken..).unwrap_or_default().trim_ascii().is_empty() {
            return Err(ArrowError::JsonError("more than one object on the line".into()));
        }
        decoder.flush()?.ok_or_else(|| ArrowError::JsonError("the line is no object".into()))
    };
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

fn explain(error: &ArrowError) -> (&'static str, String) {
    let text = match error {
        ArrowError::JsonError(m) | ArrowError::ParseError(m) | ArrowError::CastError(m) => m.clone(),
        other => other.to_string(),
    };
    ("22P02", text.lines().next().unwrap_or("").trim_end_matches('.').to_owned())
}
