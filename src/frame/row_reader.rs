//! A medium of rows and its reader: files or generated rows as batches of the columns asked for, in the types that a user sees.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::batch::ts_type;
use crate::capture::datagen::Datagen;
use crate::capture::rows::{Format, RowFiles};
use crate::decode::{OnError, Rows, columns, csv, ndjson, parquet};
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// Where rows come from.
#[derive(Debug)]
enum Medium {
    Files(RowFiles),
    Datagen(Datagen),
}

/// A medium of rows, opened: its columns are known, its rows are not read.
#[derive(Debug)]
pub struct RowMedia {
    medium: Medium,
    schema: SchemaRef,
    time: Option<usize>,
    n_rows: Option<u64>,
    on_error: OnError,
    /// What stands between the fields of CSV.
    delimiter: u8,
}

/// What a reader asks for.
#[derive(Clone, Debug)]
pub struct RowsWanted {
    /// The columns, as indices of the schema.
    pub projection: Vec<usize>,
    /// Inclusive bounds of the event time in µs, outside of which rows need not be given.
    pub ts_us: (i64, i64),
    /// Rows in a batch, at most.
    pub batch_rows: usize,
    /// The first row; only generated rows can be entered in the middle.
    pub from_row: u64,
}

impl RowMedia {
    /// Files of rows, of CSV with that between its fields. `given` are their columns where the user names them; `event_time` is the column of that name, whose text is read as
    /// times. Errs if a column is missing or its type cannot be (22023, 42703), and if the first file cannot be read.
    pub fn files(
        files: RowFiles,
        given: Option<Vec<Field>>,
        event_time: Option<&str>,
        on_error: OnError,
        delimiter: u8,
    ) -> Result<RowMedia> {
        let first = files.files.first().ok_or_else(|| Error::Internal("a source of no file".into()))?;
        let (found, mut n_rows) = match (files.format, given) {
            (Format::Parquet, Some(_)) => {
                return Err(Error::Option {
                    message: "option \"columns\" is not for Parquet, whose files know their columns".into(),
                    hint: Some("Leave it out, and cast in the query: SELECT speed::float4 FROM ….".into()),
                });
            }
            (Format::Parquet, None) => {
                let (schema, n) = parquet::schema(first)?;
                (schema, Some(n))
            }
            (Format::Csv, Some(fields)) => {
                if let Some(field) = fields.iter().find(|f| f.data_type().is_nested() || *f.data_type() == DataType::Binary) {
                    return Err(Error::unsupported(
                        format!("column \"{}\" of type {} in a CSV file", field.name(), field.data_type()),
                        "Read it as text, and take it apart in the query.",
                    ));
                }
                let header = csv::header(first, delimiter)?;
                check_header(&header, &fields, first)?;
                (Schema::new(fields), None)
            }
            (Format::Csv, None) => (csv::schema(first, delimiter)?, None),
            (Format::Ndjson, Some(fields)) => (Schema::new(fields), None),
            (Format::Ndjson, None) => (ndjson::schema(first, on_error)?, None),
        };
        if files.format == Format::Parquet {
            for file in files.files.iter().skip(1) {
                // A footer is read at once; a file that is damaged is known before a query runs.
                n_rows = match (n_rows, parquet::schema(file)) {
                    (Some(n), Ok((_, more))) => Some(n + more),
                    (_, Err(error)) if on_error == OnError::Fail => return Err(error),
                    _ => None,
                };
            }
        }
        let mut fields: Vec<Field> = found.fields().iter().map(|f| columns::shown_field(f)).collect();
        check_names(&fields)?;
        let time = time_column(&mut fields, event_time, found.fields())?;
        Ok(RowMedia { medium: Medium::Files(files), schema: Arc::new(Schema::new(fields)), time, n_rows, on_error, delimiter })
    }

