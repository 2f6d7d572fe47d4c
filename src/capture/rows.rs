//! Files of rows: which files a URL names, in which format, and in what order they are read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::location::{Location, ends_like, fenced, in_natural_order, locate, path_of};
use crate::error::{Error, Result};

/// How rows are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns in row groups, with types of their own.
    Parquet,
    /// Comma separated, the first line names the columns.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// The formats with the endings of their files.
const FORMATS: [(Format, &[&str]); 3] =
    [(Format::Parquet, &["parquet", "pq"]), (Format::Csv, &["csv"]), (Format::Ndjson, &["ndjson", "jsonl", "json"])];

/// The first bytes of every Parquet file.
const PARQUET_MAGIC: &[u8] = b"PAR1";

impl Format {
    /// Its word in SQL.
    pub fn word(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
        }
    }

    /// The format of that word.
    pub fn named(word: &str) -> Option<Format> {
        let word = word.to_lowercase();
        FORMATS.iter().map(|(format, _)| *format).find(|format| format.word() == word)
    }

    fn of_ending(path: &Path) -> Option<Format> {
        FORMATS.iter().find(|(_, endings)| ends_like(path, endings)).map(|(format, _)| *format)
    }

    /// What the first bytes of a file say: a file of rows may have any name, CSV alone has no mark to be known by.
    fn of_contents(path: &Path) -> Option<Format> {
        let mut head = [0_u8; 64];
        let n = File::open(path).and_then(|mut file| file.read(&mut head)).ok()?;
        let head = head.get(..n)?;
        if head.starts_with(PARQUET_MAGIC) {
            return Some(Format::Parquet);
        }
        let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
        (text.trim_ascii_start().first() == Some(&b'{')).then_some(Format::Ndjson)
    }
}

/// Files of one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFiles {
    /// How they are written.
    pub format: Format,
    /// Canonical paths in the natural order of their names, at least one.
    pub files: Vec<PathBuf>,
}

/// The files of rows that a URL names; None if it names something else (a video, pictures). `format` is what the user says of them.
/// Errs if the file is missing (58P01), outside the fence (42501), or if a folder holds several formats.
pub fn row_files(url: &str, format: Option<Format>, fence: &[PathBuf]) -> Result<Option<RowFiles>> {
    if url.starts_with("pattern:") {
        return Ok(None);
    }
    let path = path_of(url)?;
    let listed = match path.to_str().filter(|p| p.contains(['*', '?', '['])).filter(|_| !path.exists()) {
        Some(pattern) => Some(matching(pattern)?),
        None if path.is_dir() => Some(entries(&path)?),
        None => None,
    };
    let Some(mut listed) = listed else {
        return match locate(url, fence)? {
            Location::File(file) => {
                let known = format.or_else(|| Format::of_ending(&path)).or_else(|| Format::of_contents(&file));
                Ok(known.map(|format| RowFiles { format, files: vec![file] }))
            }
            _ => Ok(None),
        };
    };
    if listed.is_empty() && format.is_none() {
        return Ok(None);
    }
    listed.sort();
    let of_rows: Vec<(Format, PathBuf)> =
        listed.into_iter().filter_map(|file| Some((format.or(Format::of_ending(&file))?, file))).collect();
    let Some((first, _)) = of_rows.first() else {
        let Some(format) = format else { return Ok(None) };
        return Err(Error::Media {
            code: "22023",
            message: format!("\"{url}\" holds no file to be read as {}", format.word()),
            hint: None,
        });
    };
    let first = *first;
    if let Some((other, _)) = of_rows.iter().find(|(format, _)| *format != first) {
        return Err(Error::Option {
            message: format!("\"{url}\" holds files of {} and of {}", first.word(), other.word()),
            hint: Some("Name those of one format with a glob, such as 'file:///data/*.parquet'.".into()),
        });
    }
    let files = in_natural_order(of_rows.into_iter().map(|(_, file)| file).collect(), fence)?;
    if files.is_empty() {
        return Ok(None);
    }
    Ok(Some(RowFiles { format: first, files }))
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern)
        .map_err(|e| Error::Option { message: format!("\"{pattern}\" is not a glob pattern: {}", e.msg), hint: None })?;
    Ok(paths.filter_map(|p| p.ok()).filter(|p| p.is_file()).collect())
}

/// The files of a folder that the fence lets be seen when they are opened; what begins with a dot is not meant to be read.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    fenced(folder, &[])?;
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(format!("could not read folder \"{}\"", folder.display()), e))?;
    let hidden = |p: &Path| p.file_name().and_then(|n| n.to_str()).is_none_or(|n| n.starts_with(['.', '_']));
    Ok(entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_file() && !hidden(p)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_and_a_single_file_is_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, text) in [("part10.csv", "a\n1\n"), ("part9.csv", "a\n2\n"), ("rows", "\n{\"a\": 1}\n"), ("clip", "....")] {
            std::fs::write(path(name), text).unwrap();
        }
        let files = row_files(&path("*.csv"), None, &[]).unwrap().unwrap();
        let names: Vec<_> = files.files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!((files.format, names), (Format::Csv, vec!["part9.csv", "part10.csv"]));
        assert_eq!(row_files(&path("rows"), None, &[]).unwrap().map(|f| f.format), Some(Format::Ndjson));
        assert_eq!(row_files(&path("clip"), None, &[]).unwrap(), None);
        assert_eq!(row_files(&path("clip"), Some(Format::Csv), &[]).unwrap().map(|f| f.format), Some(Format::Csv));
        std::fs::write(path("more.ndjson"), "{}").unwrap();
        assert_eq!(row_files(folder.path().to_str().unwrap(), None, &[]).unwrap_err().sqlstate(), "22023");
        assert_eq!(row_files(&path("part9.csv"), None, &[folder.path().join("elsewhere")]).unwrap_err().sqlstate(), "42501");
    }
}
