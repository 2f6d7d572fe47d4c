//! A table: reference data that statements write, held whole in memory and, with `--data`, in one file that is replaced whole.

use std::fs::File;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::reader::FileReader;
use datafusion::arrow::ipc::writer::FileWriter;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use futures::stream;
use parking_lot::{Mutex, RwLock};

use super::sealed::{self, Sealing};
use crate::error::{Error, Result};
use crate::event::{END_OF_TIME_US, Event};
use crate::frame::source::{EventStream, Request, Source, TimeColumn};

/// A column of a table.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// Its name, type, and whether it may be NULL.
    pub field: Field,
    /// The type as SQL names it.
    pub sql_type: String,
    /// How many characters its text may have.
    pub max_chars: Option<usize>,
    /// What it holds where an INSERT does not say; NULL without a DEFAULT.
    pub default: ScalarValue,
}

/// The right to write a table, for as long as one of its clones is held.
pub type Writing = Arc<tokio::sync::OwnedMutexGuard<()>>;

/// A table of the catalogue.
#[derive(Debug)]
pub struct Table {
    name: String,
    schema: SchemaRef,
    columns: Vec<TableColumn>,
    primary_key: Vec<usize>,
    rows: RwLock<RecordBatch>,
    /// Held while its file is written.
    disk: Mutex<Disk>,
    /// Held by a statement from the rows that it reads to those that it writes, and by a transaction from its first write to its end.
    writer: Arc<tokio::sync::Mutex<()>>,
}

/// What there is of a table on disk.
#[derive(Debug)]
struct Disk {
    file: Option<PathBuf>,
    /// Whether the table has been dropped: nothing is written any more.
    dropped: bool,
}

impl Table {
    /// An empty table, or, if `kept`, one with the rows of its file. Errs if the file cannot be read or has other columns (55000).
    pub fn open(name: &str, columns: Vec<TableColumn>, primary_key: Vec<usize>, file: Option<PathBuf>, kept: bool) -> Result<Table> {
        let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>()));
        let mut rows = RecordBatch::new_empty(Arc::clone(&schema));
        if let Some(path) = file.as_deref().filter(|path| path.exists()) {
            if kept {
                rows = read(path, &schema)?;
            } else {
                // What a table of that name left behind when the process ended while it was dropped.
                std::fs::remove_file(path).map_err(|e| Error::io(format!("could not remove file \"{}\"", path.display()), e))?;
            }
        }
        Ok(Table {
            name: name.to_owned(),
            schema,
            columns,
            primary_key,
            rows: RwLock::new(rows),
            disk: Mutex::new(Disk { file, dropped: false }),
            writer: Arc::default(),
        })
    }

    /// A table of its own, in memory, with the rows that this one has now.
    pub fn copied(&self) -> Table {
        Table {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            columns: self.columns.clone(),
            primary_key: self.primary_key.clone(),
            rows: RwLock::new(self.rows()),
            disk: Mutex::new(Disk { file: None, dropped: false }),
            writer: Arc::default(),
        }
    }

    /// Its columns.
    pub fn columns(&self) -> &[TableColumn] {
        &self.columns
    }

    /// The indices of the columns of its primary key; empty without one.
    pub fn primary_key(&self) -> &[usize] {
        &self.primary_key
    }

    /// Its rows at this moment: those of whole statements.
    pub fn rows(&self) -> RecordBatch {
        self.rows.read().clone()
    }

    /// Statements that write wait here for one another. What goes on without its statement, which may be cancelled, holds a clone meanwhile.
    pub async fn write(&self) -> Writing {
        Arc::new(self.write_owned().await)
    }

    /// The same for as long as a transaction takes.
    pub async fn write_owned(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.writer).lock_owned().await
    }

    /// Puts other rows in place of all, on disk before in memory. The caller holds `write`. Errs (42P01) if the table has been dropped,
    /// and if the file cannot be written: then the rows are as before.
    pub fn replace(&self, rows: RecordBatch) -> Result<()> {
        let disk = self.disk.lock();
        if disk.dropped {
            return Err(Error::NotFound { kind: "relation", name: self.name.clone() });
        }
        if let Some(path) = &disk.file {
            write(path, &rows)?;
        }
        *self.rows.write() = rows;
        Ok(())
    }

    /// From now on its rows are on disk, too, in place of what another table has left there.
    pub fn settle(&self, path: PathBuf) -> Result<()> {
        let mut disk = self.disk.lock();
        let rows = self.rows();
        if rows.num_rows() > 0 {
            write(&path, &rows)?;
        } else if path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::io(format!("could not remove file \"{}\"", path.display()), e))?;
        }
        disk.file = Some(path);
        Ok(())
    }

    /// Its file is another table's.
    pub fn leave_file(&self) {
        self.disk.lock().file = None;
    }

    /// The table is gone: nothing is written to its file any more, which goes too.
    pub fn drop_rows(&self) {
        let mut disk = self.disk.lock();
        disk.dropped = true;
        if let Some(path) = &disk.file
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(table = self.name, %error, "the file of a dropped table stays behind");
        }
    }
}

