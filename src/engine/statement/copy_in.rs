//! `COPY table FROM STDIN`: lines of text or CSV, or rows that the client's room has read, to rows of a table, all of them or none.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryArray, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;

use super::table_rows::{Written, columns_at, keep, table_named};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::plan::parse::{CopyFormat, CopyIn};
use crate::view::table::Table;

/// Bytes that one COPY may bring: a table is held in memory.
const MOST_BYTES: usize = 256 << 20;

/// A COPY that takes what the client sends.
pub struct CopyInto {
    table: Arc<Table>,
    /// The columns of the table in the order in which they come.
    places: Vec<usize>,
    format: CopyFormat,
    bytes: Vec<u8>,
    n_bytes: usize,
    /// The values of each column that comes, in binary form.
    values: Vec<Vec<ScalarValue>>,
}

/// Errs if there is no such table or column, and for a form that is not read.
pub(super) fn begin(session: &Session, copy: &CopyIn) -> Result<CopyInto> {
    let table = table_named(session, &copy.table)?;
    let places = columns_at(&table, &copy.columns)?;
    for column in places.iter().filter_map(|at| table.columns().get(*at)).filter(|_| copy.format != CopyFormat::Binary) {
        if column.field.data_type().is_nested() {
            return Err(Error::unsupported(
                format!("COPY of column \"{}\", which is an array", column.field.name()),
                "Use INSERT, or FORMAT binary.",
            ));
        }
    }
    let values = vec![Vec::new(); places.len()];
    Ok(CopyInto { table, places, format: copy.format, bytes: Vec::new(), n_bytes: 0, values })
}

impl CopyInto {
    /// The columns that come.
    pub fn columns(&self) -> Vec<FieldRef> {
        self.places.iter().filter_map(|at| self.table.columns().get(*at)).map(|column| Arc::new(column.field.clone())).collect()
    }

    /// Takes bytes as they come, cut anywhere. Errs with 54000 if there are too many.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.count(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes a row of a binary COPY: a value of its type for each column.
    pub fn push_row(&mut self, row: Vec<ScalarValue>) {
        self.values.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }

    /// Bytes have come. Errs with 54000 if there are too many.
    pub fn count(&mut self, n_bytes: usize) -> Result<()> {
        self.n_bytes += n_bytes;
        if self.n_bytes > MOST_BYTES {
            let message = format!("COPY of more than {} MB into table \"{}\"", MOST_BYTES >> 20, self.table.name());
            return Err(Error::Data {
                code: "54000",
                message,
                detail: Some("A table is reference data; make a source of large files.".into()),
            });
        }
        Ok(())
    }

    /// Keeps the rows, and gives their number. Errs if one cannot be read (22P02, 22P04) or cannot be in the table; then none is kept.
    pub async fn finish(self) -> Result<usize> {
        let CopyInto { table, places, format, bytes, values, .. } = self;
        let _writing = table.write().await;
        if format == CopyFormat::Binary {
            let n_rows = values.first().map_or(0, Vec::len);
            let mut came: Vec<Option<ArrayRef>> = vec![None; table.columns().len()];
            for (place, values) in places.iter().zip(values) {
                if let Some(column) = came.get_mut(*place).filter(|_| n_rows > 0) {
                    *column = Some(ScalarValue::iter_to_array(values)?);
                }
            }
            return keep_all(&table, came, n_rows).await;
        }
        let text = String::from_utf8(bytes).map_err(|_| Error::Data {
            code: "22021",
            message: "invalid byte sequence for encoding \"UTF8\"".into(),
            detail: None,
        })?;
        let lines = match format {
            CopyFormat::Csv { header } => {
                let mut lines = csv(&text, table.name())?;
                if header && !lines.is_empty() {
                    lines.remove(0);
                }
                lines
            }
            _ => text_lines(&text),
        };
        keep_all(&table, columns(&table, &places, &lines)?, lines.len()).await
    }
}

/// Keeps the rows; None is a column that does not come, which has its default.
async fn keep_all(table: &Arc<Table>, columns: Vec<Option<ArrayRef>>, n_rows: usize) -> Result<usize> {
    if n_rows > 0 {
        let filled = columns.into_iter().zip(table.columns());
        let filled = filled.map(|(came, column)| came.map_or_else(|| column.default.to_array_of_size(n_rows), Ok));
        keep(table, Written { replaced: Vec::new(), columns: filled.collect::<Result<_, _>>()?, n_rows }).await?;
    }
    Ok(n_rows)
}

/// A line: its number from 1, and its fields; None is NULL.
type Line = (usize, Vec<Option<String>>);

/// Tabs between fields, `\N` for NULL, a backslash before what would be read otherwise; `\.` is the end.
fn text_lines(text: &str) -> Vec<Line> {
    let lines = text.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let fields = |line: &str| line.split('\t').map(|field| (field != "\\N").then(|| unescaped(field))).collect();
    lines.take_while(|line| *line != "\\.").enumerate().map(|(at, line)| (at + 1, fields(line))).collect()
}