    /// Generated rows, with the event time of that name. Errs if there is no such column.
    pub fn datagen(datagen: Datagen, event_time: Option<&str>) -> Result<RowMedia> {
        let schema = Arc::clone(datagen.schema());
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        check_names(&fields)?;
        let time = time_column(&mut fields, event_time, schema.fields())?;
        let n_rows = datagen.n_rows;
        Ok(RowMedia { medium: Medium::Datagen(datagen), schema, time, n_rows, on_error: OnError::Fail, delimiter: csv::COMMA })
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The index of its event time.
    pub fn time(&self) -> Option<usize> {
        self.time
    }

    /// "parquet", "csv", "ndjson" or "datagen".
    pub fn format(&self) -> &'static str {
        match &self.medium {
            Medium::Files(files) => files.format.word(),
            Medium::Datagen(_) => "datagen",
        }
    }

    /// How many rows it has, where that is known before it is read.
    pub fn n_rows(&self) -> Option<u64> {
        self.n_rows
    }

    /// Rows whose turn has come `elapsed_us` after the first, for a medium that can be entered there; None for files.
    pub fn n_due(&self, elapsed_us: i64) -> Option<u64> {
        match &self.medium {
            Medium::Files(_) => None,
            Medium::Datagen(datagen) => Some(datagen.n_due(elapsed_us)),
        }
    }

    /// The time at which it begins to be played, µs: that of the first row of a file, where it is known only when it is read.
    pub fn start_us(&self) -> Option<i64> {
        match &self.medium {
            Medium::Files(_) => None,
            Medium::Datagen(datagen) => Some(datagen.start_ts_us),
        }
    }

    /// Starts reading. Nothing is opened before the first batch is asked for.
    pub fn read(self: &Arc<Self>, wanted: RowsWanted, counters: Arc<SourceCounters>) -> RowReader {
        RowReader { media: Arc::clone(self), next_row: wanted.from_row, wanted, counters, next_file: 0, current: None }
    }

    fn open(&self, file: usize, wanted: &RowsWanted, counters: &Arc<SourceCounters>) -> Result<Option<Rows>> {
        let Medium::Files(files) = &self.medium else { return Ok(None) };
        let Some(path) = files.files.get(file) else { return Ok(None) };
        let (rows, on_error) = (wanted.batch_rows.max(1), self.on_error);
        // A text file is read by a column at least, so that its records are checked though none is asked for; and by all where bad ones are left out: which
        // rows there are does not depend on what is asked of them.
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = match on_error {
            OnError::Skip => all.as_slice(),
            OnError::Fail if wanted.projection.is_empty() => &[0],
            OnError::Fail => wanted.projection.as_slice(),
        };
        let asked = wanted.projection.clone();
        let of_all = move |read: Rows| -> Rows {
            match on_error {
                OnError::Skip => Box::new(read.map(move |rows| Ok(rows?.project(&asked)?))),
                OnError::Fail => read,
            }
        };
        Ok(Some(match files.format {
            Format::Parquet => {
                let name = |at: &usize| self.schema.fields().get(*at).map(|f| f.name().clone());
                let names: Vec<String> = wanted.projection.iter().filter_map(name).collect();
                let times = self.time.and_then(|at| Some((self.schema.fields().get(at)?.name().as_str(), wanted.ts_us)));
                match parquet::open(path, &names, times, rows, on_error, counters) {
                    Err(Error::Media { code: "22023", .. }) if on_error == OnError::Skip => {
                        counters.rows_failed.add(1);
                        Box::new(std::iter::empty())
                    }
                    opened => opened?,
                }
            }
            Format::Csv => of_all(csv::open(path, self.delimiter, &self.schema, projection, rows, on_error, counters)?),
            Format::Ndjson => of_all(ndjson::open(path, &self.schema, projection, rows, on_error, counters)?),
        }))
    }
}