fn read(path: &Path, schema: &SchemaRef) -> Result<RecordBatch> {
    let damaged = |reason: String| Error::State {
        message: format!("file \"{}\" is damaged: {reason}", path.display()),
        hint: Some("Put back a copy of it, or move it away and create the table again.".into()),
    };
    let open = |e| Error::io(format!("could not open file \"{}\"", path.display()), e);
    let bytes = match sealed::read(path) {
        Ok(bytes) => bytes,
        // One of an earlier form has no sum, and ends as Arrow ends it.
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            let bytes = std::fs::read(path).map_err(open)?;
            if !bytes.ends_with(b"ARROW1") {
                return Err(damaged("its bytes are not those that were written".into()));
            }
            bytes
        }
        Err(e) => return Err(open(e)),
    };
    let reader = FileReader::try_new(Cursor::new(bytes), None).map_err(|e| damaged(e.to_string()))?;
    if reader.schema() != *schema {
        return Err(damaged("its columns are not those of the table".into()));
    }
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| damaged(e.to_string()))?;
    Ok(concat_batches(schema, &batches)?)
}

/// Beside the old file and then in its place, so that a crash leaves one of the two.
fn write(path: &Path, rows: &RecordBatch) -> Result<()> {
    let new = path.with_extension("new");
    let failed = |e| Error::io(format!("could not write file \"{}\"", path.display()), e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut writer = FileWriter::try_new(Sealing::create(&new).map_err(failed)?, &rows.schema())?;
    writer.write(rows)?;
    writer.into_inner()?.close().and_then(|()| std::fs::rename(&new, path)).map_err(failed)?;
    match path.parent() {
        // The rename itself must be on disk too.
        Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed),
        None => Ok(()),
    }
}

/// What one reading of rows gives: the columns asked for, and the end.
fn once(rows: &RecordBatch, request: &Request) -> datafusion::error::Result<EventStream> {
    let rows = rows.project(&request.projection)?;
    let rows = rows.slice(0, rows.num_rows().min(request.limit.unwrap_or(usize::MAX)));
    let size = request.batch_rows.unwrap_or(usize::MAX).max(1);
    let batch = |from: usize| Event::Rows(rows.slice(from, size.min(rows.num_rows() - from)));
    let mut events: Vec<_> = (0..rows.num_rows()).step_by(size).map(batch).map(Ok).collect();
    events.extend([Ok(Event::Watermark(END_OF_TIME_US)), Ok(Event::End)]);
    Ok(Box::pin(stream::iter(events)))
}

impl Source for Table {
    fn name(&self) -> &str {
        &self.name
    }

    fn primary_key(&self) -> &[usize] {
        &self.primary_key
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        Vec::new()
    }

    fn live(&self) -> bool {
        false
    }

    fn ended(&self) -> bool {
        true
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn flows(&self) -> bool {
        false
    }

    fn may_skip_by(&self, _: &Expr) -> bool {
        false
    }

    fn holds(&self) -> bool {
        true
    }

    fn now(&self) -> Option<Vec<RecordBatch>> {
        Some(vec![self.rows()])
    }

    fn open(&self, request: &Request) -> datafusion::error::Result<EventStream> {
        once(&self.rows(), request)
    }
}

/// The mark behind a table's name by which a statement reads it with the places of its rows; no name that a user types ends so.
pub const NUMBERED: char = '\u{1}';
/// The column of those places, int8 from 0, which stands behind the table's own.
pub const PLACE: &str = "place\u{1}";

/// A table with the places of its rows: what UPDATE and DELETE read.
#[derive(Debug)]
pub struct Numbered(pub Arc<Table>);

impl Source for Numbered {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema(&self) -> SchemaRef {
        let own = self.0.schema.fields().iter().map(|f| f.as_ref().clone());
        Arc::new(Schema::new(own.chain([Field::new(PLACE, DataType::Int64, false)]).collect::<Vec<_>>()))
    }

    fn time_columns(&self) -> Vec<TimeColumn> {
        Vec::new()
    }

    fn live(&self) -> bool {
        false
    }

    fn ended(&self) -> bool {
        true
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn flows(&self) -> bool {
        false
    }

    fn may_skip_by(&self, _: &Expr) -> bool {
        false
    }

    fn open(&self, request: &Request) -> datafusion::error::Result<EventStream> {
        let rows = self.0.rows();
        let places: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(rows.num_rows()).unwrap_or(i64::MAX)));
        let columns = rows.columns().iter().map(Arc::clone).chain([places]).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        once(&RecordBatch::try_new_with_options(self.schema(), columns, &options)?, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_there_again_and_a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables/t.arrow");
        let column = TableColumn {
            field: Field::new("a", DataType::Int64, true),
            sql_type: "int8".into(),
            max_chars: None,
            default: ScalarValue::Int64(None),
        };
        let open = |kept| Table::open("t", vec![column.clone()], Vec::new(), Some(path.clone()), kept);
        let table = open(false).unwrap();
        let rows = RecordBatch::try_new(Source::schema(&table), vec![Arc::new(Int64Array::from(vec![Some(1), None]))]).unwrap();
        table.replace(rows.clone()).unwrap();
        assert_eq!(open(true).unwrap().rows(), rows);
        std::fs::write(&path, b"ARROW1").unwrap();
        assert_eq!(open(true).unwrap_err().sqlstate(), "55000");
        table.drop_rows();
        assert!(!path.exists() && table.replace(rows).is_err());
    }
}
