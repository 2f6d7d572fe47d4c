//! The files of this repository, for the tests that read them: paths in name order, without what builds and version control keep.

use std::path::{Path, PathBuf};

/// The folder of the root Cargo.toml.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the repository ("" is all of it), by its path from the root.
pub(crate) fn below(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    let mut found: Vec<PathBuf> = found.iter().map(|p| p.strip_prefix(root()).unwrap().to_owned()).collect();
    found.sort();
    found
}

/// Every file below some folders whose name ends with one of the endings.
pub(crate) fn ending(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let all = folders.iter().flat_map(|f| below(f));
    all.filter(|p| endings.iter().any(|e| p.extension().is_some_and(|x| x == *e))).collect()
}

/// The questions of users over the bundled clip: those of the Nexmark benchmark, of a drive, of zones, of tracks and of models that are pulled have tests of their own.
pub(crate) fn questions() -> Vec<PathBuf> {
    let own = ["queries/nexmark", "queries/driving", "queries/zones", "queries/tracks", "queries/models"];
    ending(&["queries"], &["sql"]).into_iter().filter(|path| !own.iter().any(|own| path.starts_with(own))).collect()
}

/// A file's text. Errs in the test's name if it is no text.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Whether the tests fill in answers instead of comparing them: `UPDATE=1 cargo test`.
pub(crate) fn update() -> bool {
    std::env::var_os("UPDATE").is_some_and(|v| v == "1")
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if [".git", "target", "node_modules", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}
