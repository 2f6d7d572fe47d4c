//! The files of a job's checkpoints: rows of the view that are written once, the state at one barrier, and the manifest that names them, put in its place last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Captured, Restored};
use crate::error::{Error, Result};
use crate::run::checkpoint::Snapshot;
use crate::run::operator::State;
use crate::view::held::Held;
use crate::view::sealed::{self, Sealing};

/// The manifest's file.
const MANIFEST: &str = "manifest.json";
/// What the folder of a checkpoint that cannot be read ends with.
const DAMAGED: &str = "damaged";
/// A file of so many rows is never written again to put others to it.
const FULL_ROWS: u64 = 1 << 20;

/// What the files of one checkpoint are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Of which job: see `identity`.
    pub(super) identity: String,
    pub(super) epoch: u64,
    /// Whether the view holds the whole answer: then no operator has anything.
    pub(super) whole: bool,
    watermark_us: Option<i64>,
    known_us: Option<i64>,
    /// The number of the view's first row, and of the one behind its last.
    first_row: u64,
    next_row: u64,
    /// The rows of a view that only grows, in order.
    pub(super) row_files: Vec<RowFile>,
    /// The file of everything else.
    state_file: String,
    operators: BTreeMap<usize, Operator>,
    /// Rows that are not committed.
    waiting: Vec<Piece>,
    /// The rows of a view that takes rows back.
    updating: Vec<Piece>,
}

/// A file of a view's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowFile {
    first_row: u64,
    next_row: u64,
}

/// What one operator kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Operator {
    numbers: BTreeMap<String, i64>,
    tables: BTreeMap<String, Vec<Piece>>,
}

/// Where a batch is in the file of state: the first byte, and how many.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Piece(u64, u64);

impl RowFile {
    fn name(&self) -> String {
        format!("rows-{}-{}.arrow", self.first_row, self.next_row)
    }

    fn n_rows(&self) -> u64 {
        self.next_row - self.first_row
    }
}

impl Manifest {
    /// That of a job of which nothing is kept yet.
    pub(super) fn of(identity: String) -> Manifest {
        Manifest { identity, ..Manifest::default() }
    }

    fn names(&self, file: &str) -> bool {
        file == MANIFEST || file == self.state_file || self.row_files.iter().any(|rows| rows.name() == file)
    }
}

/// The first row of the next file, if the view's next row is that one: the rows that are in no file, with those of the last files as long as these
/// are not larger. So a row is written a few times at most, and a view of a million commits has a few dozen files.
pub(super) fn from_row(files: &[RowFile], next_row: u64) -> u64 {
    let mut from = files.last().map_or(0, |file| file.next_row);
    for file in files.iter().rev() {
        let n_new = next_row.saturating_sub(from);
        if n_new == 0 || file.n_rows() > n_new || file.n_rows() >= FULL_ROWS {
            break;
        }
        from = file.first_row;
    }
    from
}