fn check_names(fields: &[Field]) -> Result<()> {
    for (at, field) in fields.iter().enumerate() {
        if fields.iter().take(at).any(|f| f.name() == field.name()) {
            return Err(Error::DuplicateColumn { name: field.name().clone() });
        }
    }
    Ok(())
}

fn check_header(header: &[String], fields: &[Field], path: &std::path::Path) -> Result<()> {
    match fields.iter().find(|f| !header.contains(f.name())) {
        None => Ok(()),
        Some(field) => Err(Error::Media {
            code: "42703",
            message: format!("file \"{}\" has no column \"{}\"", path.display(), field.name()),
            hint: Some(format!("Its header names {}.", header.join(", "))),
        }),
    }
}

/// The place of the event time, which becomes a timestamp with time zone. Errs if there is no such column, or it holds no times.
fn time_column(fields: &mut [Field], event_time: Option<&str>, found: &Fields) -> Result<Option<usize>> {
    let Some(name) = event_time else { return Ok(None) };
    let names = || fields.iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
    let Some(at) = fields.iter().position(|f| f.name() == name) else {
        return Err(Error::Option {
            message: format!("event_time names column \"{name}\", which the source does not have"),
            hint: Some(format!("Its columns are {}.", names())),
        });
    };
    if let (Some(field), Some(own)) = (fields.get_mut(at), found.get(at)) {
        match field.data_type() {
            DataType::Timestamp(..) => {}
            DataType::Utf8 | DataType::Date32 => *field = Field::new(name, ts_type(), field.is_nullable()),
            _ => {
                return Err(Error::Option {
                    message: format!("event_time names column \"{name}\" of type {}, which is no time", own.data_type()),
                    hint: Some("It is a timestamp, or text such as '2026-05-01T12:00:00Z'.".into()),
                });
            }
        }
    }
    Ok(Some(at))
}

/// Reads a medium's rows in order.
pub struct RowReader {
    media: Arc<RowMedia>,
    wanted: RowsWanted,
    counters: Arc<SourceCounters>,
    next_file: usize,
    next_row: u64,
    current: Option<Rows>,
}

impl RowReader {
    /// The next batch, never empty; None at the end.
    #[expect(clippy::should_implement_trait, reason = "an error is not an item: what follows it is not read")]
    pub fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Medium::Datagen(datagen) = &self.media.medium {
            let end = datagen.n_rows.unwrap_or(u64::MAX).min(self.next_row.saturating_add(self.wanted.batch_rows.max(1) as u64));
            if self.next_row >= end {
                return Ok(None);
            }
            let rows = datagen.rows(self.next_row, end, &self.wanted.projection)?;
            self.next_row = end;
            return Ok(Some(rows));
        }
        loop {
            if self.current.is_none() {
                self.current = self.media.open(self.next_file, &self.wanted, &self.counters)?;
                self.next_file += 1;
            }
            let Some(rows) = &mut self.current else { return Ok(None) };
            match rows.next().transpose()? {
                Some(rows) if rows.num_rows() > 0 => return Ok(Some(self.shown(&rows)?)),
                Some(_) => {}
                None => self.current = None,
            }
        }
    }

    /// The columns asked for, in the types of the schema.
    fn shown(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let schema = Arc::new(self.media.schema.project(&self.wanted.projection)?);
        let convert = |(column, field): (&ArrayRef, &Arc<Field>)| columns::convert(column, field.data_type());
        let columns = rows.columns().iter().zip(schema.fields()).map(convert).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

/// The event times of a batch.
pub(super) fn times_of(rows: &RecordBatch, at: usize) -> Option<&TimestampMicrosecondArray> {
    rows.columns().get(at)?.as_primitive_opt::<TimestampMicrosecondType>()
}

/// A time of a batch; None for NULL.
pub(super) fn time_at(rows: &RecordBatch, column: Option<usize>, row: usize) -> Option<i64> {
    let times = times_of(rows, column?)?;
    (row < times.len() && times.is_valid(row)).then(|| times.value(row))
}
