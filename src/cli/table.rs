//! Rows as text: psql's aligned table, or what `--format` asks for; the text of a value is the wire's.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use clap::ValueEnum;

use super::lines;
use crate::error::{Error, Result};
use crate::plan::column_names::{Names, shown};
use crate::plan::parse::copy::{CopyForm, CopyFormat, CopyHeader};
use crate::settings::TimeZone;
use crate::wire;

/// What `--format` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns, as psql prints them
    Table,
    /// Comma separated, with a header line
    Csv,
    /// One JSON object a line
    Json,
}

/// How the rows of one result are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Columns as wide as their widest value, so all rows come at the end.
    Table,
    /// A table whose rows are printed as they come: the first ones decide how wide its columns are.
    Live,
    /// Comma separated.
    Csv {
        /// Whether the first line names the columns.
        header: bool,
    },
    /// One JSON object a line.
    Json,
    /// COPY's text: tab separated, `\N` for NULL.
    CopyText,
}

impl Layout {
    /// What a format means for a result that comes at once, or as it happens.
    pub(super) fn of(format: Format, live: bool) -> Layout {
        match format {
            Format::Table if live => Layout::Live,
            Format::Table => Layout::Table,
            Format::Csv => Layout::Csv { header: true },
            Format::Json => Layout::Json,
        }
    }

    /// What COPY TO STDOUT asks for. Errs for binary, and for a form of its own (0A000).
    pub(super) fn copy(form: &CopyForm) -> Result<Layout> {
        if !form.plain() {
            return Err(Error::unsupported("an option of COPY on a terminal", "FORMAT is, and HEADER of csv; psql knows the others."));
        }
        match form.format {
            CopyFormat::Text => Ok(Layout::CopyText),
            CopyFormat::Csv => Ok(Layout::Csv { header: form.header != CopyHeader::None }),
            CopyFormat::Binary => Err(Error::unsupported("COPY in binary on a terminal", "Use FORMAT text or csv.")),
        }
    }
}

/// Turns the batches of one result into text, part by part.
pub(super) struct Writer {
    layout: Layout,
    schema: SchemaRef,
    /// In which times are shown.
    zone: TimeZone,
    /// A table's rows that are not written yet; None is NULL.
    kept: Vec<Vec<Option<String>>>,
    /// Of the columns, in characters, once the header is written.
    widths: Option<Vec<usize>>,
    n_rows: usize,
    started: bool,
}

impl Writer {
    /// `names` are those that the statement gives its columns.
    pub(super) fn new(layout: Layout, schema: &SchemaRef, names: &Names) -> Writer {
        let schema = shown(schema, names);
        Writer { layout, schema, zone: TimeZone::default(), kept: Vec::new(), widths: None, n_rows: 0, started: false }
    }

    /// The same with times shown in a zone.
    pub(super) fn in_zone(self, zone: TimeZone) -> Writer {
        Writer { zone, ..self }
    }

    /// The text that these rows add to the output, perhaps none yet. Errs for a value that has no text.
    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<String> {
        let mut text = self.start();
        for row in 0..batch.num_rows() {
            match self.layout {
                Layout::Table | Layout::Live => {
                    self.kept.push(batch.columns().iter().map(|c| cell(c, row, self.zone)).collect::<Result<_>>()?)
                }
                Layout::Csv { .. } => lines::csv(&mut text, batch, row, self.zone)?,
                Layout::Json => lines::json(&mut text, &self.schema, batch, row, self.zone)?,
                Layout::CopyText => lines::copy(&mut text, batch, row, self.zone)?,
            }
        }
        self.n_rows += batch.num_rows();
        if self.layout == Layout::Live {
            self.table(&mut text);
        }
        Ok(text)
    }

    /// What is left to write when the rows have ended.
    pub(super) fn end(&mut self) -> String {
        let mut text = self.start();
        if matches!(self.layout, Layout::Table | Layout::Live) {
            self.table(&mut text);
            text.push_str(&format!("({} row{})\n\n", self.n_rows, if self.n_rows == 1 { "" } else { "s" }));
        }
        text
    }

    fn start(&mut self) -> String {
        let mut text = String::new();
        if !std::mem::replace(&mut self.started, true) && self.layout == (Layout::Csv { header: true }) {
            lines::csv_header(&mut text, &self.schema);
        }
        text
    }

    /// Writes the kept rows, and before the first of them the header.
    fn table(&mut self, text: &mut String) {
        let rows = std::mem::take(&mut self.kept);
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => {
                let widths = widths(&self.schema, &rows);
                header(text, &self.schema, &widths);
                widths
            }
        };
        let right: Vec<bool> = self.schema.fields().iter().map(|f| right_aligned(f.data_type())).collect();
        for row in &rows {
            table_row(text, row, &widths, &right);
        }
        self.widths = Some(widths);
    }
}

/// The value's text; None is NULL.
fn cell(column: &dyn Array, row: usize, zone: TimeZone) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let mut text = String::new();
    wire::write_text(&mut text, column, row, zone)?;
    Ok(Some(text))
}

fn right_aligned(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => right_aligned(values),
        other => other.is_numeric(),
    }
}

fn width(text: &str) -> usize {
    text.split('\n').map(|line| line.chars().count()).max().unwrap_or(0)
}

fn widths(schema: &SchemaRef, rows: &[Vec<Option<String>>]) -> Vec<usize> {
    let mut widths: Vec<usize> = schema.fields().iter().map(|f| width(f.name())).collect();
    for row in rows {
        for (widest, value) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(value.as_deref().map_or(0, width));
        }
    }
    widths
}

