//! `COPY table FROM STDIN`: lines of text or CSV, or rows that the client's room has read, to rows of a table, all of them or none.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryArray, ListArray, StringArray, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;

use super::copy_lines::{Line, bad, csv, text_lines};
use super::table_rows::{Written, columns_at, keep, table_named};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::plan::array::text::elements;
use crate::plan::parse::copy::{CopyForm, CopyFormat, CopyHeader, CopyIn};
use crate::plan::value::casts;
use crate::plan::value::read::bytea;
use crate::settings::TimeZone;
use crate::view::table::{Table, Writing};

/// Bytes that one COPY may bring: a table is held in memory.
const MOST_BYTES: usize = 256 << 20;
/// Values that one may bring.
const MOST_FIELDS: usize = 32 << 20;

/// A COPY that takes what the client sends.
pub struct CopyInto {
    table: Arc<Table>,
    /// The columns of the table in the order in which they come.
    places: Vec<usize>,
    form: CopyForm,
    /// That of the session: texts that name none are read in it.
    zone: TimeZone,
    bytes: Vec<u8>,
    n_bytes: usize,
    /// The values of each column that comes, in binary form.
    values: Vec<Vec<ScalarValue>>,
}

/// Errs if there is no such table or column, and for a form that is not read.
pub(super) fn begin(session: &Session, copy: &CopyIn) -> Result<CopyInto> {
    let table = table_named(session, &copy.table)?;
    let places = columns_at(&table, &copy.columns)?;
    let values = vec![Vec::new(); places.len()];
    let zone = session.variables().lock().time_zone();
    Ok(CopyInto { table, places, form: copy.form.clone(), zone, bytes: Vec::new(), n_bytes: 0, values })
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
        let CopyInto { table, places, form, zone, bytes, values, .. } = self;
        let writing = table.write().await;
        if form.format == CopyFormat::Binary {
            let n_rows = values.first().map_or(0, Vec::len);
            let mut came: Vec<Option<ArrayRef>> = vec![None; table.columns().len()];
            for (place, mut values) in places.iter().zip(values) {
                if let Some(column) = came.get_mut(*place).filter(|_| n_rows > 0) {
                    let of = table.columns().get(*place).map(|column| column.field.data_type());
                    // What is said of the elements of a list is said by the column: a NULL has it, and a list that came does not.
                    if let Some(to @ DataType::List(_)) = of {
                        values.iter_mut().try_for_each(|value| value.cast_to(to).map(|cast| *value = cast))?;
                    }
                    *column = Some(ScalarValue::iter_to_array(values)?);
                }
            }
            return keep_all(&table, &writing, came, n_rows).await;
        }
        let wrong =
            |rest: &str| Error::Data { code: "22021", message: format!("invalid byte sequence for encoding \"UTF8\"{rest}"), detail: None };
        let text = String::from_utf8(bytes).map_err(|_| wrong(""))?;
        if text.contains('\0') {
            return Err(wrong(": 0x00"));
        }
        // A field of no bytes takes some in memory.
        if text.bytes().filter(|byte| *byte == b'\n' || *byte == form.delimiter as u8).count() > MOST_FIELDS {
            let message = format!("COPY of more than {} million values into table \"{}\"", MOST_FIELDS >> 20, table.name());
            return Err(Error::Data {
                code: "54000",
                message,
                detail: Some("A table is reference data; make a source of large files.".into()),
            });
        }
        let names: Vec<&str> = places.iter().filter_map(|at| table.columns().get(*at)).map(|c| c.field.name().as_str()).collect();
        let (not_null, null) = (form.force_not_null.among(&names)?, form.force_null.among(&names)?);
        let mut lines =
            if form.format == CopyFormat::Csv { csv(&text, &form, table.name())? } else { text_lines(&text, &form, table.name())? };
        if form.header != CopyHeader::None && !lines.is_empty() {
            let (_, head) = lines.remove(0);
            if form.header == CopyHeader::Match {
                check_header(&head, &names, table.name())?;
            }
        }
        for (at, field) in lines.iter_mut().flat_map(|(_, fields)| fields.iter_mut().enumerate()) {
            let forced = |list: &[bool]| list.get(at).copied().unwrap_or(false);
            match field {
                None if forced(&not_null) => *field = Some(form.null.clone()),
                Some(text) if *text == form.null && forced(&null) => *field = None,
                _ => {}
            }
        }
        keep_all(&table, &writing, columns(&table, &places, &lines, zone)?, lines.len()).await
    }
}

/// Keeps the rows; None is a column that does not come, which has its default.
async fn keep_all(table: &Arc<Table>, writing: &Writing, columns: Vec<Option<ArrayRef>>, n_rows: usize) -> Result<usize> {
    if n_rows > 0 {
        let filled = columns.into_iter().zip(table.columns());
        let filled = filled.map(|(came, column)| came.map_or_else(|| column.default.to_array_of_size(n_rows), Ok));
        keep(table, writing, Written { replaced: Vec::new(), columns: filled.collect::<Result<_, _>>()?, n_rows }).await?;
    }
    Ok(n_rows)
}

