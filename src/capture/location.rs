//! What a source's URL names: a file, a folder or glob of pictures, the synthetic camera; and the fence around what may be read.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tracing::warn;

use crate::error::{Error, Result};

/// What there is to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// One file, canonical path.
    File(PathBuf),
    /// Pictures in the natural order of their names, canonical paths, perhaps none.
    Pictures(Vec<PathBuf>),
    /// `pattern:`.
    Pattern,
}

/// Endings of pictures in a folder.
const PICTURES: [&str; 7] = ["jpg", "jpeg", "png", "bmp", "webp", "jpe", "jfif"];
/// Endings by which a glob of videos is recognised.
const VIDEOS: [&str; 9] = ["mp4", "mov", "m4v", "mkv", "webm", "avi", "mjpeg", "mjpg", "gif"];

/// Whether a path ends like one of the list.
pub(super) fn ends_like(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| endings.contains(&e.to_lowercase().as_str()))
}

/// Reads a URL. Errs if it cannot be read, if the file is missing (58P01), or outside the fence (42501); an empty fence fences nothing.
pub fn locate(url: &str, fence: &[PathBuf]) -> Result<Location> {
    if url == "pattern:" || url.starts_with("pattern:") {
        return Ok(Location::Pattern);
    }
    let path = path_of(url)?;
    // A file may be called like a pattern.
    if let Some(text) = path.to_str().filter(|p| p.contains(['*', '?', '['])).filter(|_| !path.exists()) {
        return glob_of(text, fence);
    }
    let path = fenced(&path, fence)?;
    if path.is_dir() {
        let entries = std::fs::read_dir(&path).map_err(|e| Error::io(format!("could not read folder \"{}\"", path.display()), e))?;
        let files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| ends_like(p, &PICTURES)).collect();
        return pictures(files, fence);
    }
    Ok(Location::File(path))
}

/// The file that a URL or a path names, as a canonical path. Errs as `locate` does, and for a folder.
pub fn file(url: &str, fence: &[PathBuf]) -> Result<PathBuf> {
    let path = fenced(&path_of(url)?, fence)?;
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::Option { message: format!("\"{}\" is not a file", path.display()), hint: None }),
    }
}

/// The files behind a URL as they are now, with their sizes and when they were last written: another text where one of them has changed. Empty for
/// what is no file.
pub fn edition(url: &str) -> String {
    let Ok(path) = path_of(url) else { return String::new() };
    let listed = |path: &Path| std::fs::read_dir(path).map(|all| all.filter_map(|e| e.ok().map(|e| e.path())).collect());
    let mut files: Vec<PathBuf> = match path.to_str().filter(|p| p.contains(['*', '?', '['])).filter(|_| !path.exists()) {
        Some(pattern) => glob::glob(pattern).map(|all| all.filter_map(|p| p.ok()).collect()).unwrap_or_default(),
        None if path.is_dir() => listed(&path).unwrap_or_default(),
        None => vec![path],
    };
    files.sort();
    let of_file = |file: &PathBuf| {
        let known = std::fs::metadata(file).ok()?;
        let written = known.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(format!("{} {} {}\n", file.display(), known.len(), written.as_nanos()))
    };
    files.iter().filter_map(of_file).collect()
}

pub(super) fn path_of(url: &str) -> Result<PathBuf> {
    if let Some(rest) = url.strip_prefix("file:")
        && !rest.starts_with('/')
    {
        return Ok(PathBuf::from(rest));
    }
    match url::Url::parse(url) {
        Ok(parsed) if parsed.scheme() == "file" => parsed.to_file_path().map_err(|()| unreadable(url)),
        // One letter is a drive, not a scheme.
        Ok(parsed) if parsed.scheme().len() > 1 => {
            Err(Error::unsupported(format!("\"{}:\" in an address", parsed.scheme()), "Use a file: file:///path/to/clip.mp4."))
        }
        _ => Ok(PathBuf::from(url)),
    }
}

