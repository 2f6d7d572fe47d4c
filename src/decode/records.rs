//! Text files of rows: cut into records by line, decoded many at a time, and one at a time where that fails, so that an error names its line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

use super::OnError;
use crate::error::{Error, Result};
use crate::metrics::SourceCounters;

/// A record longer than this is damage, such as a quote that is never closed.
const MOST_RECORD_BYTES: usize = 16 << 20;

/// Decodes whole records into one batch.
pub(super) type Decode = Box<dyn Fn(&[u8], usize) -> Result<RecordBatch, ArrowError> + Send>;
/// Says in a user's words why a record cannot be read: the SQLSTATE and the reason.
pub(super) type Explain = Box<dyn Fn(&ArrowError) -> (&'static str, String) + Send>;

/// Cuts a file into records.
pub(super) struct Records {
    reader: BufReader<File>,
    path: PathBuf,
    /// What stands between fields, where a quoted one may hold line ends.
    quoted: Option<u8>,
    /// The number of the line that is read next, from 1.
    next_line: u64,
}

/// Records that stand one after another.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    /// The line at which each begins, and its place in the bytes.
    records: Vec<(u64, Range<usize>)>,
}

impl Chunk {
    /// The records, each with its line end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each record with the number of its line.
    pub(super) fn each(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.records.iter().map(|(line, at)| (*line, self.bytes.get(at.clone()).unwrap_or_default()))
    }
}

impl Records {
    /// `quoted` is what stands between the fields of a file whose quoted ones may hold line ends. Errs if the file has gone.
    pub(super) fn open(path: &Path, quoted: Option<u8>) -> Result<Records> {
        let file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let head = reader.fill_buf().map_err(|e| Error::io(format!("could not read file \"{}\"", path.display()), e))?;
        if head.starts_with(b"\xEF\xBB\xBF") {
            reader.consume(3);
        }
        Ok(Records { reader, path: path.to_owned(), quoted, next_line: 1 })
    }

    /// Up to `n` records; empty lines are none. None at the end of the file.
    pub(super) fn next(&mut self, n: usize) -> Result<Option<Chunk>> {
        let mut chunk = Chunk { bytes: Vec::new(), records: Vec::with_capacity(n) };
        while chunk.records.len() < n {
            let (line, start) = (self.next_line, chunk.bytes.len());
            if !self.record(&mut chunk.bytes)? {
                break;
            }
            if chunk.bytes.get(start..).unwrap_or_default().iter().all(u8::is_ascii_whitespace) {
                chunk.bytes.truncate(start);
                continue;
            }
            if chunk.bytes.last() != Some(&b'\n') {
                chunk.bytes.push(b'\n');
            }
            chunk.records.push((line, start..chunk.bytes.len()));
        }
        Ok((!chunk.records.is_empty()).then_some(chunk))
    }

    /// Appends one record; false at the end of the file.
    fn record(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let (first_line, start) = (self.next_line, bytes.len());
        let mut quotes = Quotes::default();
        loop {
            let before = bytes.len();
            let n = self
                .reader
                .read_until(b'\n', bytes)
                .map_err(|e| Error::io(format!("could not read file \"{}\"", self.path.display()), e))?;
            if n == 0 {
                return Ok(bytes.len() > start);
            }
            self.next_line += 1;
            if bytes.len() - start > MOST_RECORD_BYTES {
                return Err(at_line(&self.path, first_line, "22P04", "the record has more than 16 MB; a quote may not be closed"));
            }
            let line = bytes.get(before..).unwrap_or_default();
            if !self.quoted.is_some_and(|delimiter| quotes.open_after(line, delimiter)) {
                return Ok(true);
            }
        }
    }
}

/// Follows the quotes of CSV: one opens only where a field begins, two inside stand for one.
#[derive(Default)]
struct Quotes {
    inside: bool,
}

impl Quotes {
    /// Whether a quoted field is open at the end of the line.
    fn open_after(&mut self, line: &[u8], delimiter: u8) -> bool {
        if !self.inside && !line.contains(&b'"') {
            return false;
        }
        let mut begins = !self.inside;
        let mut bytes = line.iter().peekable();
        while let Some(byte) = bytes.next() {
            if self.inside {
                if *byte == b'"' && bytes.next_if(|b| **b == b'"').is_none() {
                    self.inside = false;
                }
            } else if *byte == b'"' && begins {
                self.inside = true;
            }
            begins = *byte == delimiter;
        }
        self.inside
    }
}

/// The error of a line, with what would help.
pub(super) fn at_line(path: &Path, line: u64, code: &'static str, reason: &str) -> Error {
    Error::Media {
        code,
        message: format!("file \"{}\", line {line}: {reason}", path.display()),
        hint: Some("Mend the line, name the types with columns = '…', or leave such lines out with on_error = 'skip'.".into()),
    }
}

/// The rows of one text file.
pub(super) struct TextRows {
    pub(super) records: Records,
    pub(super) decode: Decode,
    pub(super) explain: Explain,
    pub(super) on_error: OnError,
    pub(super) counters: Arc<SourceCounters>,
    pub(super) batch_rows: usize,
    /// The error that follows the rows given last.
    pub(super) failed: Option<Error>,
}

impl TextRows {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let Some(chunk) = self.records.next(self.batch_rows.max(1))? else { return Ok(None) };
            if let Ok(rows) = (self.decode)(&chunk.bytes, chunk.records.len())
                && rows.num_rows() == chunk.records.len()
            {
                return Ok(Some(rows));
            }
            if let Some(rows) = self.one_by_one(&chunk)? {
                return Ok(Some(rows));
            }
        }
    }

    /// The good records of a chunk in which one is bad.
    fn one_by_one(&mut self, chunk: &Chunk) -> Result<Option<RecordBatch>> {
        let mut good: Vec<RecordBatch> = Vec::new();
        for (line, place) in &chunk.records {
            let decoded = match (self.decode)(chunk.bytes.get(place.clone()).unwrap_or_default(), 1) {
                Ok(rows) if rows.num_rows() == 1 => Ok(rows),
                Ok(_) => Err(("22P04", "it is not one record".to_owned())),
                Err(error) => Err((self.explain)(&error)),
            };
            match (decoded, self.on_error) {
                (Ok(rows), _) => good.push(rows),
                (Err(_), OnError::Skip) => self.counters.rows_failed.add(1),
                (Err((code, reason)), OnError::Fail) => {
                    // The rows before it are given first, so that an error is where it is whatever the size of batches.
                    self.failed = Some(at_line(&self.records.path, *line, code, &reason));
                    break;
                }
            }
        }
        let Some(first) = good.first() else { return Ok(None) };
        Ok(Some(concat_batches(&first.schema(), &good)?))
    }
}

impl Iterator for TextRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_holds_line_ends_and_an_inch_mark_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "\u{feff}a,\"b\nc\"\n\n5\" pipe,\"x\"\"\ny\"\nend").unwrap();
        let mut records = Records::open(&path, Some(b',')).unwrap();
        let chunk = records.next(10).unwrap().unwrap();
        let texts: Vec<_> = chunk.records.iter().map(|(l, r)| (*l, std::str::from_utf8(&chunk.bytes[r.clone()]).unwrap())).collect();
        assert_eq!(texts, [(1, "a,\"b\nc\"\n"), (4, "5\" pipe,\"x\"\"\ny\"\n"), (6, "end\n")]);
        assert!(records.next(10).unwrap().is_none());
    }
}
