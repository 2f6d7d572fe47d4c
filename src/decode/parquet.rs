//! Parquet: columns by name, only those asked for; row groups in order, without those whose times cannot pass.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Schema, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::{OnError, Rows, columns, guarded};
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// The columns of a file, and its rows.
pub fn schema(path: &Path) -> Result<(Schema, u64)> {
    let metadata = metadata(&open_file(path)?, path)?;
    let n_rows = metadata.metadata().file_metadata().num_rows();
    Ok((metadata.schema().as_ref().clone(), u64::try_from(n_rows).unwrap_or(0)))
}

fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))
}

fn metadata(file: &File, path: &Path) -> Result<ArrowReaderMetadata> {
    guarded(|| ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(|e| e.to_string()))
        .map_err(|reason| damaged(path, "its footer", &reason))
}

fn damaged(path: &Path, part: &str, reason: &str) -> Error {
    let reason = reason.trim_start_matches("Parquet error: ").trim_start_matches("External: ");
    Error::Media {
        code: "22023",
        message: format!("file \"{}\" is damaged in {part}: {reason}", path.display()),
        hint: Some("Write the file again; on_error = 'skip' leaves out the row groups that cannot be read.".into()),
    }
}

/// The rows of a file: the columns of those names, in that order. `times` are a time column and inclusive bounds in µs outside of which
/// a row need not be given.
pub fn open(
    path: &Path,
    names: &[String],
    times: Option<(&str, (i64, i64))>,
    batch_rows: usize,
    on_error: OnError,
    counters: &Arc<SourceCounters>,
) -> Result<Rows> {
    let file = open_file(path)?;
    let metadata = metadata(&file, path)?;
    let own = metadata.schema();
    let mut roots = Vec::with_capacity(names.len());
    for name in names {
        roots.push(own.index_of(name).map_err(|_| Error::Media {
            code: "42703",
            message: format!("file \"{}\" has no column \"{name}\"", path.display()),
            hint: Some("The files of a source have the columns of the first.".into()),
        })?);
    }
    // The reader gives columns in the order of the file, whatever the order in which they are named.
    let mut sorted = roots.clone();
    sorted.sort_unstable();
    let order = roots.iter().filter_map(|root| sorted.iter().position(|s| s == root)).collect();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
    let groups = match times {
        Some((column, bounds)) => passing(&metadata, column, bounds),
        None => (0..metadata.metadata().num_row_groups()).collect(),
    };
    Ok(Box::new(ParquetRows {
        path: path.to_owned(),
        file,
        metadata,
        mask,
        order,
        groups,
        current: None,
        batch_rows: batch_rows.max(1),
        on_error,
        counters: Arc::clone(counters),
    }))
}

/// The row groups that may hold a time within the bounds; all where the file does not say.
fn passing(metadata: &ArrowReaderMetadata, column: &str, (from_us, to_us): (i64, i64)) -> VecDeque<usize> {
    let groups = metadata.metadata().row_groups();
    let all = (0..groups.len()).collect();
    let bounds = || -> Option<(ArrayRef, ArrayRef)> {
        let statistics = StatisticsConverter::try_new(column, metadata.schema(), metadata.parquet_schema()).ok()?;
        let (low, high) = (statistics.row_group_mins(groups).ok()?, statistics.row_group_maxes(groups).ok()?);
        let to = columns::shown(low.data_type());
        matches!(to, DataType::Timestamp(..)).then_some(())?;
        Some((columns::convert(&low, &to).ok()?, columns::convert(&high, &to).ok()?))
    };
    let Some((low, high)) = bounds() else { return all };
    let (low, high) = (low.as_primitive::<TimestampMicrosecondType>(), high.as_primitive::<TimestampMicrosecondType>());
    let known = |values: &TimestampMicrosecondArray, at: usize| (at < values.len() && values.is_valid(at)).then(|| values.value(at));
    let passes = |at: &usize| known(low, *at).is_none_or(|us| us <= to_us) && known(high, *at).is_none_or(|us| us >= from_us);
    all.into_iter().filter(passes).collect()
}

struct ParquetRows {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    /// For each column asked for, its place among those that the reader gives.
    order: Vec<usize>,
    groups: VecDeque<usize>,
    /// The row group that is read, and how many of its rows are still to come.
    current: Option<(usize, u64, ParquetRecordBatchReader)>,
    batch_rows: usize,
    on_error: OnError,
    counters: Arc<SourceCounters>,
}

impl ParquetRows {
    fn start(&mut self, group: usize) -> Result<ParquetRecordBatchReader, String> {
        let file = self.file.try_clone().map_err(|e| e.to_string())?;
        guarded(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(self.mask.clone())
                .with_batch_size(self.batch_rows)
                .build()
                .map_err(|e| e.to_string())
        })
    }

    fn n_rows(&self, group: usize) -> u64 {
        let group = self.metadata.metadata().row_groups().get(group);
        group.and_then(|g| u64::try_from(g.num_rows()).ok()).unwrap_or(0)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.current.is_none() {
                let Some(group) = self.groups.pop_front() else { return Ok(None) };
                let n_rows = self.n_rows(group);
                match self.start(group) {
                    Ok(reader) => self.current = Some((group, n_rows, reader)),
                    Err(reason) => self.failed(group, n_rows, &reason)?,
                }
                continue;
            }
            let Some((group, left, reader)) = &mut self.current else { continue };
            let (group, n_left) = (*group, *left);
            match guarded(|| reader.next().transpose().map_err(|e| e.to_string())) {
                Ok(Some(rows)) => {
                    *left = left.saturating_sub(rows.num_rows() as u64);
                    return Ok(Some(rows.project(&self.order)?));
                }
                Ok(None) => self.current = None,
                Err(reason) => self.failed(group, n_left, &reason)?,
            }
        }
    }

    /// What is left of a row group is given up.
    fn failed(&mut self, group: usize, n_rows: u64, reason: &str) -> Result<()> {
        self.current = None;
        match self.on_error {
            OnError::Fail => {
                self.groups.clear();
                Err(damaged(&self.path, &format!("row group {group}"), reason))
            }
            OnError::Skip => {
                self.counters.rows_failed.add(n_rows);
                Ok(())
            }
        }
    }
}

impl Iterator for ParquetRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
