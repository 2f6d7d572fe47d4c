//! Files that end with a sum of what stands before it: a damaged one is known before anybody reads lengths and offsets in it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use crc32fast::Hasher;

/// Bytes of the sum, CRC-32 in little endian.
const SUM_BYTES: u64 = 4;

/// Writes a file and its sum.
pub struct Sealing {
    file: BufWriter<File>,
    sum: Hasher,
}

impl Sealing {
    /// A new file, or in place of the one that is there.
    pub fn create(path: &Path) -> io::Result<Sealing> {
        Ok(Sealing { file: BufWriter::new(File::create(path)?), sum: Hasher::new() })
    }

    /// Writes the sum, and waits until all is on disk.
    pub fn close(mut self) -> io::Result<()> {
        self.file.write_all(&self.sum.finalize().to_le_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.sum.update(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file that is whole already.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Sealing::create(path)?;
    file.write_all(bytes)?;
    file.close()
}

/// A file without its sum, whole. Errs (`InvalidData`) if it is damaged.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = std::fs::read(path)?;
    let (before, sum) = bytes.split_last_chunk().ok_or_else(damaged)?;
    if crc32fast::hash(before) != u32::from_le_bytes(*sum) {
        return Err(damaged());
    }
    bytes.truncate(bytes.len() - SUM_BYTES as usize);
    Ok(bytes)
}

/// A file to be read bit by bit, whose sum was found right; what is read ends before the sum. Errs (`InvalidData`) if it is damaged.
pub fn open(path: &Path) -> io::Result<impl Read> {
    let n_bytes = File::open(path)?.metadata()?.len().checked_sub(SUM_BYTES).ok_or_else(damaged)?;
    let mut file = BufReader::new(File::open(path)?);
    let mut sum = Summing(Hasher::new());
    io::copy(&mut (&mut file).take(n_bytes), &mut sum)?;
    let mut written = [0; SUM_BYTES as usize];
    file.read_exact(&mut written)?;
    if sum.0.finalize() != u32::from_le_bytes(written) {
        return Err(damaged());
    }
    Ok(BufReader::new(File::open(path)?).take(n_bytes))
}

struct Summing(Hasher);

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged: its bytes are not those that were written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_damaged_anywhere_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let streamed = || {
            let mut bytes = Vec::new();
            open(&path)?.read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        for whole in [b"what is kept".as_slice(), b""] {
            write(&path, whole).unwrap();
            assert_eq!((read(&path).unwrap(), streamed().unwrap()), (whole.to_vec(), whole.to_vec()));
        }
        write(&path, b"what is kept").unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            assert!(read(&path).is_err() && streamed().is_err(), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(read(&path).is_err() && streamed().is_err(), "cut at {at}");
        }
    }
}