/// How many blanks fill a text up to a width. A picture as bytea is wider than the 65535 characters that `format!` fills up to.
fn blanks(text: &str, width: usize) -> usize {
    width.saturating_sub(text.chars().count())
}

/// Names centred, and a line under them.
fn header(text: &mut String, schema: &SchemaRef, widths: &[usize]) {
    let names = schema.fields().iter().zip(widths).map(|(field, width)| {
        let blanks = blanks(field.name(), *width);
        format!(" {}{}{} ", " ".repeat(blanks / 2), field.name(), " ".repeat(blanks - blanks / 2))
    });
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let names: Vec<String> = names.collect();
    text.push_str(&format!("{}\n{}\n", names.join("|"), rule.join("+")));
}

/// One row; a value of several lines takes several, each but its last with psql's `+` behind it.
fn table_row(text: &mut String, row: &[Option<String>], widths: &[usize], right: &[bool]) {
    let cells: Vec<Vec<&str>> = row.iter().map(|value| value.as_deref().unwrap_or("").split('\n').collect()).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(1);
    for at in 0..height {
        for (column, ((lines, width), right)) in cells.iter().zip(widths).zip(right).enumerate() {
            let (line, more) = (lines.get(at).copied().unwrap_or(""), at + 1 < lines.len());
            let last = column + 1 == cells.len();
            text.push_str(if column == 0 { " " } else { "| " });
            match (right, last && !more) {
                (true, _) => text.push_str(&format!("{}{line}", " ".repeat(blanks(line, *width)))),
                (false, true) => text.push_str(line),
                (false, false) => text.push_str(&format!("{line}{}", " ".repeat(blanks(line, *width)))),
            }
            match (more, last) {
                (true, _) => text.push('+'),
                (false, false) => text.push(' '),
                (false, true) => {}
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let source: ArrayRef = Arc::new(StringArray::from(vec![Some("lobby"), Some("two\nlines"), None]));
        let faces: ArrayRef = Arc::new(Int64Array::from(vec![Some(25), None, Some(-1)]));
        let at = TimestampMicrosecondArray::from(vec![1_795_514_400_000_000, 0, 1_500_000]).with_timezone("UTC");
        RecordBatch::try_from_iter([("source", source), ("faces", faces), ("window_start", Arc::new(at) as ArrayRef)]).unwrap()
    }

    fn written(layout: Layout, batches: &[RecordBatch]) -> String {
        let mut writer = Writer::new(layout, &batch().schema(), &Names::default());
        let mut text: String = batches.iter().map(|b| writer.rows(b).unwrap()).collect();
        text.push_str(&writer.end());
        text
    }

    #[test]
    fn a_table_looks_as_in_psql() {
        let expected = concat!(
            " source | faces |       window_start       \n",
            "--------+-------+--------------------------\n",
            " lobby  |    25 | 2026-11-24 10:00:00+00\n",
            " two   +|       | 1970-01-01 00:00:00+00\n",
            " lines  |       | \n",
            "        |    -1 | 1970-01-01 00:00:01.5+00\n",
            "(3 rows)\n\n",
        );
        assert_eq!(written(Layout::Table, &[batch()]), expected);
        assert_eq!(written(Layout::Table, &[batch().slice(0, 1)]).lines().last(), Some(""));
        assert!(written(Layout::Table, &[]).ends_with("(0 rows)\n\n"));
    }

    #[test]
    fn a_value_is_as_wide_as_it_likes() {
        let wide: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100_000), "y".to_owned()]));
        let batch = RecordBatch::try_from_iter([("picture", Arc::clone(&wide)), ("again", wide)]).unwrap();
        let mut writer = Writer::new(Layout::Table, &batch.schema(), &Names::default());
        let text = writer.rows(&batch).unwrap() + &writer.end();
        assert!(text.lines().take(2).all(|line| line.len() == 200_005), "{:?}", text.lines().map(str::len).collect::<Vec<_>>());
    }

    #[test]
    fn a_live_table_gives_each_batch_at_once_under_one_header() {
        let mut writer = Writer::new(Layout::Live, &batch().schema(), &Names::default());
        assert_eq!(writer.rows(&batch().slice(0, 1)).unwrap().lines().count(), 3);
        assert_eq!(writer.rows(&batch().slice(2, 1)).unwrap(), "        |    -1 | 1970-01-01 00:00:01.5+00\n");
        assert_eq!(writer.end(), "(2 rows)\n\n");
    }

    #[test]
    fn csv_json_and_copy_tell_null_from_empty() {
        let csv = "source,faces,window_start\nlobby,25,2026-11-24 10:00:00+00\n\"two\nlines\",,1970-01-01 00:00:00+00\n,-1,1970-01-01 00:00:01.5+00\n";
        assert_eq!(written(Layout::Csv { header: true }, &[batch()]), csv);
        assert_eq!(written(Layout::Csv { header: true }, &[]), "source,faces,window_start\n");
        let json = written(Layout::Json, &[batch()]);
        assert_eq!(json.lines().next(), Some(r#"{"source": "lobby", "faces": 25, "window_start": "2026-11-24T10:00:00+00:00"}"#));
        assert_eq!(json.lines().last(), Some(r#"{"source": null, "faces": -1, "window_start": "1970-01-01T00:00:01.5+00:00"}"#));
        let copy = "lobby\t25\t2026-11-24 10:00:00+00\ntwo\\nlines\t\\N\t1970-01-01 00:00:00+00\n\\N\t-1\t1970-01-01 00:00:01.5+00\n";
        assert_eq!(written(Layout::CopyText, &[batch()]), copy);
    }
}