/// Errs (22P04) if the first line does not name the columns that come.
fn check_header(head: &[Option<String>], names: &[&str], table: &str) -> Result<()> {
    if head.len() != names.len() {
        let message = format!("wrong number of fields in header line: field count is {}, expected {}", head.len(), names.len());
        return Err(bad(table, 1, "22P04", message, None));
    }
    for (at, (got, expected)) in head.iter().zip(names).enumerate() {
        let got = got.as_deref().unwrap_or_default();
        if got != *expected {
            let message = format!("column name mismatch in header line field {}: got \"{got}\", expected \"{expected}\"", at + 1);
            return Err(bad(table, 1, "22P04", message, None));
        }
    }
    Ok(())
}

/// All columns of the table; None for those that do not come.
fn columns(table: &Table, places: &[usize], lines: &[Line], zone: TimeZone) -> Result<Vec<Option<ArrayRef>>> {
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
                let (values, wrong) = read(&texts, column.field.data_type(), zone)?;
                if let Some((number, text)) = wrong.and_then(|row| Some((lines.get(row)?.0, texts.get(row).copied().flatten()?))) {
                    let (code, message) = match column.field.data_type() {
                        DataType::List(_) if elements(text).is_none() => ("22P02", format!("malformed array literal: \"{text}\"")),
                        of => out_of_range(text, of, zone).unwrap_or_else(|| {
                            ("22P02", format!("invalid input syntax for type {}: \"{text}\"", column.sql_type.to_lowercase()))
                        }),
                    };
                    return Err(bad(table.name(), number, code, message, Some(column.field.name())));
                }
                Some(values)
            }
        });
    }
    Ok(columns)
}

/// What a cast of the text says, where it has the form of its type: a number that is too large, a day that there is not.
fn out_of_range(text: &str, data_type: &DataType, zone: TimeZone) -> Option<(&'static str, String)> {
    let one: ArrayRef = Arc::new(StringArray::from(vec![text.trim()]));
    let error: Error = if casts::reads(data_type) {
        casts::read(&one, data_type, zone).err()?.into()
    } else {
        cast_with_options(&one, data_type, &CastOptions { safe: false, format_options: FormatOptions::default() }).err()?.into()
    };
    let code = error.sqlstate();
    matches!(code, "22003" | "22007" | "22008").then(|| (code, error.to_string()))
}

/// Texts as values of a type, and the first row whose text is none.
fn read(texts: &[Option<&str>], data_type: &DataType, zone: TimeZone) -> Result<(ArrayRef, Option<usize>)> {
    if *data_type == DataType::Binary {
        let bytes: Vec<Option<Vec<u8>>> = texts.iter().map(|text| text.and_then(bytea)).collect();
        let wrong = texts.iter().zip(&bytes).position(|(text, bytes)| text.is_some() && bytes.is_none());
        return Ok((Arc::new(BinaryArray::from_iter(bytes)), wrong));
    }
    if let DataType::List(item) = data_type {
        let lists: Vec<Option<Vec<Option<String>>>> = texts.iter().map(|text| text.and_then(elements)).collect();
        let malformed = texts.iter().zip(&lists).position(|(text, list)| text.is_some() && list.is_none());
        let items: Vec<Option<&str>> = lists.iter().flatten().flatten().map(Option::as_deref).collect();
        let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
        let nulls = NullBuffer::from_iter(lists.iter().map(Option::is_some));
        let (values, wrong) = read(&items, item.data_type(), zone)?;
        // The row in which the item that cannot be read stands: the first that ends behind it.
        let row = wrong.and_then(|at| offsets.iter().skip(1).position(|end| usize::try_from(*end).is_ok_and(|end| end > at)));
        let read = ListArray::try_new(Arc::clone(item), offsets, values, Some(nulls))?;
        return Ok((Arc::new(read), malformed.into_iter().chain(row).min()));
    }
    let trimmed = texts.iter().map(|text| text.map(|text| if *data_type == DataType::Utf8 { text } else { text.trim() }));
    let array: ArrayRef = Arc::new(StringArray::from_iter(trimmed));
    if casts::reads(data_type) {
        return match casts::read(&array, data_type, zone) {
            Ok(values) => Ok((values, None)),
            Err(error) => match (0..array.len()).find(|row| casts::read(&array.slice(*row, 1), data_type, zone).is_err()) {
                Some(wrong) => Ok((new_null_array(data_type, array.len()), Some(wrong))),
                None => Err(error.into()),
            },
        };
    }
    let values = cast_with_options(&array, data_type, &CastOptions { safe: true, format_options: FormatOptions::default() })?;
    let wrong = (0..array.len()).find(|row| array.is_valid(*row) && values.is_null(*row));
    Ok((values, wrong))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::{Field, Int32Type};

    use super::*;

    #[test]
    fn arrays_are_read_and_the_row_is_named_that_holds_none() {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        let (values, wrong) = read(&[Some("{1,NULL}"), None, Some("{}"), Some("{3}")], &list, TimeZone::default()).unwrap();
        assert_eq!(wrong, None);
        assert_eq!(values.as_list::<i32>().value(0).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
        assert!(values.is_null(1) && values.is_valid(2));
        assert_eq!(read(&[Some("{1}"), Some("{}"), Some("{2,x}")], &list, TimeZone::default()).unwrap().1, Some(2));
        assert_eq!(read(&[Some("{1}"), Some("1")], &list, TimeZone::default()).unwrap().1, Some(1));
    }
}
