//! The files of a package: a tar.gz as npm has it, or a zip as a wheel is; nothing of it is read before its sha256 is the one that was expected.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::Progress;
use super::manifest::{Archive, Registry, Wanted};
use crate::error::{Error, Result};

/// Bytes that are hashed at once.
const BLOCK: usize = 1 << 20;

/// The sha256 of what a reader gives, lower case hex; `at` is told how many bytes have been read.
pub(super) fn sha256_of(mut reader: impl Read, mut at: impl FnMut(u64)) -> io::Result<String> {
    let (mut hash, mut block, mut n) = (Sha256::new(), vec![0_u8; BLOCK], 0_u64);
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => {
                hash.update(block.get(..read).unwrap_or_default());
                n += read as u64;
                at(n);
            }
        }
    }
}

/// The wanted files of an archive, in the order of the manifest. Errs (55000) if the archive, or one of them, is not the one that the manifest knows.
pub(super) fn unpack(path: &Path, registry: Registry, archive: &Archive, progress: &dyn Progress) -> Result<Vec<Vec<u8>>> {
    let failed = |e: io::Error| Error::io(format!("could not read file \"{}\"", path.display()), e);
    progress.begin("checking", archive.bytes);
    let found = sha256_of(File::open(path).map_err(failed)?, |n| progress.at(n)).map_err(failed)?;
    if found != archive.sha256 {
        return Err(Error::State {
            message: format!("file \"{}\" has the sha256 {found}, not {}", path.display(), archive.sha256),
            hint: Some("It is damaged or not the release that this framesql knows, and nothing of it was used. Pull once more; if it stays so, tell the authors.".into()),
        });
    }
    progress.begin("unpacking", archive.bytes);
    let file = File::open(path).map_err(failed)?;
    let mut files = match registry {
        Registry::Npm => of_tar(file, &archive.files),
        Registry::Pypi => of_zip(file, &archive.files),
    }
    .map_err(failed)?;
    let take = |wanted: &Wanted| match files.remove(&wanted.path) {
        Some(bytes) if sha256_of(bytes.as_slice(), |_| ()).is_ok_and(|found| found == wanted.sha256) => Ok(bytes),
        _ => Err(Error::State {
            message: format!("\"{}\" in file \"{}\" is not the one that was expected", wanted.path, path.display()),
            hint: None,
        }),
    };
    archive.files.iter().map(take).collect()
}

/// One byte more than a file should have is read, so that a longer one is not taken for it.
fn whole(reader: impl Read, wanted: &Wanted) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(wanted.bytes + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn of_tar(file: File, wanted: &[Wanted]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    for entry in tar.entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if let Some(wanted) = wanted.iter().find(|wanted| wanted.path == path) {
            found.insert(path, whole(entry, wanted)?);
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    Ok(found)
}

fn of_zip(file: File, wanted: &[Wanted]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(io::Error::other)?;
    for wanted in wanted {
        match zip.by_name(&wanted.path) {
            Ok(entry) => found.insert(wanted.path.clone(), whole(entry, wanted)?),
            Err(zip::result::ZipError::FileNotFound) => continue,
            Err(error) => return Err(io::Error::other(error)),
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::engine::models::Silent;
    use crate::engine::models::manifest::Kept;

    fn sha(bytes: &[u8]) -> String {
        sha256_of(bytes, |_| ()).unwrap()
    }

    fn tgz(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (path, bytes) in files {
            zip.start_file(*path, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn archive(bytes: &[u8], files: &[(&str, &[u8])]) -> Archive {
        let wanted = |(path, bytes): &(&str, &[u8])| Wanted { path: (*path).to_owned(), sha256: sha(bytes), bytes: bytes.len() as u64 };
        let kept = Kept { name: None, sha256: String::new(), bytes: 0 };
        Archive::for_tests(sha(bytes), bytes.len() as u64, files.iter().map(wanted).collect(), kept)
    }

    #[test]
    fn what_is_wanted_comes_out_and_only_of_the_archive_that_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package");
        let (a, b, c): (&[u8], &[u8], &[u8]) = (b"alpha", b"beta", b"gamma");
        let all = [("package/a", a), ("package/b", b), ("package/c", c)];
        for (registry, bytes) in [(Registry::Npm, tgz(&all)), (Registry::Pypi, zipped(&all))] {
            std::fs::write(&path, &bytes).unwrap();
            let found = unpack(&path, registry, &archive(&bytes, &[("package/c", c), ("package/a", a)]), &Silent).unwrap();
            assert_eq!(found, [c, a]);
            let refused = |archive: &Archive| unpack(&path, registry, archive, &Silent).unwrap_err().to_string();
            assert!(refused(&archive(&bytes, &[("package/d", a)])).contains("\"package/d\" in file"));
            assert!(refused(&archive(&bytes, &[("package/a", b"alpho")])).contains("is not the one that was expected"));
            // One byte more than it should have.
            assert!(refused(&archive(&bytes, &[("package/a", b"alph")])).contains("is not the one that was expected"));
            assert!(refused(&archive(&bytes[1..], &[("package/a", a)])).contains("has the sha256"));
        }
    }
}