fn unescaped(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let (mut out, mut chars) = (String::with_capacity(field.len()), field.chars());
    while let Some(c) = chars.next() {
        match if c == '\\' {
            chars.next()
        } else {
            out.push(c);
            continue;
        } {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

/// Commas between fields, quotes around those that hold one, two quotes for one; an empty field without quotes is NULL.
fn csv(text: &str, table: &str) -> Result<Vec<Line>> {
    let (mut lines, mut fields) = (Vec::new(), Vec::new());
    let (mut field, mut quoted, mut open) = (String::new(), false, false);
    let (mut number, mut first) = (1, 1);
    let mut chars = text.chars().peekable();
    let ended = |field: &mut String, quoted: &mut bool| {
        let text = std::mem::take(field);
        (std::mem::take(quoted) || !text.is_empty()).then_some(text)
    };
    while let Some(c) = chars.next() {
        number += usize::from(c == '\n');
        match c {
            '"' if open => {
                if chars.next_if_eq(&'"').is_some() {
                    field.push('"');
                } else {
                    open = false;
                }
            }
            _ if open => field.push(c),
            '"' => (quoted, open) = (true, true),
            ',' => fields.push(ended(&mut field, &mut quoted)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                fields.push(ended(&mut field, &mut quoted));
                lines.push((first, std::mem::take(&mut fields)));
                first = number;
            }
            _ => field.push(c),
        }
    }
    if open {
        return Err(bad(table, first, "22P04", "unterminated CSV quoted field".into(), None));
    }
    if !field.is_empty() || quoted || !fields.is_empty() {
        fields.push(ended(&mut field, &mut quoted));
        lines.push((first, fields));
    }
    if lines.last().is_some_and(|(_, fields)| fields.as_slice() == [Some("\\.".to_owned())]) {
        lines.pop();
    }
    Ok(lines)
}

fn bad(table: &str, line: usize, code: &'static str, message: String, column: Option<&str>) -> Error {
    let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
    Error::Data { code, message, detail: Some(format!("COPY {table}, line {line}{column}")) }
}

/// All columns of the table; None for those that do not come.
fn columns(table: &Table, places: &[usize], lines: &[Line]) -> Result<Vec<Option<ArrayRef>>> {
    for (number, fields) in lines {
        if fields.len() > places.len() {
            return Err(bad(table.name(), *number, "22P04", "extra data after last expected column".into(), None));
        }
        if let Some(column) = places.get(fields.len()).and_then(|at| table.columns().get(*at)) {
            return Err(bad(table.name(), *number, "22P04", format!("missing data for column \"{}\"", column.field.name()), None));
        }
    }
    let mut columns = Vec::with_capacity(table.columns().len());
    for (at, column) in table.columns().iter().enumerate() {
        columns.push(match places.iter().position(|place| *place == at) {
            None => None,
            Some(place) => {
                let texts: Vec<Option<&str>> = lines.iter().map(|(_, fields)| fields.get(place).and_then(Option::as_deref)).collect();
                let (values, wrong) = read(&texts, column.field.data_type())?;
                if let Some((number, text)) = wrong.and_then(|row| Some((lines.get(row)?.0, texts.get(row).copied().flatten()?))) {
                    let message = format!("invalid input syntax for type {}: \"{text}\"", column.sql_type.to_lowercase());
                    return Err(bad(table.name(), number, "22P02", message, Some(column.field.name())));
                }
                Some(values)
            }
        });
    }
    Ok(columns)
}

/// Texts as values of a type, and the first row whose text is none.
fn read(texts: &[Option<&str>], data_type: &DataType) -> Result<(ArrayRef, Option<usize>)> {
    if *data_type == DataType::Binary {
        let bytes: Vec<Option<Vec<u8>>> = texts.iter().map(|text| text.and_then(hex)).collect();
        let wrong = texts.iter().zip(&bytes).position(|(text, bytes)| text.is_some() && bytes.is_none());
        return Ok((Arc::new(BinaryArray::from_iter(bytes)), wrong));
    }
    let trimmed = texts.iter().map(|text| text.map(|text| if *data_type == DataType::Utf8 { text } else { text.trim() }));
    let array: ArrayRef = Arc::new(StringArray::from_iter(trimmed));
    let values = cast_with_options(&array, data_type, &CastOptions { safe: true, format_options: FormatOptions::default() })?;
    let wrong = (0..array.len()).find(|row| array.is_valid(*row) && values.is_null(*row));
    Ok((values, wrong))
}

/// Postgres' `\x0aff`.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_tells_an_empty_text_from_null_and_counts_lines() {
        let lines = csv("1,\"\",\r\n2,\"a\n\"\"b\",x\n3", "t").unwrap();
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(lines[0], (1, vec![text("1"), text(""), None]));
        assert_eq!(lines[1], (2, vec![text("2"), text("a\n\"b"), text("x")]));
        assert_eq!(lines[2], (4, vec![text("3")]));
        assert_eq!(csv("\"a", "t").unwrap_err().sqlstate(), "22P04");
    }

    #[test]
    fn text_has_its_escapes_and_its_end() {
        let lines = text_lines("a\\tb\t\\N\t\\\\N\n\\.\nmore\n");
        assert_eq!(lines, [(1, vec![Some("a\tb".to_owned()), None, Some("\\N".to_owned())])]);
    }
}
