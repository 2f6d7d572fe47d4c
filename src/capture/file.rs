//! The bytes of samples, read from their place in a file, one reader's own.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Sample, Track};
use crate::error::{Error, Result};

/// A sample larger than this is damage: an uncompressed picture of 8K has half of it.
const MOST_SAMPLE_BYTES: u64 = 256 << 20;

/// Reads samples of one track.
#[derive(Debug)]
pub struct Packets {
    file: File,
    path: PathBuf,
    prefix: Vec<u8>,
}

impl Packets {
    /// Errs if the file has gone.
    pub fn open(path: &Path, track: &Track) -> Result<Packets> {
        let file = File::open(path).map_err(|e| Error::io(format!("could not open file \"{}\"", path.display()), e))?;
        Ok(Packets { file, path: path.to_owned(), prefix: track.prefix.clone() })
    }

    /// The bytes of a sample replace what is in `bytes`. False if they cannot be there: the table names too many, or the file has become shorter.
    pub fn read(&mut self, sample: &Sample, bytes: &mut Vec<u8>) -> Result<bool> {
        bytes.clear();
        if sample.size > MOST_SAMPLE_BYTES {
            return Ok(false);
        }
        bytes.extend_from_slice(&self.prefix);
        bytes.resize(self.prefix.len() + sample.size as usize, 0);
        let own = bytes.get_mut(self.prefix.len()..).unwrap_or_default();
        match self.file.seek(SeekFrom::Start(sample.offset)).and_then(|_| self.file.read_exact(own)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(Error::io(format!("could not read file \"{}\"", self.path.display()), e)),
        }
    }
}