fn unreadable(url: &str) -> Error {
    Error::Option { message: format!("\"{url}\" is not a file URL"), hint: Some("Write file:///path/to/clip.mp4.".into()) }
}

pub(super) fn fenced(path: &Path, fence: &[PathBuf]) -> Result<PathBuf> {
    let canonical = path.canonicalize().map_err(|e| Error::Media {
        code: if e.kind() == std::io::ErrorKind::PermissionDenied { "42501" } else { "58P01" },
        message: format!("could not open file \"{}\": {}", path.display(), plain(&e)),
        hint: None,
    })?;
    let inside = |root: &PathBuf| root.canonicalize().is_ok_and(|root| canonical.starts_with(root));
    if fence.is_empty() || fence.iter().any(inside) { Ok(canonical) } else { Err(Error::Fenced { path: canonical.display().to_string() }) }
}

/// The system's words without its error number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn glob_of(pattern: &str, fence: &[PathBuf]) -> Result<Location> {
    let paths = glob::glob(pattern)
        .map_err(|e| Error::Option { message: format!("\"{pattern}\" is not a glob pattern: {}", e.msg), hint: None })?;
    let files: Vec<PathBuf> = paths.filter_map(|p| p.ok()).collect();
    if let Some(video) = files.iter().find(|f| ends_like(f, &VIDEOS)) {
        return Err(Error::unsupported(
            format!("a glob of videos (\"{}\")", video.display()),
            "Create one source a video and combine them with UNION ALL.",
        ));
    }
    pictures(files.into_iter().filter(|f| ends_like(f, &PICTURES)).collect(), fence)
}

fn pictures(files: Vec<PathBuf>, fence: &[PathBuf]) -> Result<Location> {
    Ok(Location::Pictures(in_natural_order(files, fence)?))
}

/// Canonical paths in the natural order of the names. Errs if one is outside the fence; a link to nothing is left out.
pub(super) fn in_natural_order(files: Vec<PathBuf>, fence: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut named = Vec::with_capacity(files.len());
    for file in files {
        match fenced(&file, fence) {
            Ok(canonical) => named.push((file, canonical)),
            Err(error @ Error::Fenced { .. }) => return Err(error),
            Err(error) => warn!(file = %file.display(), %error, "a file is left out"),
        }
    }
    // In the order of the names as listed, not of what links lead to; equal in natural order ("1" and "01") they still have one order.
    named.sort_by(|(a, _), (b, _)| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b)));
    Ok(named.into_iter().map(|(_, canonical)| canonical).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order_and_videos_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["p10.jpg", "p9.jpg", "note.txt", "p1.PNG", "p01.png"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let Location::Pictures(files) = locate(folder.path().to_str().unwrap(), &[]).unwrap() else { panic!("not a folder") };
        let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["p01.png", "p1.PNG", "p9.jpg", "p10.jpg"]);
        std::fs::write(folder.path().join("a.mp4"), b"x").unwrap();
        let error = locate(&format!("{}/*", folder.path().display()), &[]).unwrap_err();
        assert_eq!(error.sqlstate(), "0A000");
    }

    #[test]
    fn a_file_outside_the_fence_is_refused_and_a_missing_one_named() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = outside.path().join("a b.mp4");
        std::fs::write(&file, b"x").unwrap();
        let url = format!("file://{}/a%20b.mp4", outside.path().display());
        assert_eq!(locate(&url, &[inside.path().into()]).unwrap_err().sqlstate(), "42501");
        assert!(matches!(locate(&url, &[outside.path().into()]), Ok(Location::File(_))));
        let missing = locate("file:///no/such/file.mp4", &[]).unwrap_err();
        assert_eq!((missing.sqlstate(), missing.to_string().contains("No such file")), ("58P01", true));
        assert_eq!(locate("rtsp://camera/1", &[]).unwrap_err().sqlstate(), "0A000");
    }
}
