//! Fetches an archive with the machine's own client of its registry, as its user has configured it: npm or pip.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Progress;
use super::manifest::{Archive, Entry, Registry};
use super::resume::{self, Came};
use crate::error::{Error, Result};

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(150);
/// The lines of a client's complaint that are shown.
const N_LINES: usize = 6;
/// By which names pip is called.
const PIPS: [&[&str]; 4] = [&["pip"], &["pip3"], &["python3", "-m", "pip"], &["python", "-m", "pip"]];
/// How pip fetches a wheel and nothing else.
const DOWNLOAD: [&str; 5] = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"];

/// How often a pull goes on after its connection broke.
const N_TRIES: usize = 10;
/// The archive while it comes, in its folder.
const ARCHIVE: &str = "archive";
/// What a client keeps beside it while it runs.
const SCRATCH: &str = "scratch";

/// An archive that has its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Whether part of it was there before: pieces of two different files may have been put together.
    pub(super) in_pieces: bool,
}

/// The clients of the registries.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// What they find in their environment beside this program's own.
    environment: Vec<(&'static str, String)>,
}

impl Clients {
    /// The archive in `folder`, which is this package's alone: fetched, from the byte on that a pull has reached which broke off before. Errs if there is no
    /// client (55000), or it fails (58030).
    pub(super) fn fetch(&self, entry: &Entry, archive: &Archive, folder: &Path, progress: &dyn Progress) -> Result<Fetched> {
        let failed = |e| Error::io(format!("could not write to folder \"{}\"", folder.display()), e);
        let (path, scratch) = (folder.join(ARCHIVE), folder.join(SCRATCH));
        let there = || path.metadata().map_or(0, |m| m.len());
        if there() == archive.bytes {
            return Ok(Fetched { path, in_pieces: true });
        }
        if there() > archive.bytes {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        std::fs::create_dir_all(&scratch).map_err(failed)?;
        progress.begin("fetching", archive.bytes);
        let in_pieces = there() > 0;
        for _ in 0..N_TRIES {
            let from = there();
            let Some(program) = self.inside(entry, archive, from, &scratch) else { break };
            match resume::rest(program, &path, archive.bytes, &folder.join("said"), progress).map_err(failed)? {
                // One that is too long is not the one either: its hash will say so.
                Came::Broken(_) if there() > archive.bytes => return Ok(Fetched { path, in_pieces: in_pieces || from > 0 }),
                Came::Whole => {
                    // The client's own store of what it has fetched: only the archive is wanted.
                    std::fs::remove_dir_all(&scratch).map_err(failed)?;
                    return Ok(Fetched { path, in_pieces: in_pieces || from > 0 });
                }
                Came::Nothing => break,
                Came::Broken(said) if there() <= from => return Err(complaint(entry, &said, "the connection broke")),
                Came::Broken(_) => {}
            }
        }
        // A client whose inside is another, or a registry that does not answer: the client itself is asked, for the whole, or to say what is wrong.
        let command = match entry.registry {
            Registry::Npm => self.npm(entry, folder, &scratch)?,
            Registry::Pypi => self.pip(entry, archive, folder, &scratch)?,
        };
        let output = run(command, &mut || progress.at(largest_file(folder).min(archive.bytes)))?;
        if !output.status.success() {
            return Err(complaint(entry, &String::from_utf8_lossy(&output.stderr), &output.status.to_string()));
        }
        std::fs::remove_dir_all(&scratch).map_err(failed)?;
        let ending = match entry.registry {
            Registry::Npm => "tgz",
            Registry::Pypi => "whl",
        };
        let made = archive_in(folder, ending)
            .ok_or_else(|| Error::Internal(format!("{} was fetched and is not in {}", entry.from(), folder.display())))?;
        std::fs::rename(made, &path).map_err(failed)?;
        Ok(Fetched { path, in_pieces: false })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The program that fetches the archive from a byte on, inside the client; None where it cannot be run.
    fn inside(&self, entry: &Entry, archive: &Archive, from: u64, scratch: &Path) -> Option<Command> {
        let mut command = match entry.registry {
            Registry::Npm => {
                let words = ["exec", "--loglevel=silent", "-c", "node -p process.env.npm_execpath"];
                let path = self.printed(self.command("npm").args(words), scratch)?;
                let mut command = self.command("node");
                command.arg("-e").arg(resume::INSIDE_NPM).env("FRAMESQL_NPM", path.lines().last()?);
                command.env("npm_config_cache", scratch).env("npm_config_loglevel", "silent").env("npm_config_update_notifier", "false");
                command.env("FRAMESQL_PACKAGE", format!("{}@{}", entry.package, entry.version));
                command
            }
            Registry::Pypi => {
                let (program, rest) = self.pip_words(scratch)?.split_first()?;
                let debug = self.printed(self.command(program).args(rest).args(["debug", "--disable-pip-version-check"]), scratch)?;
                let python = debug.lines().find_map(|line| line.strip_prefix("sys.executable: "))?;
                let mut command = self.command(python.trim());
                command.arg("-c").arg(resume::INSIDE_PIP).args(DOWNLOAD).args(wheel(archive)).env("TMPDIR", scratch);
                command.env("FRAMESQL_PACKAGE", &entry.package).env("FRAMESQL_VERSION", &entry.version);
                command
            }
        };
        command.env("FRAMESQL_FROM", from.to_string()).current_dir(scratch);
        Some(command)
    }

    /// What a program prints, run in a folder where nothing is that it would read or run; None if it fails.
    fn printed(&self, command: &mut Command, scratch: &Path) -> Option<String> {
        let output = command.current_dir(scratch).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn npm(&self, entry: &Entry, folder: &Path, scratch: &Path) -> Result<Command> {
        if !answers(&["npm"], scratch) {
            return Err(missing(entry, "npm", "It comes with Node.js."));
        }
        let mut command = self.command("npm");
        // A store of its own, so that a large archive does not stay in the user's and its growth can be seen.
        command.args(["pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--cache"]).arg(scratch);
        command.arg("--pack-destination").arg(folder).arg(format!("{}@{}", entry.package, entry.version)).current_dir(folder);
        Ok(command)
    }

    fn pip(&self, entry: &Entry, archive: &Archive, folder: &Path, scratch: &Path) -> Result<Command> {
        let Some(words) = self.pip_words(scratch) else {
            return Err(missing(entry, "pip", "It comes with Python."));
        };
        let (program, rest) = words.split_first().ok_or_else(|| Error::Internal("pip has no name".into()))?;
        let mut command = self.command(program);
        command.args(rest).arg("download").args(DOWNLOAD).args(wheel(archive));
        command.arg("--dest").arg(folder).arg(format!("{}=={}", entry.package, entry.version)).env("TMPDIR", scratch).current_dir(folder);
        Ok(command)
    }

    fn pip_words(&self, scratch: &Path) -> Option<&'static [&'static str]> {
        PIPS.into_iter().find(|words| answers(words, scratch))
    }
}

/// The wheel that the manifest knows, whatever Python this pip is of.
fn wheel(archive: &Archive) -> Vec<&str> {
    let of = |platform| vec!["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--platform", platform];
    archive.wheel.as_deref().map_or_else(Vec::new, of)
}

fn missing(entry: &Entry, client: &str, from: &str) -> Error {
    Error::State {
        message: format!("{} is fetched with {client}, which is not there", entry.from()),
        hint: Some(format!("Install {client} and pull again. {from}")),
    }
}

/// Whether a program is there and runs, in a folder where nothing is that it would read or run.
fn answers(words: &[&str], scratch: &Path) -> bool {
    let Some((program, rest)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(rest).arg("--version").current_dir(scratch);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
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

/// What a client said at the end, or `or_else` if it said nothing.
fn complaint(entry: &Entry, said: &str, or_else: &str) -> Error {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(N_LINES)..).unwrap_or_default().join("\n");
    let said = if last.is_empty() { or_else.to_owned() } else { last };
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
mod tests;