/// Writes what was captured beside what is there, names it in a new manifest, and removes what that does not name.
pub(super) fn write(folder: &Path, before: &Manifest, captured: &Captured) -> Result<Manifest> {
    let failed = |e: std::io::Error| Error::io(format!("could not write to folder \"{}\"", folder.display()), e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let held = &captured.held;
    let mut row_files: Vec<RowFile> = Vec::new();
    if !captured.updating {
        row_files = before.row_files.iter().filter(|f| f.next_row > captured.first_row && f.next_row <= held.first_row).cloned().collect();
        if held.next_row > held.first_row {
            let file = RowFile { first_row: held.first_row, next_row: held.next_row };
            let mut out = Sealing::create(&folder.join(file.name())).map_err(failed)?;
            if let Some(first) = held.rows.first() {
                let mut writer = StreamWriter::try_new(&mut out, &first.schema())?;
                held.rows.iter().try_for_each(|rows| writer.write(rows)).and_then(|()| writer.finish())?;
            }
            out.close().map_err(failed)?;
            row_files.push(file);
        }
    }
    let mut state = Pieces::default();
    let mut operators = BTreeMap::new();
    for (number, State { tables, numbers }) in &captured.operators {
        let tables = tables.iter().map(|(name, rows)| Ok((name.clone(), state.add(rows)?))).collect::<Result<_>>()?;
        operators.insert(*number, Operator { numbers: numbers.clone(), tables });
    }
    let manifest = Manifest {
        identity: before.identity.clone(),
        epoch: captured.epoch,
        whole: captured.whole,
        watermark_us: held.watermark_us,
        known_us: captured.known_us,
        first_row: captured.first_row,
        next_row: held.next_row,
        row_files,
        state_file: format!("state-{}.arrow", captured.epoch),
        operators,
        waiting: state.add(&captured.waiting)?,
        updating: if captured.updating { state.add(&held.rows)? } else { Vec::new() },
    };
    let put = |name: &str, bytes: &[u8]| sealed::write(&folder.join(name), bytes);
    put(&manifest.state_file, &state.bytes).map_err(failed)?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::Internal(e.to_string()))?;
    let new = format!("{MANIFEST}.new");
    put(&new, &text).map_err(failed)?;
    std::fs::rename(folder.join(&new), folder.join(MANIFEST)).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    for entry in std::fs::read_dir(folder).map_err(failed)?.filter_map(|entry| entry.ok()) {
        if !entry.file_name().to_str().is_some_and(|name| manifest.names(name)) {
            // It is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(manifest)
}

/// The newest generation of a view's checkpoints that is of that job, if it can be read. The others are removed: they are of jobs before it, or of
/// what was to replace it and was taken back. Where none is of that job the newest stays, as what it was made of may come back.
pub(super) fn newest(jobs: &Path, identity: &str) -> Option<(i64, Manifest, Restored)> {
    let entries = std::fs::read_dir(jobs).ok()?.filter_map(|entry| entry.ok());
    let mut all: Vec<i64> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let folder = |generation: i64| jobs.join(generation.to_string());
    let manifest = |generation: i64| {
        let path = folder(generation).join(MANIFEST);
        let read = sealed::read(&path).and_then(|text| Ok(serde_json::from_slice::<Manifest>(&text)?));
        match read {
            Ok(manifest) => Some(manifest),
            // It was broken off before its first checkpoint.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // One of an earlier form, without a sum, is of no job of this one.
            Err(_) if std::fs::read(&path).is_ok_and(|text| serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok()) => None,
            Err(error) => {
                put_aside(&folder(generation), &error);
                None
            }
        }
    };
    let found = all.iter().find_map(|generation| Some((*generation, manifest(*generation).filter(|m| m.identity == identity)?)));
    let stays = found.as_ref().map(|(generation, _)| *generation).or(all.first().copied());
    for other in all.into_iter().filter(|other| Some(*other) != stays) {
        // It is in nobody's way.
        let _ = std::fs::remove_dir_all(folder(other));
    }
    let Some((generation, manifest)) = found else {
        info!(folder = %jobs.display(), "no checkpoint of this query: its job begins anew");
        return None;
    };
    match restored(&folder(generation), &manifest) {
        Ok(restored) => Some((generation, manifest, restored)),
        Err(error) => {
            put_aside(&folder(generation), &error);
            None
        }
    }
}

/// A checkpoint that cannot be read is kept beside those that are looked for: a person may make more of its files.
fn put_aside(folder: &Path, error: &dyn std::fmt::Display) {
    let aside = folder.with_extension(DAMAGED);
    match std::fs::rename(folder, &aside) {
        Ok(()) => warn!(folder = %aside.display(), %error, "a checkpoint cannot be read and was put aside: its job begins anew"),
        Err(_) => warn!(folder = %folder.display(), %error, "a checkpoint cannot be read: its job begins anew"),
    }
}

fn restored(folder: &Path, manifest: &Manifest) -> Result<Restored> {
    let state = sealed::read(&folder.join(&manifest.state_file)).map_err(|e| unreadable(&folder.join(&manifest.state_file), e))?;
    let pieces = |pieces: &[Piece]| pieces.iter().map(|piece| read_piece(&state, *piece)).collect::<Result<Vec<_>>>();
    let mut operators = Snapshot::new();
    for (number, operator) in &manifest.operators {
        let tables = operator.tables.iter().map(|(name, rows)| Ok((name.clone(), pieces(rows)?))).collect::<Result<_>>()?;
        operators.insert(*number, State { tables, numbers: operator.numbers.clone() });
    }
    let mut rows = pieces(&manifest.updating)?;
    for file in &manifest.row_files {
        let path = folder.join(file.name());
        let open = sealed::open(&path).map_err(|e| unreadable(&path, e))?;
        let mut number = file.first_row;
        for batch in StreamReader::try_new_buffered(open, None)? {
            let batch = batch?;
            let n_rows = batch.num_rows();
            // Retention has dropped the first.
            let gone = usize::try_from(manifest.first_row.saturating_sub(number)).unwrap_or(usize::MAX).min(n_rows);
            number += n_rows as u64;
            rows.push(batch.slice(gone, n_rows - gone));
        }
    }
    let held = Held { first_row: manifest.first_row, rows, next_row: manifest.next_row, watermark_us: manifest.watermark_us };
    Ok(Restored { operators, held, waiting: pieces(&manifest.waiting)?, known_us: manifest.known_us, whole: manifest.whole })
}

/// Batches one behind the other, each as Arrow's IPC writes it: those of one table may have schemas of their own.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
}

impl Pieces {
    fn add(&mut self, rows: &[RecordBatch]) -> Result<Vec<Piece>> {
        let mut pieces = Vec::with_capacity(rows.len());
        for batch in rows {
            let from = self.bytes.len() as u64;
            let mut writer = StreamWriter::try_new(&mut self.bytes, &batch.schema())?;
            writer.write(batch).and_then(|()| writer.finish())?;
            drop(writer);
            pieces.push(Piece(from, self.bytes.len() as u64 - from));
        }
        Ok(pieces)
    }
}

fn read_piece(state: &[u8], Piece(from, n_bytes): Piece) -> Result<RecordBatch> {
    let lost = || Error::Internal("a checkpoint is shorter than its manifest says".into());
    let (from, n_bytes) = (usize::try_from(from).map_err(|_| lost())?, usize::try_from(n_bytes).map_err(|_| lost())?);
    let bytes = from.checked_add(n_bytes).and_then(|to| state.get(from..to)).ok_or_else(lost)?;
    StreamReader::try_new(bytes, None)?.next().ok_or_else(lost)?.map_err(Error::from)
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    Error::io(format!("could not read file \"{}\"", file.display()), error)
}
