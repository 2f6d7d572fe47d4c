//! What the rows of a table must be: values where NULL is not allowed, texts no longer than declared, one row a key.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::row::Rows;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::table::Table;
use crate::error::{Error, Result, Violated};
use crate::frame::source::Source;
use crate::plan::value::text_type::TextType;
use crate::run::keys::KeyRows;

/// The characters of a value that an error shows, as in Postgres.
const MOST_SHOWN: usize = 64;

/// The columns as rows of the table. Errs with 22P02 for a text that is no value of the column's type, with 23502 for a NULL that is not allowed and with
/// 22001 for a text that is too long.
pub fn checked(table: &Table, columns: Vec<ArrayRef>, n_rows: usize) -> Result<RecordBatch> {
    let mut columns = columns;
    for (column, values) in table.columns().iter().zip(&mut columns) {
        if let (Some(of), Some(texts)) = (TextType::of_field(&column.field), values.as_string_opt::<i32>()) {
            *values = Arc::new(read(of, texts)?);
        }
        if let DataType::List(item) = column.field.data_type()
            && let (Some(of), Some(lists)) = (TextType::of_field(item), values.as_list_opt::<i32>())
            && let Some(texts) = lists.values().as_string_opt::<i32>()
        {
            let texts = Arc::new(read(of, texts)?);
            *values = Arc::new(ListArray::try_new(Arc::clone(item), lists.offsets().clone(), texts, lists.nulls().cloned())?);
        }
    }
    for (column, values) in table.columns().iter().zip(&mut columns) {
        if let (Some(most), Some(texts)) = (column.max_chars, values.as_string_opt::<i32>())
            && texts.iter().flatten().any(|text| text.ends_with(' '))
        {
            *values = Arc::new(without_blanks(texts, most, !varies(&column.sql_type)));
        }
    }
    for (column, values) in table.columns().iter().zip(&columns) {
        let name = column.field.name();
        if !column.field.is_nullable() && values.null_count() > 0 {
            let row = (0..n_rows).find(|row| values.is_null(*row)).unwrap_or(0);
            let violated = Violated { table: table.name().to_owned(), column: Some(name.clone()), constraint: None };
            return Err(Error::Constraint {
                code: "23502",
                message: format!("null value in column \"{name}\" of relation \"{}\" violates not-null constraint", table.name()),
                detail: Some(format!("Failing row contains ({}).", texts(columns.iter(), row)?.join(", "))),
                violated: Box::new(violated),
            });
        }
        if let (Some(most), Some(texts)) = (column.max_chars, values.as_string_opt::<i32>())
            && texts.iter().flatten().any(|text| text.chars().count() > most)
        {
            let word = if varies(&column.sql_type) { "character varying" } else { "character" };
            return Err(Error::Data { code: "22001", message: format!("value too long for type {word}({most})"), detail: None });
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    Ok(RecordBatch::try_new_with_options(table.schema(), columns, &options)?)
}

/// Whether a type of texts has as many characters as each has, as varchar(n) has and char(n) has not.
fn varies(sql_type: &str) -> bool {
    let sql_type = sql_type.to_lowercase();
    sql_type.starts_with("var") || sql_type.contains("varying")
}

/// Texts without the blanks at their ends that have no room, as in Postgres, or without any: to a char(n) they say nothing, so none are kept.
fn without_blanks(texts: &StringArray, most: usize, any: bool) -> StringArray {
    let one = |text: &'_ str| -> String {
        let trimmed = text.trim_end_matches(' ');
        let kept = if any { 0 } else { most };
        text.chars().take(kept.max(trimmed.chars().count())).collect()
    };
    texts.iter().map(|text| text.map(one)).collect()
}

/// The values of a type in the form in which they are kept. Errs with 22P02 or 22P05.
fn read(of: TextType, texts: &StringArray) -> Result<StringArray> {
    let one = |text: &str| {
        of.read(text).ok_or_else(|| {
            let (code, message) = of.fault(text);
            Error::Data { code, message, detail: None }
        })
    };
    texts.iter().map(|text| text.map(one).transpose()).collect()
}

/// The keys of rows, in a form that is equal where they are; None for a table without a primary key.
pub fn keys(table: &Table, rows: &RecordBatch) -> Result<Option<Vec<Vec<u8>>>> {
    Ok(key_rows(table, rows)?.map(|keys| keys.iter().map(|key| key.as_ref().to_vec()).collect()))
}

fn key_rows(table: &Table, rows: &RecordBatch) -> Result<Option<Rows>> {
    if table.primary_key().is_empty() {
        return Ok(None);
    }
    let columns: Vec<ArrayRef> = table.primary_key().iter().filter_map(|at| rows.columns().get(*at).cloned()).collect();
    Ok(Some(KeyRows::try_new(columns.iter().map(|c| c.data_type()))?.convert_columns(&columns)?))
}

/// Errs with 23505 if one of the rows written has the key of another; the others were told apart when they were.
pub fn check_unique(table: &Table, rows: &RecordBatch, written: impl Fn(usize) -> bool) -> Result<()> {
    let Some(keys) = key_rows(table, rows)? else { return Ok(()) };
    let mut seen = HashSet::new();
    for (row, key) in keys.iter().enumerate().filter(|(row, _)| written(*row)) {
        if !seen.insert(key) {
            return Err(duplicate(table, rows, row));
        }
    }
    match keys.iter().enumerate().find(|(row, key)| !written(*row) && seen.contains(key)) {
        Some((row, _)) => Err(duplicate(table, rows, row)),
        None => Ok(()),
    }
}

fn duplicate(table: &Table, rows: &RecordBatch, row: usize) -> Error {
    let names: Vec<&str> = table.primary_key().iter().filter_map(|at| table.columns().get(*at)).map(|c| c.field.name().as_str()).collect();
    let key = table.primary_key().iter().filter_map(|at| rows.columns().get(*at));
    let key = texts(key, row).map(|texts| texts.join(", ")).unwrap_or_default();
    let constraint = format!("{}_pkey", table.name());
    Error::Constraint {
        code: "23505",
        message: format!("duplicate key value violates unique constraint \"{constraint}\""),
        detail: Some(format!("Key ({})=({key}) already exists.", names.join(", "))),
        violated: Box::new(Violated { table: table.name().to_owned(), column: None, constraint: Some(constraint) }),
    }
}

fn texts<'a>(columns: impl Iterator<Item = &'a ArrayRef>, row: usize) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let text = |column: &ArrayRef| {
        let mut text = ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).to_string();
        if let Some((end, _)) = text.char_indices().nth(MOST_SHOWN) {
            text.truncate(end);
            text.push_str("...");
        }
        Ok(text)
    };
    columns.map(text).collect()
}
